"""The inventory as the jobs see it: with the partitions whose restore did not finish."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Mapping
from typing import Final

from msgspec.structs import replace

from ogagent.disk.machine import Inventoried
from ogagent.jobs.entry import Mark, Place
from ogagent.jobs.journal import Journal
from ogagent.model.disk import Disk, Inventory, Partition

_log: Final = logging.getLogger(__name__)


class MarkedDisks:
    def __init__(self, machine: Inventoried, journal: Journal) -> None:
        self._machine = machine
        self._journal = journal

    async def inventory(self, *, thorough: bool = True) -> Inventory:
        found = await self._machine.inventory(thorough=thorough)
        marks = await asyncio.to_thread(self._journal.incomplete)
        await asyncio.to_thread(self._note_wiped, found, marks)
        return Inventory(disks=tuple(_marked(disk, marks) for disk in found.disks))

    async def after_a_job(self) -> Inventory:
        """Empty when it fails: the report must go out, and says nothing of disks of which nothing is known."""
        try:
            return await self.inventory()
        except Exception:  # noqa: BLE001 - whatever it is
            _log.exception("the inventory after the job failed")
            return Inventory()

    def _note_wiped(self, found: Inventory, marks: Mapping[Place, Mark]) -> None:
        """A partition that says itself that it is incomplete was wiped: a file system that comes later is a new one."""
        for disk in found.disks:
            for part in disk.partitions:
                place = (disk.identity, part.partition)
                if part.incomplete and place in marks and not marks[place].wiped:
                    try:
                        self._journal.wiped(place)
                    except sqlite3.Error as error:
                        _log.error("the journal cannot be written: %s", error)


def _marked(disk: Disk, marks: Mapping[Place, Mark]) -> Disk:
    return replace(
        disk, partitions=tuple(_told(part, marks.get((disk.identity, part.partition))) for part in disk.partitions)
    )


def _told(part: Partition, mark: Mark | None) -> Partition:
    if mark is None or not _holds_for(mark, part):
        return part
    if mark.whole:
        return replace(part, unfinished=bool(part.filesystem) and not part.incomplete)
    return replace(part, incomplete=True)


def _holds_for(mark: Mark, part: Partition) -> bool:
    """Not for a partition that was made anew, of another place or size, nor for one that was formatted since."""
    if mark.start not in (None, part.start) or mark.size not in (None, part.size):
        return False
    return not (mark.wiped and part.filesystem)
