"""The disks of a PC whose own system is running: what kernel and udev say, and nothing is opened."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace

from ogagent.disk.kernel import KernelDisk, KernelPartition
from ogagent.disk.seen import SeenDisks, seen
from ogagent.model.disk import Inventory
from ogagent.model.report import configuration
from ogagent.system.os_release import system_name

MIB: Final = 1 << 20
DISK: Final = KernelDisk(
    device="/dev/sda",
    identity="wwn:0x5000c500a1b2c3d4;size:1073741824",
    model="ST1000DM010",
    size=1 << 30,
    sector_size=512,
    partitions={
        1: KernelPartition(device="/dev/sda1", start=MIB, size=100 * MIB, holder="/boot/efi"),
        2: KernelPartition(device="/dev/sda2", start=101 * MIB, size=400 * MIB, holder="/"),
        3: KernelPartition(device="/dev/sda3", start=501 * MIB, size=100 * MIB),
        4: KernelPartition(device="/dev/sda4", start=601 * MIB, size=100 * MIB),
    },
)
KNOWN: Final[Mapping[str, Mapping[str, str]]] = {
    "/dev/sda": {"ID_PART_TABLE_TYPE": "gpt"},
    "/dev/sda1": {
        "ID_FS_TYPE": "vfat",
        "ID_PART_ENTRY_TYPE": "c12a7328-f81f-11d2-ba4b-00a0c93ec93b",
        "ID_PART_ENTRY_NAME": r"EFI\x20System\x20Partition",
    },
    "/dev/sda2": {
        "ID_FS_TYPE": "ext4",
        "ID_FS_LABEL_ENC": r"Aula\x20\xc3\xb1",
        "ID_PART_ENTRY_TYPE": "0fc63daf-8483-4772-8e79-3d69d8477de4",
    },
    "/dev/sda3": {"ID_PART_ENTRY_TYPE": "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7", "ID_FS_TYPE": "BitLocker"},
    "/dev/sda4": {
        "ID_PART_ENTRY_TYPE": "0fc63daf-8483-4772-8e79-3d69d8477de4",
        "ID_FS_TYPE": "ext4",
        "ID_FS_LABEL_ENC": "CACHE",
    },
}


def look(
    disk: KernelDisk = DISK, known: Mapping[str, Mapping[str, str]] = KNOWN, *, thorough: bool = True
) -> Inventory:
    return seen({1: disk}, lambda device: known.get(device, {}), thorough=thorough)


def test_what_udev_knows_is_told() -> None:
    (disk,) = look().disks
    assert (disk.table, disk.identity, disk.model) == ("gpt", DISK.identity, "ST1000DM010")
    assert [(row.partition, row.code, row.filesystem, row.label, row.name, row.mounted) for row in disk.partitions] == [
        (1, "EF00", "vfat", "", "EFI System Partition", "/boot/efi"),
        (2, "8300", "ext4", "Aula ñ", "", "/"),
        (3, "0700", "BitLocker", "", "", None),
        (4, "CA00", "ext4", "CACHE", "", None),
    ]
    assert [row.cache for row in disk.partitions] == [False, False, False, True]


def test_the_running_system_is_told_where_it_lies() -> None:
    rows = look().disks[0].partitions
    assert [row.os for row in rows] == ["", system_name(), "", ""]
    assert rows[1].used is not None
    assert rows[2].used is None
    assert [row.os for row in look(thorough=False).disks[0].partitions] == [""] * 4


def test_a_mount_point_of_which_the_name_is_no_text() -> None:
    """As that of a stick, which is called what its owner likes."""
    (disk,) = look(replace(DISK, partitions={1: replace(DISK.partitions[1], holder="/media/\udcff\n")})).disks
    assert disk.partitions[0].mounted == "/media/?"


def test_an_msdos_table() -> None:
    known = {"/dev/sda": {"ID_PART_TABLE_TYPE": "dos"}, "/dev/sda2": {"ID_PART_ENTRY_TYPE": "0x83"}}
    (disk,) = look(known=known).disks
    assert (disk.table, [row.code for row in disk.partitions]) == ("msdos", ["0000", "83", "0000", "0000"])


def test_without_udev_there_is_what_the_kernel_says() -> None:
    (disk,) = look(known={}).disks
    assert (disk.table, disk.size) == (None, 1 << 30)
    assert [(row.start, row.mounted) for row in disk.partitions][1] == (101 * MIB, "/")


def test_the_rows_for_ogcore() -> None:
    rows = configuration(look())
    assert [(row["par"], row["cpt"], row["fsi"]) for row in rows] == [
        ("0", "2", ""),
        ("1", "EF00", "FAT32"),
        ("2", "8300", "EXT4"),
        ("3", "0700", "BITLOCKER"),
        ("4", "CA00", "CACHE"),
    ]


@pytest.mark.skipif(not Path("/sys/block").is_dir(), reason="needs /sys")
async def test_no_block_device_of_this_machine_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    real = os.open

    def watching(path: os.PathLike[str] | str, *arguments: int, **more: int) -> int:
        opened.append(str(path))
        return real(path, *arguments, **more)

    monkeypatch.setattr(os, "open", watching)
    inventory = await SeenDisks((), ()).inventory()
    devices = {disk.device for disk in inventory.disks} | {
        row.device for disk in inventory.disks for row in disk.partitions
    }
    assert devices.isdisjoint(opened)
