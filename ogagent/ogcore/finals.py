"""Where final reports wait until ogCore has acknowledged them."""

from __future__ import annotations

from typing import Final, Protocol

from ogagent.ogcore.webhook import Report

MAX_PENDING: Final = 1000
"""So many undelivered final reports are held in memory; a classroom computer makes a few a day."""


class FinalStore(Protocol):
    """None of these raises: a store that fails says so in the log, and reports are sent all the same."""

    async def add(self, job_id: str, report: Report) -> None: ...

    async def pending(self) -> list[tuple[str, Report]]:
        """Job and report, oldest first, at most MAX_PENDING."""

    async def remove(self, job_id: str) -> None:
        """Also when there is none."""


class FinalsInMemory:
    """They live as long as the agent. Beyond MAX_PENDING the oldest makes room."""

    def __init__(self) -> None:
        self._reports: dict[str, Report] = {}

    async def add(self, job_id: str, report: Report) -> None:
        self._reports[job_id] = report
        if len(self._reports) > MAX_PENDING:
            del self._reports[next(iter(self._reports))]

    async def pending(self) -> list[tuple[str, Report]]:
        return list(self._reports.items())

    async def remove(self, job_id: str) -> None:
        self._reports.pop(job_id, None)
