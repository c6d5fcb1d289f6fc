"""The inventory of loop devices: tables, contents, and what holds them, as the kernel sees it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ogagent.disk.identity import disk_of_partition
from ogagent.disk.occupancy import block_device_number
from ogagent.disk.real import RealMachine
from ogagent.model.disk import Disk, Inventory, Partition
from tests.block_devices import forget_partitions

MIB = 1 << 20
LoopDisk = Callable[..., str]
Tool = Callable[..., str]
Mount = Callable[..., Path]

CLASSROOM = """label: gpt
1: size=16M, type=uefi
2: size=64M, type=linux, name=system
3: size=32M, type=swap
7: size=48M, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7
4: size=32M, type=linux, name=CACHE
"""


def of(inventory: Inventory, device: str) -> Disk:
    (disk,) = [disk for disk in inventory.disks if disk.device == device]
    return disk


async def read(*include: str, exclude: tuple[str, ...] = ()) -> list[Disk]:
    """The disks that are included, in order; those that the machine has itself come before."""
    inventory = await RealMachine(include, exclude).inventory()
    numbers = [disk.disk for disk in inventory.disks]
    assert exclude or numbers == list(range(1, len(numbers) + 1))
    return [disk for disk in inventory.disks if disk.device.startswith("/dev/loop")]


def parts(disk: Disk) -> dict[int, Partition]:
    return {part.partition: part for part in disk.partitions}


@contextmanager
def swapped_on(device: str, tool: Tool) -> Iterator[None]:
    tool("swapon", device)
    try:
        yield
    finally:
        tool("swapoff", device)


@contextmanager
def cached(device: str) -> Iterator[None]:
    """The kernel keeps what it has read from a device for as long as somebody has it open."""
    with Path(device).open("rb") as file:
        file.read(4 * MIB)
        yield


async def test_classroom_disk(loop_disk: LoopDisk, tool: Tool, tmp_path: Path) -> None:
    device = loop_disk(256 * MIB, CLASSROOM)
    root = tmp_path / "root/usr/lib"
    root.mkdir(parents=True)
    (root / "os-release").write_text('NAME="Ubuntu"\nVERSION_ID="24.04"\n')
    tool("mkfs.vfat", "-n", "EFI", f"{device}p1")
    tool("mke2fs", "-q", "-t", "ext4", "-d", tmp_path / "root", f"{device}p2")
    tool("mkswap", f"{device}p3")
    tool("mke2fs", "-q", "-t", "ext4", "-L", "CACHE", f"{device}p4")
    tool("mkfs.ntfs", "-q", "-Q", "-L", "Windows", f"{device}p7")
    (disk,) = await read(device)
    assert disk.identity == f"path:{device};size:{256 * MIB}"
    assert (disk.size, disk.sector_size, disk.table) == (256 * MIB, 512, "gpt")
    rows = [(p.partition, p.device, p.size, p.code, p.filesystem, p.label, p.name) for p in disk.partitions]
    assert rows == [
        (1, f"{device}p1", 16 * MIB, "EF00", "vfat", "EFI", ""),
        (2, f"{device}p2", 64 * MIB, "8300", "ext4", "", "system"),
        (3, f"{device}p3", 32 * MIB, "8200", "swap", "", ""),
        (4, f"{device}p4", 32 * MIB, "CA00", "ext4", "CACHE", "CACHE"),
        (7, f"{device}p7", 48 * MIB, "0700", "ntfs", "Windows", ""),
    ]
    assert [p.partition for p in disk.partitions if p.cache] == [4]
    assert parts(disk)[2].os == "Ubuntu 24.04"
    assert all(p.mounted is None for p in disk.partitions)
    assert {p.partition: p.used is None for p in disk.partitions} == {1: False, 2: False, 3: True, 4: False, 7: False}


async def test_msdos_with_logical_partitions(loop_disk: LoopDisk, tool: Tool) -> None:
    script = "label: dos\n1: size=32M, type=7\n2: size=64M, type=f\n4: size=32M, type=ca\n5: size=32M, type=83\n"
    device = loop_disk(160 * MIB, script)
    tool("mke2fs", "-q", f"{device}p5")
    (disk,) = await read(device)
    assert disk.table == "msdos"
    assert [(p.partition, p.code, p.filesystem, p.cache) for p in disk.partitions] == [
        (1, "7", "", False),
        (2, "f", "", False),
        (4, "ca", "", True),
        (5, "83", "ext2", False),
    ]


async def test_sectors_of_4096_bytes(loop_disk: LoopDisk, tool: Tool) -> None:
    device = loop_disk(64 * MIB, "label: gpt\n3: start=256, size=4096, type=linux\n", sector_size=4096)
    tool("mke2fs", "-q", "-t", "ext4", "-L", "big", f"{device}p3")
    (disk,) = await read(device)
    assert (disk.sector_size, disk.table) == (4096, "gpt")
    (part,) = disk.partitions
    assert (part.partition, part.start, part.size, part.label) == (3, MIB, 16 * MIB, "big")


async def test_place_and_identity_are_those_of_the_opened_partition(loop_disk: LoopDisk) -> None:
    device = loop_disk(64 * MIB, "label: gpt\n3: start=256, size=4096, type=linux\n", sector_size=4096)
    (disk,) = await read(device)
    sysfs, place = disk_of_partition(block_device_number(f"{device}p3") or 0)
    assert sysfs.name == Path(device).name
    assert (place.disk_device, place.start, place.size) == (device, MIB, 16 * MIB)
    assert (disk.partitions[0].start, disk.partitions[0].size) == (MIB, 16 * MIB)


async def test_mounted_partition(loop_disk: LoopDisk, tool: Tool, mount: Mount) -> None:
    device = loop_disk(128 * MIB, "label: gpt\n1: size=32M, type=linux\n2: size=64M, type=linux\n")
    tool("mke2fs", "-q", "-t", "ext4", f"{device}p2")
    mount_point = mount(f"{device}p2")
    (mount_point / "data").write_bytes(os.urandom(MIB) * 30)
    (disk,) = await read(device)
    assert {p.partition: p.mounted for p in disk.partitions} == {1: None, 2: str(mount_point)}
    status = os.statvfs(mount_point)
    assert disk.partitions[1].used == round(100 * (1 - status.f_bfree / status.f_blocks))
    assert disk.partitions[1].used is not None
    assert disk.partitions[1].used > 40


async def test_mounted_btrfs_whose_device_number_is_its_own(loop_disk: LoopDisk, tool: Tool, mount: Mount) -> None:
    device = loop_disk(256 * MIB, "label: gpt\n1: size=200M, type=linux\n")
    tool("mkfs.btrfs", "-q", f"{device}p1")
    mount_point = mount(f"{device}p1")
    (disk,) = await read(device)
    assert (disk.partitions[0].filesystem, disk.partitions[0].mounted) == ("btrfs", str(mount_point))


async def test_mount_point_with_a_blank(loop_disk: LoopDisk, tool: Tool, mount: Mount) -> None:
    device = loop_disk(64 * MIB, "label: gpt\n1: size=32M, type=linux\n")
    tool("mke2fs", "-q", f"{device}p1")
    mount_point = mount(f"{device}p1", "Mis imágenes")
    (disk,) = await read(device)
    assert disk.partitions[0].mounted == str(mount_point)
    assert mount_point.name == "Mis imágenes"


async def test_active_swap(loop_disk: LoopDisk, tool: Tool) -> None:
    device = loop_disk(64 * MIB, "label: gpt\n1: size=32M, type=swap\n2: type=swap\n")
    tool("mkswap", f"{device}p1")
    with swapped_on(f"{device}p1", tool):
        (disk,) = await read(device)
    assert [p.mounted for p in disk.partitions] == ["[SWAP]", None]
    (disk,) = await read(device)
    assert [p.mounted for p in disk.partitions] == [None, None]


async def test_partition_under_another_loop_device(loop_disk: LoopDisk, tool: Tool) -> None:
    device = loop_disk(64 * MIB, "label: gpt\n1: size=32M, type=linux\n")
    upper = tool("losetup", "--find", "--show", f"{device}p1").strip()
    try:
        disk = of(await RealMachine([device], []).inventory(), device)
    finally:
        tool("losetup", "--detach", upper)
    assert disk.partitions[0].mounted == f"[{Path(upper).name}]"


async def test_disk_that_is_mounted_as_a_whole(loop_disk: LoopDisk, tool: Tool, mount: Mount) -> None:
    """Its table lies in the first KiB, which an ext4 leaves alone."""
    device = loop_disk(64 * MIB)
    tool("mke2fs", "-q", "-t", "ext4", device)
    mount_point = mount(device)
    script = "label: dos\n1: start=2048, size=32M, type=83\n"
    tool("sfdisk", "--quiet", "--force", "--no-reread", "--no-tell-kernel", "--wipe", "never", device, stdin=script)
    (disk,) = await read(device)
    assert [(p.partition, p.mounted) for p in disk.partitions] == [(1, str(mount_point))]


async def test_kernel_that_does_not_know_the_partitions(loop_disk: LoopDisk, tool: Tool) -> None:
    device = loop_disk(64 * MIB, "label: gpt\n2: size=32M, type=linux\n")
    tool("mke2fs", "-q", "-t", "ext4", "-L", "hidden", f"{device}p2")
    (before,) = await read(device)
    forget_partitions(device)
    (after,) = await read(device)
    assert before == after
    assert after.partitions[0].label == "hidden"


async def test_what_was_just_written_is_what_is_found(loop_disk: LoopDisk, tool: Tool) -> None:
    """A disk and its partitions have caches of their own; the disk's must not answer for the partition."""
    device = loop_disk(64 * MIB, "label: gpt\n1: size=32M, type=linux\n")
    with cached(device):
        tool("mke2fs", "-q", "-t", "ext4", "-L", "new", f"{device}p1")
        (disk,) = await read(device)
    assert (disk.partitions[0].filesystem, disk.partitions[0].label) == ("ext4", "new")


async def test_disks_without_a_table(loop_disk: LoopDisk, tool: Tool) -> None:
    empty, whole = loop_disk(16 * MIB), loop_disk(16 * MIB)
    tool("mkfs.vfat", whole)
    first, second = await read(empty, whole)
    assert (first.table, first.partitions, first.size) == (None, (), 16 * MIB)
    assert (second.table, second.partitions) == (None, ())


async def test_included_disks_come_in_the_order_given(loop_disk: LoopDisk, tmp_path: Path) -> None:
    first, second, third = loop_disk(16 * MIB), loop_disk(32 * MIB), loop_disk(48 * MIB)
    link = tmp_path / "link"
    link.symlink_to(second)
    disks = await read(third, str(link), first, second, "/no/such")
    assert [disk.device for disk in disks] == [third, second, first]


async def test_excluded_disk_is_left_alone_even_when_included(loop_disk: LoopDisk) -> None:
    first, second = loop_disk(16 * MIB), loop_disk(16 * MIB)
    assert [disk.device for disk in await read(first, second, exclude=(first,))] == [second]


async def test_loop_devices_do_not_count_by_themselves(loop_disk: LoopDisk) -> None:
    loop_disk(16 * MIB)
    assert await read() == []


async def test_partition_is_no_disk(loop_disk: LoopDisk, caplog: pytest.LogCaptureFixture) -> None:
    device = loop_disk(64 * MIB, "label: gpt\n1: size=32M, type=linux\n")
    assert await read(f"{device}p1") == []
    assert f"{device}p1 is no disk" in caplog.text


async def test_one_cache_on_the_whole_machine(loop_disk: LoopDisk, tool: Tool) -> None:
    by_name = loop_disk(64 * MIB, "label: gpt\n1: size=32M, type=linux, name=CACHE\n")
    by_label = loop_disk(64 * MIB, "label: gpt\n1: size=16M, type=linux\n2: size=16M, type=linux\n")
    tool("mke2fs", "-q", "-t", "ext4", "-L", "CACHE", f"{by_label}p2")
    inventory = await RealMachine([by_name, by_label], []).inventory()
    assert inventory.cache is not None
    assert inventory.cache.device == f"{by_label}p2"
    assert of(inventory, by_name).partitions[0].code == "8300"


async def test_sick_disk_does_not_hide_the_others(loop_disk: LoopDisk, tool: Tool, tmp_path: Path) -> None:
    """A disk that has lost its medium: the file under it ends before its partition table."""
    sick, sound = loop_disk(64 * MIB, "label: gpt\n1: size=32M, type=linux\n"), loop_disk(16 * MIB, "label: gpt\n")
    os.truncate(tmp_path / "loop0.img", 512)
    tool("blockdev", "--flushbufs", sick)
    first, second = await read(sick, sound)
    assert (first.device, first.size, first.table, first.partitions) == (sick, 64 * MIB, None, ())
    assert (second.device, second.table) == (sound, "gpt")
