"""NTFS on a partition that is larger: two copies of its boot sector, one of them in the middle, where all is unused."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
from typing import Final

import pytest
from msgspec.structs import replace

from ogagent.image.codec import MAX_WINDOW
from ogagent.image.index import encode
from ogagent.image.pack import Packing, pack
from simulator.partclone_writer import UsedBlocks, partclone_image
from tests.faults.bench import CANCELLED, WELL, Cell, Matrix, run_cells
from tests.faults.framed import INDEX, REGION
from tests.faults.images import BEFORE, BLOCK, MIB, SIZE, packed, wiped
from tests.faults.test_interrupted import cancels, power_cuts

VOLUME: Final = 4 * MIB + 600 * 1024
PLACES: Final = {"copy": VOLUME - 512, "its end": VOLUME - 1, "last": SIZE - 512}
FAMILY: Final = "boot copy"


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    program = shutil.which("mkfs.ntfs", path="/usr/sbin:/sbin:/usr/bin")
    if program is None:
        pytest.skip("mkfs.ntfs is not installed")
    path = tmp_path_factory.mktemp("ntfs") / "volume"
    path.write_bytes(bytes(VOLUME))
    subprocess.run([program, "-q", "-F", "-f", "-c", str(BLOCK), path], check=True, capture_output=True)
    content = path.read_bytes()
    assert content[-512:] == content[:512]
    assert struct.unpack_from("<Q", content, 40) == (VOLUME // 512 - 1,)
    return content


@pytest.fixture(params=["stream", "index"])
def cell(request: pytest.FixtureRequest, volume: bytes) -> Cell:
    """All of its clusters that hold anything; they end before the copy does."""
    clusters = (VOLUME - 512) // BLOCK
    blocks = [volume[at * BLOCK : (at + 1) * BLOCK] for at in range(clusters)]
    used = tuple(range(at, at + 1) for at, block in enumerate(blocks) if any(block))
    image = b"".join(
        partclone_image(io.BytesIO(volume), UsedBlocks(block_size=BLOCK, block_count=clusters, ranges=used), "NTFS")
    )
    restored = wiped(BEFORE)
    for run in used:
        restored[run.start * BLOCK : run.stop * BLOCK] = blocks[run.start]
    for place in (VOLUME - 512, SIZE - 512):
        restored[place : place + 512] = volume[:512]
    if request.param == "stream":
        return Cell(data=packed(image, "zstd"), restored=bytes(restored), local=True, code="7")
    out = io.BytesIO()
    index = pack("x.img", iter([image]), out.write, Packing(REGION, 1, 1, MAX_WINDOW)).index
    return Cell(data=out.getvalue(), sidecars={INDEX: encode(index)}, restored=bytes(restored), local=True, code="7")


FAULTS: Final = (
    ("eio@P", 14),
    ("gone@P", 14),
    ("flip@P", 91),
    ("lost@P", 91),
    ("torn@P", 91),
    ("misread@P", 91),
    ("unreadable@P", 14),
)


async def test_a_disk_with_a_fault_there(matrix: Matrix, cell: Cell) -> None:
    """Also where nothing but the copy is written: it is proven like all else."""
    cells = {"none": cell, "unread": replace(cell, read_back=False)} | {
        f"{text} at the {name}": replace(
            cell, faults=(f"disk:{text.replace('@P', f'@{at}')}",), ends=(number,), honest=False
        )
        for text, number in FAULTS
        for name, at in PLACES.items()
    }
    for ending in await run_cells(matrix, FAMILY, cells):
        assert ending.counts.written + ending.counts.reused <= (ending.counts.total or 0)


async def test_what_is_there_already(matrix: Matrix, cell: Cell) -> None:
    await run_cells(matrix, FAMILY, {"the same": replace(cell, before=cell.restored)})


async def test_cancelled(matrix: Matrix, cell: Cell) -> None:
    await cancels(matrix, FAMILY, "cancel", replace(cell, ends=(CANCELLED, WELL)))


async def test_a_power_cut(matrix: Matrix, cell: Cell) -> None:
    """libblkid goes by the boot sector: it comes when the copies are there."""
    await power_cuts(matrix, FAMILY, "power", cell)
