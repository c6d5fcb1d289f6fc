"""Chains of logical partitions, as sfdisk makes them, and broken in every way."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from ogagent.disk.chain import Chain, read_chain
from ogagent.disk.tables import Table, read_table

MIB = 1 << 20


class Extended(Struct):
    start: int = 10 * MIB
    size: int = 50 * MIB


def write_link(path: Path, at: int, *rows: tuple[int, int, int], signature: bytes = b"\x55\xaa") -> None:
    """Rows of type, first sector and number of sectors."""
    packed = b"".join(struct.pack("<4xB3xII", *row) for row in rows)
    with path.open("r+b") as file:
        file.seek(at + 446)
        file.write(packed.ljust(64, b"\0") + signature)


def chain_of(path: Path, sector_size: int = 512) -> Chain:
    fd = os.open(path, os.O_RDONLY)
    try:
        return read_chain(fd, Extended(), sector_size)
    finally:
        os.close(fd)


@pytest.fixture
def disk(sparse: Callable[[int], Path]) -> Path:
    return sparse(64 * MIB)


LOGICAL = (0x83, 2048, 8192)


def onward(place: int) -> tuple[int, int, int]:
    return 0x05, (place - Extended().start) // 512, 8192


def test_one_link_and_several(disk: Path) -> None:
    write_link(disk, 10 * MIB, LOGICAL)
    assert chain_of(disk) == Chain((10 * MIB,))
    write_link(disk, 10 * MIB, LOGICAL, onward(20 * MIB))
    write_link(disk, 20 * MIB, onward(15 * MIB), LOGICAL)
    write_link(disk, 15 * MIB)
    assert chain_of(disk) == Chain((10 * MIB, 20 * MIB, 15 * MIB))


@pytest.mark.parametrize("back_to", [10 * MIB, 20 * MIB])
def test_a_circle(disk: Path, back_to: int) -> None:
    write_link(disk, 10 * MIB, LOGICAL, onward(20 * MIB))
    write_link(disk, 20 * MIB, LOGICAL, onward(back_to))
    assert chain_of(disk) == Chain((10 * MIB, 20 * MIB), "circle")


@pytest.mark.parametrize("place", [60 * MIB, 60 * MIB - 511, 63 * MIB, 1 << 40])
def test_a_way_out(disk: Path, place: int) -> None:
    write_link(disk, 10 * MIB, LOGICAL, (0x0F, -(-(place - 10 * MIB) // 512) & 0xFFFFFFFF, 1))
    found = chain_of(disk)
    assert found.broken == "outside"
    assert found.links == (10 * MIB,)


@pytest.mark.parametrize("signature", [bytes(2), b"\xaa\x55", b"\x55\x00"])
def test_a_link_without_its_signature(disk: Path, signature: bytes) -> None:
    write_link(disk, 10 * MIB, LOGICAL, onward(20 * MIB))
    write_link(disk, 20 * MIB, LOGICAL, signature=signature)
    assert chain_of(disk) == Chain((10 * MIB,), "unsigned")
    write_link(disk, 10 * MIB, LOGICAL, signature=signature)
    assert chain_of(disk) == Chain((), "unsigned")


def test_a_link_beyond_the_end_of_the_disk(disk: Path) -> None:
    os.truncate(disk, 10 * MIB)
    assert chain_of(disk) == Chain((), "unsigned")


def test_a_link_that_says_too_much(disk: Path) -> None:
    write_link(disk, 10 * MIB, LOGICAL, (0x83, 20480, 8192))
    assert chain_of(disk).broken == "crowded"
    write_link(disk, 10 * MIB, onward(20 * MIB), onward(30 * MIB))
    assert chain_of(disk).broken == "crowded"


def test_a_chain_without_an_end(disk: Path) -> None:
    for number in range(200):
        write_link(disk, 10 * MIB + number * 512, (0x83, 1, 1), onward(10 * MIB + (number + 1) * 512))
    found = chain_of(disk)
    assert found.broken == "crowded"
    assert len(found.links) < 60


@given(st.binary(min_size=512, max_size=512))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, sector: bytes) -> None:
    path = tmp_path_factory.mktemp("chain") / "disk"
    with path.open("wb") as file:
        file.truncate(11 * MIB)
        file.seek(10 * MIB)
        file.write(sector[:510] + b"\x55\xaa")
    chain_of(path)


# --- with sfdisk --------------------------------------------------------------------------------------------------

SCRIPT = "label: dos\n1: start=1M, size=8M, type=83\n2: start=10M, size=50M, type=f\n"
LOGICALS = "5: start=11M, size=8M, type=83\n6: start=20M, size=8M, type=ca\n7: start=30M, size=8M, type=7\n"


def problems(table: Table) -> dict[int, str]:
    return {entry.number: entry.problem for entry in table.entries}


async def test_as_sfdisk_makes_it(tool: Callable[..., str], disk: Path) -> None:
    tool("sfdisk", "-q", disk, stdin=SCRIPT + LOGICALS)
    found = chain_of(disk)
    assert (len(found.links), found.links[0], found.broken) == (3, 10 * MIB, "")
    assert set(problems(await read_table(str(disk), 512)).values()) == {""}


async def test_as_sfdisk_follows_it_in_a_circle(tool: Callable[..., str], disk: Path) -> None:
    """Without an end: what it shows up to number 60 are the bytes of 5, 6 and 7 again and again."""
    tool("sfdisk", "-q", disk, stdin=SCRIPT + LOGICALS)
    *_, last = chain_of(disk).links
    write_link(disk, last, (0x07, (30 * MIB - last) // 512, 16384), onward(10 * MIB))
    found = problems(await read_table(str(disk), 512))
    assert sorted(found) == [1, 2, *range(5, 61)]
    assert found.pop(1) == ""
    assert "runs in a circle" in found.pop(2)
    assert all(problem.startswith("it shares bytes with partition") for problem in found.values())


@pytest.mark.parametrize("link", [0, 1, 2])
async def test_as_sfdisk_shows_it_without_a_signature(tool: Callable[..., str], disk: Path, link: int) -> None:
    """With a remark before its JSON."""
    tool("sfdisk", "-q", disk, stdin=SCRIPT + LOGICALS)
    with disk.open("r+b") as file:
        file.seek(chain_of(disk).links[link] + 510)
        file.write(bytes(2))
    table = await read_table(str(disk), 512)
    assert (table.kind, table.problem) == ("msdos", "")
    found = problems(table)
    assert found.pop(1) == ""
    assert set(found.values()) == {"a link in the chain of logical partitions lacks its signature"}
