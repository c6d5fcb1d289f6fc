"""The inventory as the jobs see it: with the partitions whose restore did not finish."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from msgspec.structs import replace

from ogagent.disk.machine import Machine
from ogagent.jobs.journal import Journal, Place
from ogagent.model.disk import Disk, Inventory

_log: Final = logging.getLogger(__name__)


class MarkedDisks:
    def __init__(self, machine: Machine, journal: Journal) -> None:
        self._machine = machine
        self._journal = journal

    async def inventory(self) -> Inventory:
        found = await self._machine.inventory()
        incomplete = await asyncio.to_thread(self._journal.incomplete)
        return Inventory(disks=tuple(_marked(disk, incomplete) for disk in found.disks))

    async def after_a_job(self) -> Inventory:
        """Empty when it fails: the report must go out, with or without the disks."""
        try:
            return await self.inventory()
        except Exception:  # noqa: BLE001 - whatever it is
            _log.exception("the inventory after the job failed")
            return Inventory()


def _marked(disk: Disk, incomplete: frozenset[Place]) -> Disk:
    partitions = (replace(part, incomplete=(disk.identity, part.partition) in incomplete) for part in disk.partitions)
    return replace(disk, partitions=tuple(partitions))
