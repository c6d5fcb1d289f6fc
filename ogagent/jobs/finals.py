"""Final reports in the journal, for ogCore's outbox."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from typing import Final, ParamSpec

from ogagent.jobs.copies import Copies
from ogagent.jobs.journal import Journal
from ogagent.jobs.numbers import ToldNumbers, numbers_in
from ogagent.ogcore.webhook import Report

_log: Final = logging.getLogger(__name__)
P = ParamSpec("P")


class FinalsInJournal:
    """Implements ``ogagent.ogcore.finals.FinalStore``. ``copies`` follow what becomes of a report, ``numbers`` what it
    tells of the disks.
    """

    def __init__(self, journal: Journal, copies: Copies | None = None, numbers: ToldNumbers | None = None) -> None:
        self._journal = journal
        self._copies = copies
        self._numbers = numbers

    async def pending(self) -> list[tuple[str, Report]]:
        try:
            return await asyncio.to_thread(self._journal.undelivered)
        except sqlite3.Error:
            _log.exception("the journal cannot be read: reports of an earlier agent stay where they are")
            return []

    async def sending(self, job_id: str, seq: int, progress: int) -> None:
        await self._write(self._journal.sending, job_id, seq, progress)

    async def telling(self, report: Report) -> None:
        if self._numbers is not None:
            await self._numbers.begin(numbers_in(report))

    async def waiting(self, job_id: str) -> None:
        if self._copies is not None:
            self._copies.waiting(job_id)

    async def delivered(self, job_id: str) -> None:
        report = await self._report(job_id)
        await self._write(self._journal.delivered, job_id)
        if self._numbers is not None:
            await self._numbers.end(numbers_in(report))
        if self._copies is not None:
            self._copies.told(job_id)

    async def refused(self, job_id: str, reason: str) -> None:
        await self._write(self._journal.refused, job_id, reason)
        if self._copies is not None:
            self._copies.told(job_id)

    async def _report(self, job_id: str) -> Report:
        """Empty when it cannot be read: then ogCore may still believe what it did before."""
        try:
            ended = await asyncio.to_thread(self._journal.ended, job_id)
        except sqlite3.Error:
            return {}
        return ended.report or {} if ended else {}

    async def _write(self, write: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        """What it cannot keep is at worst said twice after a restart, and ogCore knows it by its ``event_id``."""
        try:
            await asyncio.to_thread(write, *args, **kwargs)
        except sqlite3.Error as error:
            _log.error("the journal cannot be written: %s", error)
