"""What goes wrong while a loop device is configured."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from ogagent.errors import DeviceBusy, DiskChanged, PartitioningFailed, TargetIsSystem
from ogagent.model.disk import PROTECTED
from ogagent.model.units import MIB
from ogagent.partition.plan import PlannedPartition, TablePlan
from ogagent.partition.real import RealTables
from ogagent.partition.work import configure, settle
from tests.block_devices import forget_partitions
from tests.devices.configured import SIZE, NoBooks, check, content, inventory, made, plan_for, row
from tests.devices.conftest import LoopDisk
from tests.partition.disks import rows
from tests.partition.judges import table_by_sfdisk

Tool = Callable[..., str]


async def test_who_looks_at_a_partition_is_waited_for(loop_disk: LoopDisk) -> None:
    device = loop_disk(SIZE)
    await made(device, [{"ttp": "GPT"}, row(1, "LINUX", 100, "EXT4")])
    looking = os.open(f"{device}p1", os.O_RDONLY)
    asyncio.get_running_loop().call_later(1.0, os.close, looking)

    await check(device, await made(device, [row(1, "LINUX", 200, "EXT4")], RealTables(busy_s=120)))


async def test_a_kernel_that_keeps_an_older_partition_is_told_of(loop_disk: LoopDisk) -> None:
    device = loop_disk(SIZE)
    await made(device, [{"ttp": "GPT"}, row(1, "LINUX", 100, "EXT4"), row(2, "LINUX", 100, "EXT4")])
    looking = os.open(f"{device}p2", os.O_RDONLY)
    books = NoBooks()
    plan = await plan_for(device, [row(1, "LINUX", 200, "EXT4")])
    try:
        with pytest.raises(DeviceBusy, match=f"partition 2 of {device}"):
            await configure(RealTables(busy_s=0.3), plan, books)
    finally:
        os.close(looking)
    found = table_by_sfdisk(device)
    assert found is not None
    assert list(found[1]) == [1]
    assert books.formatted == []

    assert settle(RealTables(), plan, books.change, 0) == "new"
    assert [part.filesystem for part in (await check(device, plan)).partitions] == [""]


async def test_a_disk_that_udev_looks_at_is_waited_for_and_not_for_ever(loop_disk: LoopDisk) -> None:
    device = loop_disk(SIZE)
    plan = await plan_for(device, [{"ttp": "GPT"}, row(1, "LINUX", 100, "EXT4")])
    fd = os.open(device, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_SH)
    with pytest.raises(DeviceBusy, match="locked by somebody else"):
        await configure(RealTables(busy_s=0.3), plan, NoBooks())
    asyncio.get_running_loop().call_later(0.5, os.close, fd)
    await configure(RealTables(busy_s=120), plan, NoBooks())
    await check(device, plan)


async def test_a_partition_without_a_node_is_formatted_all_the_same(loop_disk: LoopDisk, tool: Tool) -> None:
    device = loop_disk(SIZE)
    plan = await plan_for(device, [{"ttp": "GPT"}, row(1, "LINUX", 100, "EXT4")])

    class Nodeless(RealTables):
        def tell_kernel(self, plan: TablePlan) -> None:
            super().tell_kernel(plan)
            Path(f"{device}p1").unlink()

    await configure(Nodeless(busy_s=0.3), plan, NoBooks())
    forget_partitions(device)
    there = await inventory(device)
    assert [part.filesystem for part in there.partitions] == ["ext4"]
    tool("partx", "--add", device)
    assert tool("losetup", "--noheadings", "--list", "--output", "BACK-FILE").split().count(device) == 0


async def test_a_partition_that_could_not_be_formatted_is_empty(loop_disk: LoopDisk, tool: Tool) -> None:
    device = loop_disk(SIZE)
    books = NoBooks()

    class HalfWay(RealTables):
        async def make_filesystem(self, plan: TablePlan, partition: PlannedPartition) -> None:
            await super().make_filesystem(plan, partition)
            if partition.number == 2:
                raise PartitioningFailed("mkfs.ntfs failed with status 1: no more")

    plan = await plan_for(device, [{"ttp": "GPT"}, row(1, "LINUX", 100, "EXT4"), row(2, "NTFS", 100, "NTFS")])
    with pytest.raises(PartitioningFailed, match="no more"):
        await configure(HalfWay(), plan, books)
    assert books.formatted == [1, 2]
    assert [part.filesystem for part in (await check(device, plan)).partitions] == ["ext4", ""]


async def test_a_cancel_leaves_the_new_table_and_an_empty_partition(loop_disk: LoopDisk) -> None:
    device = loop_disk(SIZE)
    begun = asyncio.Event()

    class Endless(RealTables):
        async def make_filesystem(self, plan: TablePlan, partition: PlannedPartition) -> None:
            await super().make_filesystem(plan, partition)
            begun.set()
            await asyncio.Event().wait()

    plan = await plan_for(device, [{"ttp": "GPT"}, row(1, "LINUX", 100, "EXT4")])
    task = asyncio.create_task(configure(Endless(), plan, NoBooks()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [part.filesystem for part in (await check(device, plan)).partitions] == [""]


async def test_another_disk_is_never_written_to(loop_disk: LoopDisk) -> None:
    device = loop_disk(SIZE)
    plan = await plan_for(device, [{"ttp": "GPT"}, row(1, "LINUX", 100, "EXT4")])
    for other in (
        replace(plan, identity="serial:other;size:1"),
        replace(plan, size=plan.size - MIB),
        replace(plan, sector_size=4096),
        replace(plan, was="gpt"),
        replace(plan, device="/dev/null"),
        replace(plan, device="/dev/not-there"),
    ):
        with pytest.raises(DiskChanged):
            await configure(RealTables(), other, NoBooks())
    assert not any(content(device)[:MIB])


async def test_a_table_that_has_changed_meanwhile_is_left_alone(loop_disk: LoopDisk, tool: Tool) -> None:
    device = loop_disk(SIZE)
    await made(device, [{"ttp": "GPT"}, row(1, "LINUX", 100, "EXT4")])
    plan = await plan_for(device, [row(1, "LINUX", 200, "EXT4")])
    tool("sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", "--append", device, stdin="size=50MiB\n")
    before = table_by_sfdisk(device)
    with pytest.raises(DiskChanged, match="another partition table"):
        await configure(RealTables(), plan, NoBooks())
    assert table_by_sfdisk(device) == before


@pytest.mark.parametrize(("excluded", "refused"), [("", True), ("p2", True), ("p1", False)])
async def test_what_somebody_has_protected_since_the_job_began_is_not_written_to_either(
    loop_disk: LoopDisk, excluded: str, refused: bool
) -> None:
    device = loop_disk(SIZE, "label: gpt\nsize=100MiB\nsize=100MiB\n")
    books = NoBooks()
    plan = await plan_for(device, [*rows((1, "LINUX", 100)), row(2, "LINUX", 100, "EXT4")])
    await configure(RealTables(), plan, books)
    before, tables = content(device), RealTables([f"{device}{excluded}"])
    if refused:
        with pytest.raises(TargetIsSystem, match=PROTECTED):
            settle(tables, plan, books.change, 2)
        with pytest.raises(TargetIsSystem, match=PROTECTED):
            await configure(tables, plan, NoBooks())
        assert content(device) == before
    else:
        assert settle(tables, plan, books.change, 2) == "new"
        assert [part.filesystem for part in (await inventory(device)).partitions] == ["", ""]
