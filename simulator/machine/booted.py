"""A client that has booted from its disk: the agent of an installed system on a PC that is simulated.

It starts only when the partition would really boot: the disk is looked at, nobody is asked.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from ogagent.functions.installed import InstalledHost
from ogagent.installed.ledger import Surroundings
from ogagent.model.disk import Disk, Inventory
from ogagent.model.hardware import Hardware
from ogagent.model.plan import bound
from ogagent.model.software import Software
from ogagent.settings import Settings
from simulator.errors import LabError
from simulator.machine.file_insight import FileInsight
from simulator.machine.file_machine import FileMachine
from simulator.machine.file_power import FilePower
from simulator.machine.profile import MachineProfile
from simulator.machine.seat import Seat, SeatDesktop
from simulator.machine.system import installed_system

_LANGUAGE: Final = "es_ES.UTF-8"

Boots = tuple[int, int]
"""Disk and partition."""


class BootedDisks:
    """Implements ``ogagent.disk.machine.Inventoried``: one partition is where the running system lies."""

    def __init__(self, machine: FileMachine, boots: Boots, system: str) -> None:
        self._machine = machine
        self._boots = boots
        self._system = system

    async def inventory(self, *, thorough: bool = True) -> Inventory:
        found = await self._machine.inventory(thorough=thorough)
        return Inventory(disks=tuple(map(self._mounted, found.disks)))

    def _mounted(self, disk: Disk) -> Disk:
        rows = (
            replace(row, mounted="/", os=self._system) if (disk.disk, row.partition) == self._boots else row
            for row in disk.partitions
        )
        return replace(disk, partitions=tuple(rows))


class BootedInsight:
    """Implements ``ogagent.functions.insight.InnerInsight``."""

    def __init__(self, machine: FileMachine, boots: Boots) -> None:
        self._machine = machine
        self._outer = FileInsight(machine)
        self._boots = boots

    async def hardware(self) -> Hardware:
        return await self._outer.hardware()

    async def software_here(self) -> Software:
        inventory = await self._machine.inventory(thorough=False)
        for disk in inventory.disks:
            for row in disk.partitions:
                if (disk.disk, row.partition) == self._boots:
                    return await self._outer.software(bound(disk, row), row.filesystem)
        return Software(notes=("no system was found",))


def own_state(settings: Settings) -> Settings:
    """An installed system and an ogLive of the same PC share nothing but its disks."""
    return replace(settings, state=replace(settings.state, dir=f"{settings.state.place}-installed"))


def booted_host(
    disks: Sequence[Path], boots: Boots, seat: Seat, power: FilePower, profile: MachineProfile | None = None
) -> InstalledHost:
    """Raises LabError when the partition does not boot."""
    number, partition = boots
    if number > len(disks):
        raise LabError(f"there is no disk {number}")
    system = installed_system(disks[number - 1], partition)
    machine = FileMachine(disks, profile=profile)
    return InstalledHost(
        disks=BootedDisks(machine, boots, system),
        insight=BootedInsight(machine, boots),
        power=power,
        logind=seat,
        desktop=SeatDesktop(),
        here=Surroundings(boot=str(uuid.uuid4()), language=_LANGUAGE, osversion=system),
    )
