"""MSDOS tables: written here, read back here, and by sfdisk."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from simulator.machine.gpt import LINUX_FILESYSTEM, Entry, write_table
from simulator.machine.mbr import MbrEntry, read_mbr, write_mbr
from simulator.machine.table import read_disk
from simulator.tree import MIB

SIZE = 64 * MIB
ENTRIES = (
    MbrEntry(number=1, start=1 * MIB, size=8 * MIB, type=0x07),
    MbrEntry(number=2, start=9 * MIB, size=16 * MIB, type=0x83),
    MbrEntry(number=4, start=30 * MIB, size=4 * MIB, type=0xCA),
)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk"
    with path.open("wb") as file:
        file.truncate(SIZE)
        write_mbr(file, ENTRIES)
    return path


def test_what_is_written_is_read(disk: Path) -> None:
    fd = os.open(disk, os.O_RDONLY)
    try:
        assert read_mbr(fd) == ENTRIES
        table = read_disk(fd)
    finally:
        os.close(fd)
    assert (table.kind, table.size, table.sector_size) == ("msdos", SIZE, 512)
    assert [row.type for row in table.rows] == ["7", "83", "ca"]


def test_sfdisk_reads_the_same(disk: Path) -> None:
    sfdisk = shutil.which("sfdisk", path="/usr/sbin:/sbin:/usr/bin")
    if sfdisk is None:
        pytest.skip("sfdisk is not installed")
    said = subprocess.run([sfdisk, "--json", disk], capture_output=True, check=True)
    table = json.loads(said.stdout)["partitiontable"]
    assert table["label"] == "dos"
    found = [(int(row["start"]) * 512, int(row["size"]) * 512, row["type"]) for row in table["partitions"]]
    assert found == [(entry.start, entry.size, f"{entry.type:x}") for entry in ENTRIES]


@pytest.mark.parametrize("what", ["empty", "short", "gpt"])
def test_what_is_no_msdos_table(tmp_path: Path, what: str) -> None:
    path = tmp_path / "disk"
    with path.open("wb") as file:
        file.truncate(100 if what == "short" else SIZE)
        if what == "gpt":
            write_table(file, SIZE, [Entry(number=1, start=MIB, size=MIB, type=LINUX_FILESYSTEM)])
    fd = os.open(path, os.O_RDONLY)
    try:
        assert read_mbr(fd) is None
        assert read_disk(fd).kind == ("gpt" if what == "gpt" else None)
    finally:
        os.close(fd)
