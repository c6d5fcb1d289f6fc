"""A PC whose disks are files, put together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ogagent.functions.host import Host
from ogagent.power.power import Power
from simulator.faults import Faults, no_faults
from simulator.machine.file_cache import FileCache
from simulator.machine.file_finisher import FileFinisher
from simulator.machine.file_insight import FileInsight
from simulator.machine.file_machine import FileMachine
from simulator.machine.file_models import FileModels
from simulator.machine.file_power import FilePower
from simulator.machine.file_tables import FileTables
from simulator.machine.profile import MachineProfile


def file_host(
    disks: Sequence[Path], faults: Faults, profile: MachineProfile | None, power: Power, name: str = ""
) -> Host:
    return host_of(FileMachine(disks, faults, profile), faults, power, name)


def host_of(machine: FileMachine, faults: Faults = no_faults, power: Power | None = None, name: str = "") -> Host:
    """It has booted by UEFI. Without ``power`` what it is to start next is written beside its first disk. ``name`` is
    what the network calls it.
    """
    return Host(
        machine=machine,
        store=FileCache(),
        insight=FileInsight(machine),
        tables=FileTables(faults),
        models=FileModels(),
        finisher=FileFinisher(machine, name),
        firmware="uefi",
        power=power or FilePower(machine.paths, machine.paths[0].with_suffix(".nvram")),
    )
