"""Which disk ogCore means by a number: the one that had it when ogCore was last told of the disks.

Numbers follow the kernel's, and those follow what is plugged in, what answers, and what answers first. What ogCore has
been told is remembered over restarts: in the journal and, since that is in memory on most clients, on a shelf that
outlives the power. What is on its way to ogCore counts from before it goes out, and what it replaces until it has
arrived: whenever the agent dies, all that ogCore may believe is remembered. An inventory that is read for anything else
changes nothing here.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from ogagent.disk.machine import ReportShelf
from ogagent.errors import AgentError, DiskRenumbered
from ogagent.jobs.copies import LARGEST_COPY, MOST_COPIES, NUMBERS
from ogagent.jobs.entry import Told
from ogagent.jobs.journal import Journal
from ogagent.jobs.work import Claims
from ogagent.model.disk import Inventory
from ogagent.ogcore.webhook import Report

_log: Final = logging.getLogger(__name__)
_PATIENCE_S: Final = 5.0
_LOOK_S: Final = 30.0

Numbers = Mapping[int, str]
"""Identities by the number of the disk."""


class _Row(Struct, frozen=True):
    """Of ``cfg``, as far as it is looked at; and of the copy on the shelf."""

    disk: Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,2}\Z")]
    identity: str = ""


class ToldNumbers:
    """Lives on the event loop. What cannot be written down, as the log says, counts as long as the agent lives."""

    def __init__(self, journal: Journal, shelf: ReportShelf | None = None) -> None:
        self._journal = journal
        self._shelf = shelf
        self._believed: frozenset[Told] = frozenset()
        self._written = self._believed
        self._turn = asyncio.Lock()
        self._copying: asyncio.Task[None] | None = None

    async def recall(self) -> None:
        """What an earlier agent has told."""
        try:
            self._believed = self._written = await asyncio.to_thread(self._journal.told)
            if not self._believed:
                await self._become(await self._on_shelf())
        except AgentError as error:
            _log.warning("a copy of the disks' numbers cannot be looked for: %s", error.message)
        except Exception:  # noqa: BLE001 - whatever it is: the agent must start all the same
            _log.exception("nobody remembers which disk had which number when ogCore was last told")

    def refuse_renumbered(self, claims: Claims, inventory: Inventory) -> None:
        """Raises DiskRenumbered. Who names the disk itself needs no number to be right."""
        for identity, number in claims.disks.items() if claims.by_number else ():
            self._refuse_renumbered(number, identity, inventory)

    def _refuse_renumbered(self, wanted: int, found: str, inventory: Inventory) -> None:
        now = {disk.disk: disk.identity for disk in inventory.disks}
        others = sorted(told for number, told in self._believed if number == wanted and told != found)
        if not others:
            return
        place = next((f"disk {number} now" for number, identity in now.items() if identity == others[0]), "not there")
        raise DiskRenumbered(
            f"disk {wanted} is {found}; when ogCore was last told of the disks, it was {others[0]}, which is {place}",
            field="dsk",
            hint="read the inventory again (GET /disks), and repeat the request for the disk that is meant",
        )

    async def telling(self, inventory: Inventory) -> Callable[[], Awaitable[None]]:
        """Begins; what it returns ends it."""
        numbers = {disk.disk: disk.identity for disk in inventory.disks}
        await self.begin(numbers)
        return partial(self.end, numbers)

    async def begin(self, numbers: Numbers) -> None:
        """From now on ogCore may have heard of them."""
        await self._become(self._believed | frozenset(numbers.items()))

    async def end(self, numbers: Numbers) -> None:
        """It has. Of disks that were not told of, it believes what it did."""
        moved = frozenset(numbers.values())
        kept = [(number, disk) for number, disk in self._believed if number not in numbers and disk not in moved]
        await self._become(frozenset([*kept, *numbers.items()]))

    async def aclose(self) -> None:
        if self._copying is not None:
            await asyncio.wait([self._copying], timeout=_PATIENCE_S)

    async def _on_shelf(self) -> frozenset[Told]:
        """Whoever has been root on the machine can have written it: at worst, ogCore must read the inventory again."""
        if self._shelf is None:
            return frozenset()
        async with asyncio.timeout(_LOOK_S):
            files = await self._shelf.list(MOST_COPIES + 1, LARGEST_COPY)
        try:
            return _told(msgspec.json.decode(files.get(NUMBERS, b"[]")))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            _log.warning("%s does not tell the numbers of the disks", NUMBERS)
            return frozenset()

    async def _become(self, believed: frozenset[Told]) -> None:
        """At once for whoever asks next; when this returns also on the medium, and of several changes the last one."""
        self._believed = believed
        async with self._turn:
            if self._written != self._believed:
                await self._write(self._believed)

    async def _write(self, believed: frozenset[Told]) -> None:
        try:
            await asyncio.to_thread(self._journal.keep_told, believed)
            self._written = believed
        except sqlite3.Error as error:
            _log.error("the journal cannot be written: %s", error)
        if self._shelf is not None and (self._copying is None or self._copying.done()):
            self._copying = asyncio.create_task(self._copy(self._shelf))

    async def _copy(self, shelf: ReportShelf) -> None:
        """Beside everything else: no answer and no report waits for a disk that hangs."""
        copied = None
        while copied != self._believed:
            copied = self._believed
            try:
                rows = [_Row(str(number), identity) for number, identity in sorted(copied)]
                await shelf.put(NUMBERS, msgspec.json.encode(rows))
            except AgentError as error:
                _log.warning("the numbers of the disks have no copy: %s", error.message)
            except Exception:  # noqa: BLE001 - ogCore has been told, whatever becomes of the copy
                _log.exception("the numbers of the disks have no copy")


def numbers_in(report: Report) -> Numbers:
    """Empty for a report without ``cfg``, and for one of an older agent, which named no identities."""
    try:
        return dict(_told(report.get("cfg", [])))
    except msgspec.ValidationError:
        return {}


def _told(rows: object) -> frozenset[Told]:
    """Raises ValidationError."""
    found = msgspec.convert(rows, list[_Row])
    return frozenset((int(row.disk), row.identity) for row in found if row.identity and row.identity.isprintable())
