"""MSDOS tables: written here, read back here, and by sfdisk."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from simulator.machine.gpt import LINUX_FILESYSTEM, Entry, write_table
from simulator.machine.mbr import Chain, MbrEntry, read_chain, read_mbr, write_link, write_mbr
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


EXTENDED = MbrEntry(number=2, start=10 * MIB, size=50 * MIB, type=0x05)
LOGICAL = (
    MbrEntry(number=5, start=11 * MIB, size=8 * MIB, type=0x83),
    MbrEntry(number=6, start=21 * MIB, size=8 * MIB, type=0xCA),
)


def chained(path: Path, onward: int | None = None, *, signed: bool = True) -> Chain:
    """Two links; where the second one leads, and whether it has its signature."""
    with path.open("r+b") as file:
        write_mbr(file, (ENTRIES[0], EXTENDED))
        write_link(file, 10 * MIB, EXTENDED, LOGICAL[0], 20 * MIB)
        write_link(file, 20 * MIB, EXTENDED, LOGICAL[1], onward, signed=signed)
        file.flush()
        return read_chain(file.fileno(), read_mbr(file.fileno()) or ())


def test_a_chain_that_is_written_is_read(disk: Path) -> None:
    links = (10 * MIB, 20 * MIB)
    assert chained(disk) == Chain(entries=LOGICAL, links=links)
    assert chained(disk, 10 * MIB) == Chain(entries=LOGICAL, links=links, broken="circle")
    assert chained(disk, 61 * MIB) == Chain(entries=LOGICAL, links=links, broken="outside")
    assert chained(disk, signed=False) == Chain(entries=LOGICAL[:1], links=links[:1], broken="unsigned")


def test_a_table_without_an_extended_partition_has_no_chain(disk: Path) -> None:
    with disk.open("rb") as file:
        assert read_chain(file.fileno(), ENTRIES) == Chain()


def test_sfdisk_reads_the_same_chain(disk: Path) -> None:
    sfdisk = shutil.which("sfdisk", path="/usr/sbin:/sbin:/usr/bin")
    if sfdisk is None:
        pytest.skip("sfdisk is not installed")
    chained(disk)
    said = subprocess.run([sfdisk, "--json", disk], capture_output=True, check=True)
    found = [
        (row["node"].removeprefix(str(disk)), int(row["start"]) * 512, int(row["size"]) * 512, row["type"])
        for row in json.loads(said.stdout)["partitiontable"]["partitions"]
    ]
    wanted = (ENTRIES[0], EXTENDED, *LOGICAL)
    assert found == [(str(entry.number), entry.start, entry.size, f"{entry.type:x}") for entry in wanted]


def test_the_rest_of_a_boot_sector_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(b"\x42" * 510 + b"\x55\xaa")
    with (tmp_path / "disk").open("rb") as file:
        assert read_mbr(file.fileno()) is None


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
