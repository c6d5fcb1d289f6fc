"""The active partition of an MSDOS table: the one whose boot sector a BIOS starts."""

from __future__ import annotations

from typing import Final

from ogagent.disk.boot_record import PRIMARY, make_active
from ogagent.errors import DeviceBusy, NoSystem
from ogagent.model.plan import Target
from ogagent.power.down import Down, Goal
from ogagent.power.power import BootPlace
from ogagent.power.systems import System
from ogagent.system.aside import aside

_PATIENCE_S: Final = 60.0


class ActivePartition:
    """Implements ``ogagent.power.power.Way``."""

    def __init__(self, target: Target, down: Down) -> None:
        self._target = target
        self._down = down

    @property
    def would(self) -> str:
        return f"make {self._target.name} the active one, and restart"

    async def prepare(self) -> None:
        try:
            await aside(_PATIENCE_S, lambda: make_active(self._target))
        except TimeoutError:
            raise DeviceBusy(f"{self._target.disk_device} does not answer") from None

    async def go(self) -> None:
        await self._down.go(Goal.RESTART)


def refuse_inactive(place: BootPlace, system: System) -> None:
    """Raises NoSystem for what cannot be made active, or would not start when it were."""
    target, hint = place.partition, ""
    if system.windows:
        if not system.boot_manager:
            raise NoSystem(
                f"{target.name} holds Windows, but not what a BIOS starts it with (bootmgr)",
                hint="start the partition that has it, System Reserved perhaps",
            )
    else:
        hint = "with machine.kexec = true a Linux is started wherever it is"
    if place.table != "msdos":
        raise NoSystem(f"{target.name} lies on a GPT disk: without UEFI none of its partitions is chosen", hint=hint)
    if target.partition not in PRIMARY:
        raise NoSystem(f"{target.name} is a logical one: no BIOS starts those", hint=hint)
