"""Disks that fail, vanish or lie."""

from __future__ import annotations

from typing import Final

import pytest

from tests.faults.bench import WELL, Cell, Matrix, run_cells
from tests.faults.images import BLOCK, CONTAINERS, KINDS, MIB, SIZE, image

IMAGES: Final = (("crc32", "zstd"), ("0001", "none"), ("raw", "gzip"))
BODY: Final = {"first": MIB + BLOCK, "middle": 4 * MIB + 5000, "last": SIZE - MIB - 1}
EDGES: Final = {
    "superblock": 1080,
    "head": 500_000,
    "btrfs": 65600,
    "VMFS": MIB + 20,
    "LUKS2": 4 * MIB + 5,
    "Promise": SIZE - 3087 * 512,
    "tail": SIZE - 70_000,
    "end": SIZE - 1,
}

# What the disk does, at which places, and the number that the job must end with. N=1 strikes at the wipe, 2 at commit;
# of reads, 1 is the look at what is there, which need not succeed, 2 the proof of the wipe, 3 that of the commit.
FAILS: Final = (
    ("full@P", EDGES, 14),
    ("full@P=1", BODY, 14),
    ("eio@P", EDGES, 14),
    ("eio@P=1", BODY | EDGES, 14),
    ("eio@P=2", EDGES, 14),
    ("gone@P", EDGES, 14),
    ("gone@P=1", BODY, 14),
    ("gone@P=2", EDGES, 14),
    ("readonly", {"": 0}, 14),
    *((f"flush={number}", {"": 0}, 14) for number in range(1, 6)),
)
LIES: Final = (
    ("flip@P", BODY | EDGES, 91),
    ("flip@P=1", BODY | EDGES, 91),
    ("flip@P=2", EDGES, 91),
    ("lost@P", BODY | EDGES, 91),
    ("lost@P=1", BODY | EDGES, 91),
    ("lost@P=2", EDGES, 91),
    ("torn@P", BODY, 91),
    ("torn@P=2", EDGES, 91),
    ("misread@P", BODY | EDGES, 91),
    ("misread@P=2", EDGES, 91),
    ("misread@P=3", EDGES, 91),
    ("unreadable@P", BODY | EDGES, 14),
)


def cells(pair: tuple[str, str], text: str, points: dict[str, int], number: int, *, read_back: bool) -> dict[str, Cell]:
    """By name, one for each point."""
    return {
        f"{text} {pair} {name} {read_back}": Cell(
            data=image(*pair),
            restored=KINDS[pair[0]].restored,
            faults=(f"disk:{text.replace('@P', f'@{at}')}",),
            ends=(number,),
            read_back=read_back,
            honest=False,
            local=True,
        )
        for name, at in points.items()
    }


@pytest.mark.parametrize(("text", "points", "number"), FAILS, ids=[text for text, _, _ in FAILS])
async def test_a_disk_that_fails(matrix: Matrix, text: str, points: dict[str, int], number: int) -> None:
    for pair in IMAGES:
        await run_cells(matrix, "disk", cells(pair, text, points, number, read_back=pair != IMAGES[0]))


@pytest.mark.parametrize(("text", "points", "number"), LIES, ids=[text for text, _, _ in LIES])
async def test_a_disk_that_lies(matrix: Matrix, text: str, points: dict[str, int], number: int) -> None:
    for pair in IMAGES:
        await run_cells(matrix, "disk", cells(pair, text, points, number, read_back=True))


@pytest.mark.parametrize("read_back", [True, False])
async def test_a_disk_without_a_fault(matrix: Matrix, read_back: bool) -> None:
    for kind in KINDS:
        for container in CONTAINERS:
            named = cells((kind, container), "flip@P=1000", {"": 0}, WELL, read_back=read_back)
            await run_cells(matrix, "disk", named)
