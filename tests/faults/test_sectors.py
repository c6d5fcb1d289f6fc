"""File systems with other sectors than the disk's. What an image holds shows when its first block has come."""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace

from ogagent.image.codec import MAX_WINDOW
from ogagent.image.index import encode
from ogagent.image.pack import Packing, pack
from simulator.partclone_writer import UsedBlocks, partclone_image
from tests.faults.bench import CANCELLED, Cell, Matrix, run_cells
from tests.faults.classroom import Classroom
from tests.faults.framed import INDEX, REGION
from tests.faults.images import BLOCK, CONTAINERS, SIZE, packed
from tests.faults.test_interrupted import cancels

FAMILY: Final = "sectors"
MISMATCH: Final = 20


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """For a disk with sectors of 4096 bytes."""
    program = shutil.which("mkfs.ntfs", path="/usr/sbin:/sbin:/usr/bin")
    if program is None:
        pytest.skip("mkfs.ntfs is not installed")
    path = tmp_path_factory.mktemp("ntfs") / "volume"
    path.write_bytes(bytes(SIZE))
    subprocess.run([program, "-q", "-F", "-f", "-s", "4096", "-c", str(BLOCK), path], check=True, capture_output=True)
    return path.read_bytes()


@pytest.fixture
def image(volume: bytes) -> bytes:
    clusters = SIZE // BLOCK
    used = tuple(range(at, at + 1) for at in range(clusters) if any(volume[at * BLOCK : (at + 1) * BLOCK]))
    blocks = UsedBlocks(block_size=BLOCK, block_count=clusters, ranges=used)
    return b"".join(partclone_image(io.BytesIO(volume), blocks, "NTFS"))


@pytest.fixture
def indexed(image: bytes) -> Cell:
    out = io.BytesIO()
    index = pack("x.img", iter([image]), out.write, Packing(REGION, 1, 1, MAX_WINDOW)).index
    return Cell(data=out.getvalue(), sidecars={INDEX: encode(index)}, restored=b"", ends=(MISMATCH,), code="7")


@pytest.fixture
def streamed(image: bytes) -> Cell:
    return Cell(data=packed(image, "zstd"), restored=b"", ends=(MISMATCH,), local=True, code="7")


async def test_it_is_never_committed(matrix: Matrix, image: bytes, streamed: Cell, indexed: Cell) -> None:
    cells = {f"in {each}": replace(streamed, data=packed(image, each)) for each in CONTAINERS}
    cells |= {"indexed": indexed, "unread": replace(indexed, read_back=False)}
    for ending in await run_cells(matrix, FAMILY, cells):
        assert ending.touched
        assert ending.counts.read_back == 0


async def test_a_raw_image_is_refused_before_the_first_write(matrix: Matrix, volume: bytes, streamed: Cell) -> None:
    cells = {f"raw in {each}": replace(streamed, data=packed(volume, each)) for each in CONTAINERS}
    for ending in await run_cells(matrix, FAMILY, cells):
        assert not ending.touched


async def test_what_is_there_already(matrix: Matrix, volume: bytes, indexed: Cell) -> None:
    await run_cells(matrix, FAMILY, {"the same": replace(indexed, before=volume)})


async def test_from_the_cache(matrix: Matrix, streamed: Cell, tmp_path: Path) -> None:
    """All of it has proven to be the repository's image by then: nobody else is asked for it."""
    room = Classroom(matrix, tmp_path)
    cell = replace(streamed, sidecars={".full.sum": hashlib.md5(streamed.data).hexdigest().encode()}, local=False)
    room.shelve(cell.data, cell)
    ending = await room.deploy(cell)
    assert (ending.counts.received, room.warned) == (0, [])
    assert room.files == ["x.img", "x.img.full.sum"]


async def test_cancelled(matrix: Matrix, streamed: Cell) -> None:
    await cancels(matrix, FAMILY, "cancel", replace(streamed, ends=(CANCELLED, MISMATCH)))
