"""Boot sectors that say impossible things: what was meant is where it belongs, and nothing else has changed."""

from __future__ import annotations

import io
import random
import struct
from pathlib import Path
from typing import Final

import pytest

from simulator.partclone_writer import UsedBlocks, partclone_image
from tests.restore.one_file import onto

BLOCK: Final = 4096
MIB: Final = 1 << 20
SIZE: Final = 6 * MIB
BLOCKS: Final = SIZE // BLOCK
USED: Final = range(900)
END: Final = len(USED) * BLOCK
NOISE: Final = random.Random(6).randbytes(SIZE)
BEFORE: Final = b"\xee" * SIZE
EDGES: Final = [
    range(MIB),
    *(range(page, page + BLOCK) for page in (MIB, 2 * MIB, 4 * MIB, SIZE - 386 * BLOCK)),
    range(SIZE - MIB, SIZE),
]
"""What is unused of them becomes zeros, and only there."""


def restored(boot: bytes, *copies: int) -> bytes:
    """What the partition must hold, with a copy of the boot sector at each of these places."""
    content = bytearray(BEFORE)
    for edge in EDGES:
        content[edge.start : edge.stop] = bytes(len(edge))
    content[:END] = NOISE[:END]
    content[: len(boot)] = boot
    (sector,) = struct.unpack_from("<H", boot, 11)
    for place in copies:
        content[place : place + sector] = content[:sector]
    return bytes(content)


def boot_sector(sector: int, sectors: int, name: bytes = b"NTFS    ") -> bytes:
    return b"\xeb\x52\x90" + name + struct.pack("<H", sector) + bytes(27) + struct.pack("<Q", sectors)


async def restore(folder: Path, boot: bytes, filesystem: str = "NTFS") -> bytes:
    volume = boot + NOISE[len(boot) :]
    image, target = folder / "x.img", folder / "partition"
    blocks = UsedBlocks(block_size=BLOCK, block_count=BLOCKS, ranges=(USED,))
    image.write_bytes(b"".join(partclone_image(io.BytesIO(volume), blocks, filesystem)))
    target.write_bytes(BEFORE)
    (sector,) = struct.unpack_from("<H", boot, 11)
    await onto(target, image, sector_size=sector if sector in (256, 1024, 2048, 4096) else 512)
    return target.read_bytes()


@pytest.mark.parametrize("sector", [256, 512, 1024, 2048, 4096])
async def test_a_copy_has_the_size_of_a_sector(tmp_path: Path, sector: int) -> None:
    boot = boot_sector(sector, END // sector)
    assert await restore(tmp_path, boot) == restored(boot, END, SIZE - sector)


IMPOSSIBLE: Final = {
    "no sectors": (512, 0),
    "sectors of nothing": (0, 4000),
    "sectors of 128 bytes": (128, END // 128),
    "sectors of 513 bytes": (513, END // 513 + 1),
    "sectors of 8 KiB": (8192, END // 8192),
    "sectors of 64 KiB": (0xFFFF, END // 0xFFFF + 1),
    "within the boot sector": (512, 1),
    "in a block of the image": (512, 300 * 8),
    "in its last block": (512, END // 512 - 1),
    "behind the partition": (512, SIZE // 512),
    "over its end": (4096, SIZE // 4096),
    "far behind": (4096, 1 << 40),
    "as far as a number goes": (4096, (1 << 63) - 1),
    "negative": (512, 1 << 63),
    "all ones": (4096, (1 << 64) - 1),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
async def test_nothing_else_is_written(tmp_path: Path, name: str) -> None:
    boot = boot_sector(*IMPOSSIBLE[name])
    assert await restore(tmp_path, boot) == restored(boot)


async def test_the_last_sector_of_the_partition(tmp_path: Path) -> None:
    boot = boot_sector(512, SIZE // 512 - 1)
    assert await restore(tmp_path, boot) == restored(boot, SIZE - 512)


async def test_other_file_systems_may_begin_as_they_like(tmp_path: Path) -> None:
    """ext4 leaves what was in the first KiB before it."""
    boot = boot_sector(512, END // 512)
    assert await restore(tmp_path, boot, "EXTFS") == restored(boot)
    (tmp_path / "other").mkdir()
    boot = boot_sector(512, END // 512, b"-FVE-FS-")
    assert await restore(tmp_path / "other", boot) == restored(boot)
