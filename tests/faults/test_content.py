"""Images that are damaged: in their container, and in the format inside a container that is whole."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

import pytest
from msgspec.structs import replace

from tests.faults.bench import WELL, Cell, Matrix, run_cells
from tests.faults.images import (
    BLOCK,
    CONTAINERS,
    HEADER,
    HEADER_0001,
    KINDS,
    TOTAL,
    USED,
    flipped,
    image,
    packed,
    plain,
)

GARBAGE: Final = {"zero": b"\0", "text": b"garbage\n", "zeros": bytes(100_000)}
PADDING: Final = {
    "zero": b"\0",
    "zeros": bytes(100_000),
    "line end": b"\n",
    "zeros and a line end": bytes(512) + b"\r\n",
}
_SHARES: Final = (0, 1, 3, 8, 20, 200, 1000, 5000, 9900, 9990, 9999, 10_000)  # of 10,000


def damaged(kind: str, data: bytes, *ends: int) -> Cell:
    return Cell(data=data, restored=KINDS[kind].restored, ends=ends, local=True)


# --- the container ------------------------------------------------------------------------------------------------

PACKED: Final = [(kind, container) for container in CONTAINERS[1:] for kind in ("crc32", "unproven", "raw")]


@pytest.mark.parametrize(("kind", "container"), PACKED)
async def test_flips_in_the_container(matrix: Matrix, kind: str, container: str) -> None:
    """A container's header has fields that do not matter to its content."""
    data = image(kind, container)
    places = [*range(0, 24, 4), *random.Random(7).sample(range(24, len(data)), 10)]
    cells = {
        f"flip {kind} {container} {at}": damaged(kind, flipped(data, at, at % 8), *((33, WELL) if at < 20 else (33,)))
        for at in places
    }
    await run_cells(matrix, "container", cells)


@pytest.mark.parametrize(("kind", "container"), PACKED)
async def test_a_container_that_ends_early(matrix: Matrix, kind: str, container: str) -> None:
    data = image(kind, container)
    cells = {
        f"cut {kind} {container} {share}": damaged(kind, data[: len(data) * share // 10_000], 33)
        for share in _SHARES[:-1]
    }
    await run_cells(matrix, "container", cells)


@pytest.mark.parametrize(("kind", "container"), PACKED)
async def test_something_after_the_container(matrix: Matrix, kind: str, container: str) -> None:
    """Padding counts only where the program that unpacks passes over it."""
    data, padded = image(kind, container), WELL if container in ("gzip", "lzop") else 33
    ends = dict.fromkeys(GARBAGE, 33) | dict.fromkeys(PADDING, padded)
    cells = {
        f"{name} after {kind} {container}": damaged(kind, data + more, ends[name])
        for name, more in (GARBAGE | PADDING).items()
    }
    await run_cells(matrix, "container", cells)


@pytest.mark.parametrize("kind", [name for name in KINDS if name != "raw"])
async def test_without_a_container_the_length_shows_it_before_the_first_write(matrix: Matrix, kind: str) -> None:
    data = plain(kind)
    others = {name: data + more for name, more in GARBAGE.items()}
    others |= {f"cut {share}": data[: (len(data) - 1) * share // 10_000] for share in _SHARES[4:]}
    cells = {f"{name} of {kind}": damaged(kind, other, 33) for name, other in others.items()}
    cells |= {f"{name}, http": replace(cell, local=False) for name, cell in cells.items()}
    for ending in await run_cells(matrix, "format", cells):
        assert not ending.touched, ending.message


async def test_a_raw_image_that_is_too_short(matrix: Matrix) -> None:
    data = plain("raw")
    cells = {f"raw cut by {less}": damaged("raw", data[:-less], 33) for less in (1, 512, len(data) // 2)}
    for ending in await run_cells(matrix, "format", cells):
        assert not ending.touched, ending.message


async def test_the_same_image_twice(matrix: Matrix) -> None:
    cells = {f"{each} twice": damaged("crc32", image("crc32", each) * 2, 33) for each in CONTAINERS}
    await run_cells(matrix, "container", cells)


# --- the format ---------------------------------------------------------------------------------------------------


def places(name: str) -> Iterator[tuple[str, int]]:
    """Every part of an image whose bytes are proven by what the format itself brings."""
    kind = KINDS[name]
    size = len(plain(name))
    step = kind.group + kind.proof
    count = (size - kind.blocks) // step
    yield from (("header", at) for at in range(HEADER))
    yield from (("bitmap", HEADER + at * (kind.blocks - HEADER - 1) // 15) for at in range(16))
    for group in (0, 1, count // 2, count - 1):
        start = kind.blocks + group * step
        yield from (("block", start + at) for at in (0, 1, BLOCK, kind.group // 2, kind.group - 1))
        yield from (("checksum", start + kind.group + at) for at in range(kind.proof))
    yield from (("last", size - 1 - at) for at in (0, kind.proof - 1, kind.proof, BLOCK))


PARTS: Final = ("header", "bitmap", "block", "checksum", "last")


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(("kind", "container"), [("crc32", "none"), ("running", "none"), ("xxh64", "zstd")])
async def test_flips_in_the_format(matrix: Matrix, kind: str, container: str, part: str) -> None:
    cells = {
        f"flip {kind} {part} {at}": damaged(kind, packed(flipped(plain(kind), at, at % 8), container), 33)
        for name, at in places(kind)
        if name == part and (part != "header" or kind == "crc32" or at % 5 == 0)
    }
    for ending in await run_cells(matrix, "format", cells):
        assert ending.touched == (part not in ("header", "bitmap"))


async def test_flips_in_the_header_of_0001(matrix: Matrix) -> None:
    """Nothing vouches for it: the name of the file system may differ, and what is not looked at."""
    cells = {
        f"flip 0001 header {at}": damaged("0001", flipped(plain("0001"), at, at % 8), WELL, 20, 30, 33)
        for at in (*range(80), HEADER_0001 - 1)
    }
    await run_cells(matrix, "format", cells)


async def test_flips_in_the_bitmap_of_0001(matrix: Matrix) -> None:
    """A block that is not used may be called so in several ways."""
    cells = {}
    for number in (0, 16, 17, 80, 700, TOTAL // 2, TOTAL - 17, TOTAL - 1):
        for bit in (0, 1):
            ends = (33,) if bit == 0 or number in set(USED) else (WELL,)
            data = flipped(plain("0001"), HEADER_0001 + number, bit)
            cells[f"flip 0001 bitmap {number} {bit}"] = damaged("0001", data, *ends)
    await run_cells(matrix, "format", cells)


async def test_flips_in_the_blocks_of_0001(matrix: Matrix) -> None:
    """A checksum knows the first byte of its block only."""
    cells = {}
    for number in (0, 1, len(USED) // 2, len(USED) - 1):
        for at in (0, BLOCK, BLOCK + 1, BLOCK + 3):
            data = flipped(plain("0001"), KINDS["0001"].blocks + number * (BLOCK + 4) + at)
            cells[f"flip 0001 block {number} {at}"] = damaged("0001", data, 33)
    await run_cells(matrix, "format", cells)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_format_that_ends_early(matrix: Matrix, kind: str) -> None:
    data = plain(kind)
    cells = {
        f"cut {kind} {share}": damaged(kind, packed(data[: (len(data) - 1) * share // 10_000], "zstd"), 33)
        for share in _SHARES
    }
    await run_cells(matrix, "format", cells)


@pytest.mark.parametrize("kind", KINDS)
async def test_something_after_the_last_block(matrix: Matrix, kind: str) -> None:
    """A raw image has no last block, but then it does not fit any more."""
    number = 30 if kind == "raw" else 33
    cells = {
        f"{name} after {kind}": damaged(kind, packed(plain(kind) + more, "zstd"), number)
        for name, more in GARBAGE.items()
    }
    await run_cells(matrix, "format", cells)
