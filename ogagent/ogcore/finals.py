"""Where final reports wait until ogCore has acknowledged them."""

from __future__ import annotations

from typing import Protocol

from ogagent.ogcore.webhook import Report


class FinalStore(Protocol):
    """None of these raises: a store that fails says so in the log, and reports are sent all the same."""

    async def pending(self) -> list[tuple[str, Report]]:
        """Job and final report of those that ogCore has neither taken nor refused, oldest first."""

    async def sending(self, job_id: str, seq: int, progress: int) -> None:
        """A progress report is about to go out: if it was the last, the final one must not contradict it."""

    async def telling(self, report: Report) -> None:
        """A final one is about to go out: whatever comes back, ogCore may have it."""

    async def waiting(self, job_id: str) -> None:
        """The final one was not taken at this attempt, and will be sent again."""

    async def delivered(self, job_id: str) -> None:
        """The final one was taken."""

    async def refused(self, job_id: str, reason: str) -> None:
        """The final one would be refused again."""
