"""Loop devices that are configured, and what is there afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ogagent.disk.codes import mark_cache
from ogagent.disk.identity import sysfs_directory
from ogagent.disk.inventory import read_disk
from ogagent.disk.kernel import describe_disk
from ogagent.disk.occupancy import block_device_number, read_occupants
from ogagent.model.disk import Disk
from ogagent.model.units import MIB
from ogagent.partition.change import TableChange
from ogagent.partition.layout import plan_table
from ogagent.partition.plan import TablePlan
from ogagent.partition.real import RealTables
from ogagent.partition.work import configure
from tests.partition.disks import asked, rows
from tests.partition.judges import sgdisk_is_content

SIZE: Final = 1200 * MIB


class NoBooks:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.change = TableChange()
        self.formatted: list[int] = []

    async def writing(self, change: TableChange) -> None:
        self.change = change

    async def formatting(self, number: int) -> None:
        self.formatted.append(number)


async def inventory(device: str) -> Disk:
    known = describe_disk(sysfs_directory(block_device_number(device) or 0), read_occupants())
    return mark_cache([await read_disk(1, known)])[0]


async def plan_for(device: str, cfg: object) -> TablePlan:
    return plan_table(asked(cfg), await inventory(device), "uefi")


async def made(device: str, cfg: object, machine: RealTables | None = None) -> TablePlan:
    plan = await plan_for(device, cfg)
    await configure(machine or RealTables(), plan, NoBooks())
    return plan


def row(number: int, kind: str, size: int, filesystem: str) -> dict[str, str]:
    return {**rows((number, kind, size), ope="1")[0], "sfi": filesystem}


async def check(device: str, plan: TablePlan) -> Disk:
    """What is there is what was planned, for the kernel and for others."""
    there = await inventory(device)
    assert there.table == plan.table
    assert [(part.partition, part.start, part.size, part.code) for part in there.partitions] == [
        (part.number, part.start, part.size, part.code) for part in plan.partitions
    ]
    assert {part.problem for part in there.partitions} == {""}
    assert not there.problem
    kernel = describe_disk(sysfs_directory(block_device_number(device) or 0), {}).partitions
    assert set(kernel) == {part.number for part in plan.partitions}
    if plan.table == "gpt":
        sgdisk_is_content(device)
    return there


def content(device: str) -> bytes:
    return Path(device).read_bytes()
