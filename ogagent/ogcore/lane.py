"""What one job has to say to ogCore, and when."""

from __future__ import annotations

import asyncio
import math
import uuid
from typing import Final

from ogagent.ogcore.webhook import Report

PACE_S: Final = 1.0
REPEAT_S: Final = 30.0


class Lane:
    """``waiting`` is the newest progress that is not delivered, ``last`` the newest of all.

    ``settled`` is set when ogCore has taken the final report, or never will.
    """

    def __init__(self) -> None:
        self.seq = 0
        self.last: Report = {}
        self.waiting: Report | None = None
        self.final: Report | None = None
        self.concluded = False
        self.since = math.inf
        self.sent = -math.inf
        self.attempts = 0
        self.not_before = -math.inf
        self.refused = False
        self.last_reason = ""
        self.settled = asyncio.Event()

    def stamped(self, report: Report) -> Report:
        self.seq += 1
        return {"event_id": str(uuid.uuid4()), **report, "seq": self.seq}

    def due(self) -> float:
        """When the next report may go out."""
        if self.final is not None:
            return self.not_before
        return max(self.sent + (REPEAT_S if self.waiting is None else PACE_S), self.not_before)

    def next(self) -> Report:
        """The final report overtakes progress. Progress that is old news is said again, as a report of its own."""
        if self.final is not None:
            return self.final
        if self.waiting is None:
            self.waiting = self.stamped(self.last)
        return self.waiting
