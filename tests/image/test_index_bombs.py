"""Indexes that lie, and frames that become far larger than they look: memory and time stay bounded."""

from __future__ import annotations

import random
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import pytest
from blake3 import blake3

from ogagent.image.index import ImageIndex, Prefix, encode, pack_frames, pack_numbers
from ogagent.image.seekable import pack_frame
from tests.image.test_bombs import MIB, RUN, crc, partclone
from tests.image.test_libzstd import bomb

BLOCK: Final = 512
TARGET: Final = 64 << 30
"""A file without content, so large that what grows with the partition would show."""
PEAK: Final = 160 * MIB
NOISE: Final = random.Random(6)
REGION: Final = 16 * MIB


class Hostile(NamedTuple):
    image: bytes
    sidecar: bytes
    says: str


def index_of(head: bytes, packed: bytes, frames: list[bytes], **members: Any) -> ImageIndex:
    """Of an image whose header and bitmap are ``head``, ``packed`` in its first frame; ``members`` are said instead."""
    offset, places = len(packed), []
    for frame in frames:
        places.append((offset, len(frame)))
        offset += len(frame)
    said: dict[str, Any] = {
        "image": "x.img", "size": offset, "digest": bytes(32), "format": "partclone 0002", "filesystem": "EXTFS",
        "block_size": BLOCK, "device_size": TARGET, "used_blocks": 0, "checksum_size": 4, "region_size": MIB,
        "prefix": Prefix(0, len(packed), blake3(head).digest()), "regions": pack_numbers(list(range(len(frames)))),
        "frames": pack_frames(places), "hashes": NOISE.randbytes(32 * len(frames)),
    }  # fmt: skip
    return ImageIndex(**said | members)


def head_of(device_size: int, used: int = 0) -> bytes:
    blocks = device_size // BLOCK
    bitmap = b"\xff" * (used // 8) + bytes(-(-blocks // 8) - used // 8)
    return partclone(blocks, used, device_size) + bitmap + crc(bitmap)


def hostile(says: str, head: bytes, packed: bytes, frames: list[bytes], **members: Any) -> Hostile:
    return Hostile(b"".join((packed, *frames)), encode(index_of(head, packed, frames, **members)), says)


def a_bitmap_for_a_larger_disk() -> Hostile:
    head = head_of(1 << 40)
    return hostile("The image needs 1099511627776 bytes", head, pack_frame(head, 3), [], device_size=1 << 40)


def a_header_of_a_larger_disk_in_an_index_that_suits() -> Hostile:
    head = head_of(1 << 40)
    return hostile("The image needs 1099511627776 bytes", head, pack_frame(head, 3), [])


def a_bitmap_without_end() -> Hostile:
    head = head_of(TARGET)
    return hostile("goes on after its last block", head, pack_frame(head, 3) + bomb(1 << 30, 27), [])


def as_many_blocks_as_there_can_be() -> Hostile:
    head = head_of(TARGET)
    return hostile("", head, pack_frame(head, 3), [])


def one_byte_a_block() -> Hostile:
    blocks = TARGET // BLOCK
    fields = struct.pack("<15s15s4s2xiQQQ4096x", b"partclone-image", b"EXTFS", b"0001", BLOCK, TARGET, blocks, 0)
    head = fields + bytes(blocks) + b"BiTmAgIc"
    return hostile("", head, pack_frame(head, 3), [], format="partclone 0001")


def more_regions_than_there_are() -> Hostile:
    """As many as may be named of a partition of this size."""
    head, count = head_of(TARGET), 170_000
    packed = pack_frame(head, 3)
    said = {
        "region_size": 64 << 10, "size": len(packed) + count, "hashes": NOISE.randbytes(32 * count),
        "regions": pack_numbers(list(range(count))),
    }  # fmt: skip
    index = index_of(head, packed, [], **said)
    index = msgspec.structs.replace(index, frames=pack_frames([(len(packed) + place, 1) for place in range(count)]))
    return Hostile(packed + bytes(count), encode(index), "the image goes on")


def an_index_that_becomes_larger() -> Hostile:
    head = head_of(TARGET)
    return Hostile(pack_frame(head, 3), bomb(1 << 30, 27), "")


def frames_that_become_larger() -> Hostile:
    head = head_of(TARGET, used=8 * MIB // BLOCK)
    frames = [bomb(1 << 30, 27)] * 8
    used = {"used_blocks": 8 * MIB // BLOCK, "checksum_size": 4}
    return hostile("a frame of the image is damaged", head, pack_frame(head, 3), frames, **used)


def the_largest_regions() -> Hostile:
    """Nothing is wrong with this one."""
    contents = [NOISE.randbytes(REGION) for _ in range(8)]
    hashes = b"".join(blake3(content).digest() for content in contents)
    raw = {"format": "raw", "region_size": REGION, "device_size": 8 * REGION, "checksum_size": 0, "hashes": hashes}
    return hostile("", b"", b"", [pack_frame(content, 1) for content in contents], **raw)


HOSTILE: Final[tuple[Callable[[], Hostile], ...]] = (
    a_bitmap_for_a_larger_disk,
    a_header_of_a_larger_disk_in_an_index_that_suits,
    a_bitmap_without_end,
    as_many_blocks_as_there_can_be,
    one_byte_a_block,
    more_regions_than_there_are,
    an_index_that_becomes_larger,
    frames_that_become_larger,
    the_largest_regions,
)


@pytest.mark.parametrize("make", HOSTILE, ids=[make.__name__ for make in HOSTILE])
def test_memory_stays_bounded(make: Callable[[], Hostile], tmp_path: Path) -> None:
    image, target = tmp_path / "x.img", tmp_path / "target"
    found = make()
    image.write_bytes(found.image)
    image.with_name("x.img.index").write_bytes(found.sidecar)
    with target.open("wb") as file:
        file.truncate(TARGET)
    command = [sys.executable, "-c", RUN, "restore", str(image), str(target), "--yes"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=250)
    assert "Traceback" not in done.stderr, done.stderr
    assert found.says in done.stderr
    ended = re.search(r"status (\d+) peak (\d+)", done.stdout)
    assert ended is not None, done.stdout
    assert ended[1] == ("1" if found.says else "0"), done.stderr
    print(f"{make.__name__}: {int(ended[2]) // MIB} MiB")
    assert int(ended[2]) < PEAK, f"{int(ended[2]) // MIB} MiB"
