"""A PC whose disks are files, put together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ogagent.functions.host import Host
from simulator.faults import Faults, no_faults
from simulator.machine.file_cache import FileCache
from simulator.machine.file_insight import FileInsight
from simulator.machine.file_machine import FileMachine
from simulator.machine.file_tables import FileTables
from simulator.machine.profile import MachineProfile


def file_host(disks: Sequence[Path], faults: Faults = no_faults, profile: MachineProfile | None = None) -> Host:
    return host_of(FileMachine(disks, faults, profile), faults)


def host_of(machine: FileMachine, faults: Faults = no_faults) -> Host:
    """It has booted by UEFI."""
    return Host(
        machine=machine,
        store=FileCache(),
        insight=FileInsight(machine),
        tables=FileTables(faults),
        firmware="uefi",
    )
