"""What disks hold that no table of ours describes: as the real tools make it, and by its first bytes."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from ogagent.disk.tables import Table, read_table

MIB = 1 << 20
SIZE = 64 * MIB
Tool = Callable[..., str]
Sparse = Callable[[int], Path]


async def told(disk: Path, sector_size: int = 512) -> str:
    """The problem of a disk that has no table for us."""
    table = await read_table(str(disk), sector_size)
    assert (table.kind, table.entries) == (None, ())
    return table.problem


def write(disk: Path, place: int, data: bytes) -> None:
    with disk.open("r+b") as file:
        file.seek(place)
        file.write(data)


@pytest.fixture
def disk(sparse: Sparse) -> Path:
    return sparse(SIZE)


@pytest.fixture
def gpt(tool: Tool, disk: Path) -> Path:
    tool("sfdisk", "-q", disk, stdin="label: gpt\nstart=1M, size=8M, type=linux, name=data\n")
    return disk


@pytest.mark.parametrize("size", [0, 100, 511, 512, 4096, MIB])
async def test_an_empty_disk(sparse: Sparse, size: int) -> None:
    assert await told(sparse(size)) == ""


MADE = {
    "a file system (ext4)": ("mke2fs", "-q", "-F", "-t", "ext4"),
    "a file system (vfat)": ("mkfs.vfat",),
    "a file system (ntfs)": ("mkfs.ntfs", "-q", "-Q", "-F"),
    "something (swap)": ("mkswap",),
    "another kind (sun)": ("sfdisk", "-q", "label: sun\n"),
    "another kind (sgi)": ("sfdisk", "-q", "label: sgi\n"),
}


@pytest.mark.parametrize("what", MADE)
async def test_what_a_tool_made(tool: Tool, disk: Path, what: str) -> None:
    program, *arguments = MADE[what]
    script = arguments.pop() if program == "sfdisk" else ""
    tool(program, *arguments, disk, stdin=script)
    assert what in await told(disk)


def lvm(disk: Path) -> None:
    """lvm2/lib/format_text/layout.h, struct label_header; the checksum is a CRC-32 that begins with 0xf597a6cf."""
    rest = struct.pack("<I8s", 32, b"LVM2 001").ljust(492, b"\0")
    crc = zlib.crc32(rest, 0xF597A6CF ^ 0xFFFFFFFF) ^ 0xFFFFFFFF
    write(disk, 512, struct.pack("<8sQI", b"LABELONE", 1, crc) + rest)


def bitlocker(disk: Path) -> None:
    """util-linux/libblkid/src/superblocks/bitlocker.c: Windows 7 and later."""
    write(disk, 0, b"\xeb\x58\x90-FVE-FS-")
    write(disk, 160, bytes.fromhex("3bd66749292ed84a8399f6a339e3d001") + (65536).to_bytes(8, "little"))
    write(disk, 65536, b"-FVE-FS-" + struct.pack("<HH", 64, 2))


WRITTEN: dict[str, Callable[[Path], None]] = {
    "a member of a RAID or of a volume group (LVM2_member)": lvm,
    "encrypted data (BitLocker)": bitlocker,
    "encrypted data (crypto_LUKS)": lambda disk: write(disk, 0, b"LUKS\xba\xbe\x00\x02" + bytes(4088)),
    "a partition table of another kind (mac)": lambda disk: write(
        disk, 0, struct.pack(">HHI", 0x4552, 512, 131072).ljust(512, b"\0") + b"PM\0\0" + struct.pack(">III", 1, 1, 63)
    ),
    "not known here": lambda disk: write(disk, 60000, b"\x01"),
}


@pytest.mark.parametrize("what", WRITTEN)
async def test_what_begins_like_it(disk: Path, what: str) -> None:
    WRITTEN[what](disk)
    assert what in await told(disk)


async def test_signatures_that_contradict_each_other(tool: Tool, sparse: Sparse) -> None:
    disk, other = sparse(320 * MIB), sparse(320 * MIB)
    tool("mkfs.xfs", "-q", "-f", disk)
    tool("mke2fs", "-q", "-F", other)
    with other.open("rb") as file:
        file.seek(1024)
        write(disk, 1024, file.read(4096))
    assert "contradict each other" in await told(disk)


# --- GPTs that nobody reads ---------------------------------------------------------------------------------------


async def test_a_disk_that_was_cut(gpt: Path) -> None:
    os.truncate(gpt, SIZE - MIB)
    assert await told(gpt) == f"it has a GPT for a disk of {SIZE} bytes, and only {SIZE - MIB} are there"


async def test_a_disk_that_has_grown_is_well(gpt: Path) -> None:
    os.truncate(gpt, SIZE + MIB)
    table = await read_table(str(gpt), 512)
    assert (table.kind, table.problem, [entry.problem for entry in table.entries]) == ("gpt", "", [""])


async def test_a_header_that_is_damaged_is_not_asked_for_the_size(gpt: Path) -> None:
    os.truncate(gpt, SIZE - MIB)
    write(gpt, 512 + 32, b"\xff" * 8)
    assert await told(gpt) == "it has a GPT that is damaged"


@pytest.mark.parametrize("size", [520, 600, 1024])
async def test_a_disk_that_is_hardly_there(gpt: Path, size: int) -> None:
    os.truncate(gpt, size)
    assert "GPT" in await told(gpt)


@pytest.mark.parametrize("place", [0, 446, 510])
async def test_a_gpt_without_its_mbr(gpt: Path, place: int) -> None:
    write(gpt, place, bytes(512 - place))
    assert await told(gpt) == "it has a GPT without the MBR that protects one"


async def test_a_gpt_of_which_only_the_copy_is_left(gpt: Path) -> None:
    write(gpt, 0, bytes(MIB))
    assert await told(gpt) == "it has a GPT without the MBR that protects one"


async def test_a_gpt_that_is_damaged_twice(gpt: Path) -> None:
    write(gpt, 512 + 40, b"\xff")
    write(gpt, SIZE - 512 + 40, b"\xff")
    assert await told(gpt) == "it has a GPT that is damaged"


async def test_a_gpt_that_is_gone(gpt: Path) -> None:
    write(gpt, 512, bytes(512))
    write(gpt, SIZE - 512, bytes(512))
    assert await told(gpt) == "it has the MBR that protects a GPT, and no GPT"


async def test_a_gpt_for_other_sectors(gpt: Path) -> None:
    """As in a case for disks that shows other sectors than the one before."""
    assert await told(gpt, 4096) == "it has a GPT for sectors of 512 bytes, and the disk's are of 4096"


# --- beside a table -----------------------------------------------------------------------------------------------


def intel_raid(disk: Path) -> None:
    """mdadm/super-intel.c: the anchor lies in the last sector but one."""
    write(disk, SIZE - 1024, b"Intel Raid ISM Cfg Sig. 1.0.00\0\0")


async def whole(disk: Path) -> Table:
    table = await read_table(str(disk), 512)
    assert table.kind == "msdos"
    return table


async def test_a_table_that_shows_on_each_disk_of_a_raid(tool: Tool, disk: Path) -> None:
    tool("sfdisk", "-q", disk, stdin="label: dos\n1: start=1M, size=8M, type=83\n")
    assert (await whole(disk)).problem == ""
    intel_raid(disk)
    table = await whole(disk)
    assert table.problem == "it is a member of a RAID (isw_raid_member)"
    assert len(table.entries) == 1


async def test_a_file_system_that_is_older_than_the_table(tool: Tool, disk: Path) -> None:
    tool("mke2fs", "-q", "-F", "-t", "ext4", disk)
    tool("sfdisk", "-q", "--force", "--wipe", "never", disk, stdin="label: dos\n1: start=1M, size=8M, type=83\n")
    assert (await whole(disk)).problem == ""


async def test_a_file_system_under_a_table_without_partitions(tool: Tool, disk: Path) -> None:
    """As on a stick that boots: a boot sector ends like a table."""
    tool("mke2fs", "-q", "-F", "-t", "ext4", disk)
    write(disk, 510, b"\x55\xaa")
    assert (await whole(disk)).problem == "it holds a file system (ext4) on the whole disk, and no partitions"
