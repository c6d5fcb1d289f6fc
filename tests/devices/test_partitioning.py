"""Tables and file systems made on loop devices, by the agent and judged by others."""

from __future__ import annotations

import os
import struct
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import pytest

from ogagent.errors import DeviceBusy, PartitionInUse
from ogagent.model.units import KIB, MIB
from ogagent.partition.formats import FORMATS
from ogagent.partition.real import RealTables
from ogagent.partition.work import configure
from tests.devices.configured import SIZE, NoBooks, check, content, inventory, made, plan_for, row
from tests.devices.conftest import LoopDisk, Mount, unmount
from tests.partition.disks import own_rows, rows
from tests.partition.judges import table_by_sfdisk

Tool = Callable[..., str]
CACHE: Final = {"che": "1", "tch": str(100 * KIB)}


EVERYTHING: Final = [
    row(1, "EFI", 300, "FAT32"),
    row(2, "LINUX", 64, "EXT4"),
    row(3, "LINUX", 64, "EXT3"),
    row(5, "LINUX", 64, "EXT2"),
    row(6, "NTFS", 64, "NTFS"),
    row(7, "LINUX-SWAP", 20, "LINUX-SWAP"),
    row(8, "DATA", 64, "EXFAT"),
    row(9, "LINUX", 130, "BTRFS"),
    row(10, "LINUX", 80, "F2FS"),
    row(11, "DATA", 70, "FAT16"),
    row(12, "LINUX", 12, "EMPTY"),
]
FOUND: Final = dict(
    enumerate(("vfat", "ext4", "ext3", "ext4", "ext2", "ntfs", "swap", "exfat", "btrfs", "f2fs", "vfat", ""), start=1)
)
LOGICAL: Final = [
    {**CACHE, "ttp": "MSDOS"},
    row(1, "NTFS", 300, "NTFS"),
    *rows((2, "EXTENDED", 600)),
    row(5, "LINUX", 64, "EXT4"),
    row(6, "LINUX-SWAP", 20, "LINUX-SWAP"),
    row(7, "FAT32", 300, "FAT32"),
]


@pytest.mark.parametrize("sector_size", [512, 4096])
async def test_every_file_system_on_a_gpt(loop_disk: LoopDisk, sector_size: int) -> None:
    device = loop_disk(SIZE, sector_size=sector_size)
    there = await check(device, await made(device, [{**CACHE, "ttp": "GPT"}, *EVERYTHING]))

    assert {part.partition: part.filesystem for part in there.partitions} == FOUND
    assert [(part.label, part.name) for part in there.partitions if part.cache] == [("CACHE", "CACHE")]


@pytest.mark.parametrize("sector_size", [512, 4096])
async def test_the_smallest_of_each(loop_disk: LoopDisk, sector_size: int) -> None:
    device = loop_disk(SIZE, sector_size=sector_size)
    leasts = {
        name: max(each.least, each.least_sectors * sector_size, sector_size) // KIB for name, each in FORMATS.items()
    }
    wanted = [
        {"par": str(number), "cpt": "LINUX", "sfi": name, "tam": str(least), "ope": "1"}
        for number, (name, least) in enumerate(leasts.items(), start=1)
    ]
    there = await check(device, await made(device, [{"ttp": "GPT"}, *wanted]))

    assert [part.filesystem for part in there.partitions] == [each.signature for each in FORMATS.values()]


async def test_xfs(loop_disk: LoopDisk) -> None:
    device = loop_disk(SIZE)
    there = await check(device, await made(device, [{"ttp": "GPT"}, row(1, "LINUX", 400, "XFS")]))

    assert there.partitions[0].filesystem == "xfs"


async def test_an_ext4_that_grub_reads(loop_disk: LoopDisk, tool: Tool) -> None:
    device = loop_disk(SIZE)
    await made(device, [{"ttp": "GPT"}, row(1, "LINUX", 400, "EXT4")])
    features = next(line for line in tool("dumpe2fs", "-h", f"{device}p1").splitlines() if "features:" in line)

    assert not {"metadata_csum_seed", "orphan_file"} & set(features.split())
    assert {"has_journal", "extent", "metadata_csum", "64bit"} <= set(features.split())
    tool("e2fsck", "-fn", f"{device}p1")


@pytest.mark.parametrize("sector_size", [512, 4096])
async def test_logical_partitions_and_a_chain_that_is_rewritten(
    loop_disk: LoopDisk, sector_size: int, tool: Tool
) -> None:
    device = loop_disk(SIZE, sector_size=sector_size)
    first = await check(device, await made(device, LOGICAL))
    assert [part.filesystem for part in first.partitions] == ["ntfs", "", "ext4", "ext4", "swap", "vfat"]
    tool("tune2fs", "-L", "mine", f"{device}p5")

    fewer = [CACHE, *rows((1, "NTFS", 300), (2, "EXTENDED", 600), (5, "LINUX", 64), (6, "LINUX", 100))]
    plan = await made(device, fewer)
    assert {part.number: part.fate for part in plan.partitions} == {
        1: "kept",
        2: "moved",
        4: "kept",
        5: "kept",
        6: "moved",
    }
    there = await check(device, plan)
    assert [part.label for part in there.partitions if part.partition == 5] == ["mine"]
    assert "No errors detected" in tool("sfdisk", "--verify", device)

    again = await plan_for(device, fewer)
    assert {part.fate for part in again.partitions} == {"kept"}


def write_links(device: str, links: Mapping[int, Sequence[tuple[int, int]]]) -> None:
    """Of the chain of logical partitions: by their MiB, rows of type and start, of 2048 sectors each."""
    with open(device, "r+b") as disk:
        for at, wanted in links.items():
            said = [struct.pack("<B3sB3sII", 0, bytes(3), kind, bytes(3), start, 2048) for kind, start in wanted]
            disk.seek(at * MIB + 446)
            disk.write(b"".join(said).ljust(64, b"\0") + b"\x55\xaa")


@pytest.mark.parametrize(
    "first", [((0x83, 2048), (0x83, 6144), (5, 10240)), ((0x83, 2048), (5, 10240), (5, 20480))], ids=["rows", "links"]
)
async def test_a_chain_that_says_more_than_one_can_does_not_keep_the_disk_from_another_table(
    loop_disk: LoopDisk, first: tuple[tuple[int, int], ...]
) -> None:
    device = loop_disk(SIZE, "label: dos\nsize=8MiB\nsize=50MiB, type=f\n")
    write_links(device, {9: first, 9 + 5: ((0x83, 2048),)})
    plan = await made(device, [{"ttp": "GPT"}, row(1, "LINUX", 40, "EXT4")])

    assert [(part.partition, part.start // MIB) for part in plan.before] == [(1, 1), (2, 9), (5, 10), (6, 15)]
    await check(device, plan)


@pytest.mark.parametrize("way", [("GPT", "MSDOS"), ("MSDOS", "GPT")])
@pytest.mark.parametrize("sector_size", [512, 4096])
async def test_a_cache_survives_the_conversion_of_the_table(
    loop_disk: LoopDisk, mount: Mount, tmp_path: Path, way: tuple[str, str], sector_size: int
) -> None:
    device = loop_disk(SIZE, sector_size=sector_size)
    await made(device, [{**CACHE, "ttp": way[0]}, row(1, "LINUX", 100, "EXT4"), row(2, "NTFS", 100, "NTFS")])
    write_into(f"{device}p4", tmp_path / "filled")
    before = content(f"{device}p4")
    plan = await made(device, [{**CACHE, "ttp": way[1]}, row(1, "LINUX", 150, "EXT4"), row(2, "NTFS", 100, "NTFS")])

    assert plan.partitions[-1].fate == "kept"
    there = await check(device, plan)
    assert there.partitions[-1].cache
    assert content(f"{device}p4") == before
    assert (mount(f"{device}p4") / "image").read_bytes() == b"image" * MIB


def write_into(device: str, directory: Path) -> None:
    directory.mkdir()
    subprocess.run(["mount", device, directory], check=True)
    try:
        (directory / "image").write_bytes(b"image" * MIB)
    finally:
        unmount(directory)


async def test_an_inventory_sent_back_writes_nothing(loop_disk: LoopDisk) -> None:
    device = loop_disk(SIZE)
    await made(device, LOGICAL)
    before = content(device)
    await made(device, own_rows(await inventory(device)))

    assert content(device) == before


async def test_a_cache_in_use_stays_so(loop_disk: LoopDisk, mount: Mount) -> None:
    device = loop_disk(SIZE)
    await made(device, [{**CACHE, "ttp": "GPT"}, row(1, "LINUX", 100, "EXT4")])
    where = mount(f"{device}p4")
    (where / "image").write_bytes(b"image" * MIB)
    plan = await made(device, [CACHE, row(1, "NTFS", 200, "NTFS"), row(2, "LINUX", 100, "EXT4")])
    there = await check(device, plan)

    assert there.partitions[-1].mounted == str(where)
    assert (where / "image").read_bytes() == b"image" * MIB


async def test_what_is_in_use_is_refused_by_name(loop_disk: LoopDisk, mount: Mount, tool: Tool) -> None:
    device = loop_disk(SIZE)
    await made(device, [{"ttp": "GPT"}, row(1, "LINUX", 100, "EXT4"), row(2, "LINUX-SWAP", 20, "LINUX-SWAP")])
    stale = await plan_for(device, [row(1, "LINUX", 100, "EXT4")])
    where = mount(f"{device}p1")
    before = table_by_sfdisk(device)
    with pytest.raises(PartitionInUse, match=str(where)):
        await plan_for(device, [row(1, "LINUX", 100, "EXT4")])
    with pytest.raises(DeviceBusy):
        await configure(RealTables(), stale, NoBooks())
    assert table_by_sfdisk(device) == before

    tool("swapon", f"{device}p2")
    try:
        with pytest.raises(PartitionInUse, match="SWAP"):
            await plan_for(device, [*rows((1, "LINUX", 100))])
    finally:
        tool("swapoff", f"{device}p2")
    assert table_by_sfdisk(device) == before


@pytest.mark.parametrize("old", ["lvm", "md 0.90", "md 1.0", "md 1.2", "zfs", "luks2", "xfs", "vfat on the whole disk"])
@pytest.mark.parametrize("whole", [True, False], ids=["disk", "partition"])
async def test_old_signatures_are_gone(loop_disk: LoopDisk, tool: Tool, old: str, whole: bool) -> None:
    device = loop_disk(SIZE, "" if whole else "label: gpt\nstart=1MiB, size=500MiB\n")
    place = device if whole else f"{device}p1"
    sign(place, old, tool)
    assert tool("wipefs", "--no-act", "--noheadings", place).strip()
    plan = await made(device, [{"ttp": "GPT", "che": "0"}, *rows((1, "LINUX", 600), (2, "LINUX", 400))])

    assert {part.fate for part in plan.partitions} <= {"new", "moved"}
    there = await check(device, plan)
    assert [part.filesystem for part in there.partitions] == ["", ""]
    for number in (1, 2):
        assert not tool("wipefs", "--no-act", "--noheadings", f"{device}p{number}").strip()
    left = tool("wipefs", "--no-act", "--noheadings", "--output", "TYPE", device).split()
    assert set(left) <= {"gpt", "PMBR"}


def sign(place: str, what: str, tool: Tool) -> None:
    match what.split():
        case ["lvm"]:
            tool("pvcreate", "-ff", "-y", "--config", "devices/scan_lvs=0", place)
        case ["md", version]:
            with open(place, "r+b", buffering=0) as disk:
                size = disk.seek(0, os.SEEK_END)
                at = {"0.90": size // 65536 * 65536 - 65536, "1.0": size // 4096 * 4096 - 8192, "1.2": 4096}[version]
                disk.seek(at)
                disk.write(md_superblock(at, version))
        case ["zfs"]:
            with open(place, "r+b", buffering=0) as disk:
                size = disk.seek(0, os.SEEK_END) // 262144 * 262144
                for label in (0, 262144, size - 524288, size - 262144):
                    for slot in range(0, 131072, 1024):
                        disk.seek(label + 131072 + slot)
                        disk.write((0x00BAB10C).to_bytes(8, "little") + (5000).to_bytes(8, "little") + bytes(496))
        case ["luks2"]:
            with open(place, "r+b", buffering=0) as disk:
                disk.write(b"LUKS\xba\xbe\0\2".ljust(4096, b"\0"))
                disk.seek(16384)
                disk.write(b"SKUL\xba\xbe\0\2".ljust(4096, b"\0"))
        case ["xfs"]:
            tool("mkfs.xfs", "-q", "-f", place)
        case _:
            tool("mkfs.vfat", "-I", "-F", "32", place)


def md_superblock(at: int, version: str) -> bytes:
    """linux/raid/md_p.h, as far as libblkid asks for it."""
    block = bytearray(4096)
    block[0:4] = (0xA92B4EFC).to_bytes(4, "little")
    if version == "0.90":
        block[4:8], block[8:12] = (0).to_bytes(4, "little"), (90).to_bytes(4, "little")
        return bytes(block)
    block[4:8] = (1).to_bytes(4, "little")
    block[144:152] = (at // 512).to_bytes(8, "little")
    total = sum(int.from_bytes(block[each : each + 4], "little") for each in range(0, 256, 4))
    block[216:220] = ((total & 0xFFFFFFFF) + (total >> 32)).to_bytes(4, "little")
    return bytes(block)
