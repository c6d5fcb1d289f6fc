"""The power of a PC whose disks are files: it goes down with its agent; who has started that sees to the rest."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ogagent.errors import NoSystem
from ogagent.power.power import BootPlace
from simulator.errors import LabError
from simulator.machine.system import installed_system

RESTARTS: Final = 90
SWITCHED_OFF: Final = 91
"""Exit statuses of the agent."""


class FilePower:
    """Implements ``ogagent.power.power.Power``. ``nvram`` is where the firmware finds what it boots next, once."""

    def __init__(self, disks: Sequence[Path], nvram: Path) -> None:
        self.ended = 0
        """The exit status that the agent shall have; 0: nobody has asked for any."""
        self._disks = disks
        self._nvram = nvram

    async def restart(self) -> None:
        self._end(RESTARTS)

    async def switch_off(self) -> None:
        self._end(SWITCHED_OFF)

    async def way_to(self, place: BootPlace) -> FileWay:
        disk, partition = place.partition.disk, place.partition.partition
        try:
            system = await asyncio.to_thread(installed_system, self._disks[disk - 1], partition)
        except LabError as error:
            raise NoSystem(error.message) from error
        return FileWay(self, self._nvram, (disk, partition), system)

    def _end(self, status: int) -> None:
        """In order, as at any shutdown."""
        self.ended = status
        os.kill(os.getpid(), signal.SIGTERM)


class FileWay:
    """Implements ``ogagent.power.power.Way``."""

    def __init__(self, power: FilePower, nvram: Path, place: tuple[int, int], system: str) -> None:
        self.would = f"start {system} once, and restart"
        self._power = power
        self._nvram = nvram
        self._place = place

    async def prepare(self) -> None:
        self._nvram.write_text("{} {}\n".format(*self._place), encoding="ascii")

    async def go(self) -> None:
        await self._power.restart()


def boot_next(nvram: Path) -> tuple[int, int] | None:
    """The disk and the partition that were chosen for the next start, which this is; None: ogLive, by the network."""
    if not nvram.exists():
        return None
    disk, partition = nvram.read_text("ascii").split()
    nvram.unlink()
    return int(disk), int(partition)
