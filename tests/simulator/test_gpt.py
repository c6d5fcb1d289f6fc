"""Partition tables that are written here are read by sfdisk, and the other way round."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from simulator.machine.gpt import EFI_SYSTEM, LINUX_FILESYSTEM, Entry, Table, read_table, write_table

MIB = 1 << 20
SIZE = 40 * MIB
ENTRIES = (
    Entry(number=1, start=1 * MIB, size=8 * MIB, type=EFI_SYSTEM, name="EFI"),
    Entry(number=2, start=9 * MIB, size=16 * MIB, type=LINUX_FILESYSTEM, name="Sistema ñ"),
    Entry(number=7, start=30 * MIB, size=4 * MIB, type=LINUX_FILESYSTEM, name="x" * 36),
)
SECTOR_SIZES = pytest.mark.parametrize("sector_size", [512, 4096])
PATH = "/usr/sbin:/sbin:/usr/bin:/bin"


def tool(*arguments: str | Path, given: str | None = None) -> str:
    path = shutil.which(arguments[0], path=PATH)
    if path is None:
        pytest.skip(f"{arguments[0]} is not installed")
    result = subprocess.run([path, *arguments[1:]], input=given, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout + result.stderr


@contextmanager
def as_seen_by_sfdisk(disk: Path, sector_size: int) -> Iterator[str]:
    """The file itself; sfdisk believes in other sectors than 512 only where a device has them."""
    if sector_size == 512:
        yield str(disk)
        return
    if os.geteuid() != 0:
        pytest.skip("a loop device needs root")
    device = tool("losetup", "--find", "--show", "--sector-size", str(sector_size), disk).strip()
    try:
        yield device
    finally:
        tool("losetup", "--detach", device)


def make(path: Path, sector_size: int) -> Path:
    with path.open("wb") as file:
        file.truncate(SIZE)
        write_table(file, SIZE, ENTRIES, sector_size=sector_size)
    return path


def read(path: Path) -> Table | None:
    with path.open("rb") as file:
        return read_table(file.fileno())


def essence(entries: tuple[Entry, ...]) -> list[tuple[int, int, int, str, str]]:
    return [(entry.number, entry.start, entry.size, entry.type, entry.name) for entry in entries]


def listed(output: str, sector_size: int) -> list[tuple[int, int, int, str, str]]:
    """The same, from ``sfdisk --json``."""
    table = json.loads(output)["partitiontable"]
    assert (table["label"], table["sectorsize"]) == ("gpt", sector_size)
    numbers = [int(part["node"].removeprefix(table["device"]).lstrip("p")) for part in table["partitions"]]
    return [
        (number, part["start"] * sector_size, part["size"] * sector_size, part["type"], part["name"])
        for number, part in zip(numbers, table["partitions"], strict=True)
    ]


@SECTOR_SIZES
def test_sfdisk_finds_no_fault(tmp_path: Path, sector_size: int) -> None:
    with as_seen_by_sfdisk(make(tmp_path / "disk", sector_size), sector_size) as disk:
        assert "No errors detected" in tool("sfdisk", "--verify", disk)


@SECTOR_SIZES
def test_sfdisk_reads_the_same(tmp_path: Path, sector_size: int) -> None:
    with as_seen_by_sfdisk(make(tmp_path / "disk", sector_size), sector_size) as disk:
        assert listed(tool("sfdisk", "--json", disk), sector_size) == essence(ENTRIES)


@SECTOR_SIZES
def test_what_sfdisk_writes_is_read(tmp_path: Path, sector_size: int) -> None:
    disk = tmp_path / "disk"
    disk.touch()
    os.truncate(disk, SIZE)
    script = f"label: gpt\nstart={MIB // sector_size}, size={8 * MIB // sector_size}, type={EFI_SYSTEM}, name=EFI\n"
    with as_seen_by_sfdisk(disk, sector_size) as device:
        tool("sfdisk", "--no-reread", "--no-tell-kernel", device, given=script)
    table = read(disk)
    assert table is not None
    assert (table.sector_size, essence(table.entries)) == (sector_size, essence(ENTRIES[:1]))


@SECTOR_SIZES
def test_the_backup_serves_when_the_primary_is_damaged(tmp_path: Path, sector_size: int) -> None:
    disk = make(tmp_path / "disk", sector_size)
    with disk.open("r+b") as file:
        file.seek(sector_size + 40)
        file.write(b"\xff")
    table = read(disk)
    assert table is not None
    assert (table.sector_size, essence(table.entries)) == (sector_size, essence(ENTRIES))


@SECTOR_SIZES
def test_a_table_that_nobody_else_reads_is_none(tmp_path: Path, sector_size: int) -> None:
    """Without its MBR, or on a disk that was cut."""
    disk = make(tmp_path / "disk", sector_size)
    os.truncate(disk, SIZE - MIB)
    assert read(disk) is None
    unprotected = make(tmp_path / "unprotected", sector_size)
    with unprotected.open("r+b") as file:
        file.write(bytes(512))
    assert read(unprotected) is None


@SECTOR_SIZES
def test_what_the_header_leaves_for_partitions(tmp_path: Path, sector_size: int) -> None:
    with as_seen_by_sfdisk(make(tmp_path / "disk", sector_size), sector_size) as disk:
        told = json.loads(tool("sfdisk", "--json", disk))["partitiontable"]
    table = read(tmp_path / "disk")
    assert table is not None
    assert table.usable == (told["firstlba"] * sector_size, (told["lastlba"] + 1) * sector_size)


def test_half_a_surrogate_pair_is_a_name_too(tmp_path: Path) -> None:
    with (tmp_path / "disk").open("w+b") as file:
        file.truncate(SIZE)
        odd = Entry(number=1, start=MIB, size=MIB, type=LINUX_FILESYSTEM, name="a\ud800b")
        write_table(file, SIZE, (odd,))
        table = read_table(file.fileno())
    assert table is not None
    assert table.entries[0].name == "a\N{REPLACEMENT CHARACTER}b"


@pytest.mark.parametrize("size", [0, 100, 450, 512, 5000, MIB])
def test_a_disk_without_a_table(tmp_path: Path, size: int) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(b"\xe5" * size)
    assert read(disk) is None
