"""Partition tables that are written here are read by sfdisk, and the other way round."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
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


def sfdisk(*arguments: str | Path, given: str | None = None) -> str:
    path = shutil.which("sfdisk", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if path is None:
        pytest.skip("sfdisk is not installed")
    result = subprocess.run([path, *arguments], input=given, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout + result.stderr


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


@SECTOR_SIZES
def test_sfdisk_finds_no_fault(tmp_path: Path, sector_size: int) -> None:
    disk = make(tmp_path / "disk", sector_size)
    assert "No errors detected" in sfdisk("--sector-size", str(sector_size), "--verify", disk)


@SECTOR_SIZES
def test_sfdisk_reads_the_same(tmp_path: Path, sector_size: int) -> None:
    disk = make(tmp_path / "disk", sector_size)
    table = json.loads(sfdisk("--sector-size", str(sector_size), "--json", disk))["partitiontable"]
    found = [
        (
            int(part["node"].removeprefix(str(disk))),
            part["start"] * sector_size,
            part["size"] * sector_size,
            part["type"],
            part["name"],
        )
        for part in table["partitions"]
    ]
    assert (table["label"], table["sectorsize"]) == ("gpt", sector_size)
    assert found == essence(ENTRIES)


@SECTOR_SIZES
def test_what_sfdisk_writes_is_read(tmp_path: Path, sector_size: int) -> None:
    disk = tmp_path / "disk"
    disk.touch()
    os.truncate(disk, SIZE)
    script = f"label: gpt\nstart={MIB // sector_size}, size={8 * MIB // sector_size}, type={EFI_SYSTEM}, name=EFI\n"
    sfdisk("--sector-size", str(sector_size), "--no-reread", "--no-tell-kernel", disk, given=script)
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


@pytest.mark.parametrize("size", [0, 100, 512, 5000, MIB])
def test_a_disk_without_a_table(tmp_path: Path, size: int) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(b"\xe5" * size)
    assert read(disk) is None
