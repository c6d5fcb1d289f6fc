"""The power of the machine that the agent runs on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from ogagent.disk.blkid import filesystem_uuid
from ogagent.errors import NoSystem
from ogagent.model.filesystem import NTFS
from ogagent.model.plan import Target
from ogagent.power.active import ActivePartition, refuse_inactive
from ogagent.power.down import Down, Goal
from ogagent.power.efi import EfiEntry, loader_suffix
from ogagent.power.esp import found_loader
from ogagent.power.grub import Kernel
from ogagent.power.kexec import Kexec
from ogagent.power.look import Look, probed
from ogagent.power.power import BootPlace, Way
from ogagent.power.systems import System, look_for_system
from ogagent.system.reading import read_tree

FIRMWARE: Final = Path("/sys/firmware/efi")
"""There where the machine has booted by UEFI."""


class RealGoing:
    """Implements ``ogagent.power.power.Going``."""

    def __init__(self, down: Down) -> None:
        self._down = down

    async def restart(self) -> None:
        await self._down.go(Goal.RESTART)

    async def switch_off(self) -> None:
        await self._down.go(Goal.OFF)


class RealPower(RealGoing):
    """Implements ``ogagent.power.power.Power``. ``kexec``: as in ``[machine]`` of the configuration."""

    def __init__(self, down: Down, look: Look, *, kexec: bool, firmware: Path = FIRMWARE) -> None:
        super().__init__(down)
        self._look = look
        self._kexec = kexec
        self._firmware = firmware

    async def way_to(self, place: BootPlace) -> Way:
        target = place.partition
        async with self._look(target, place.filesystem) as root:
            windows = place.filesystem == NTFS.blkid
            system = await read_tree(root, target.device, lambda tree: look_for_system(tree, windows=windows))
        if system is None:
            raise NoSystem(
                f"{target.name} holds no system: only files are on it", hint="restore an image of a system onto it"
            )
        if self._firmware.exists():
            return await self._by_firmware(place, system)
        if self._kexec and system.kernel is not None and await _is_here(system.kernel, target):
            return Kexec(place, system.kernel, self._look, self._down)
        refuse_inactive(place, system)
        return ActivePartition(target, self._down)

    async def _by_firmware(self, place: BootPlace, system: System) -> EfiEntry:
        suffix = loader_suffix(self._firmware, os.uname().machine)
        esp, loader = await found_loader(place, system, suffix, self._look)
        return await EfiEntry.found(esp, loader, self._down)


async def _is_here(kernel: Kernel, target: Target) -> bool:
    """The menu may start a system of another partition."""
    return kernel.uuid in ("", (await probed(target.device, filesystem_uuid)).lower())
