"""Success means that the disk holds the image."""

from __future__ import annotations

from typing import Final

import pytest
from isal import igzip

from ogagent.errors import ImageCorrupt, ReadBackDiffers
from tests.restore.one_image import (
    BEFORE,
    BLOCK,
    BLOCKS,
    EDGES,
    GROUP,
    HEAD,
    IMAGE,
    MIB,
    RANDOM,
    RESTORED,
    SIZE,
    TOTAL,
    USED,
    ZEROS,
    at_edge,
    flipped,
    raw_ext4,
)
from tests.restore.recording_device import Bench, nothing_written


@pytest.mark.parametrize("read_back", [True, False])
@pytest.mark.parametrize("container", ["plain", "gzip"])
async def test_a_restore(bench: Bench, read_back: bool, container: str) -> None:
    bench.progress.read_back_wanted = read_back
    await bench.restore(igzip.compress(IMAGE) if container == "gzip" else IMAGE)
    assert bytes(bench.device.medium) == RESTORED
    assert bench.books.edges == b"".join(RESTORED[edge.start : edge.stop] for edge in EDGES)
    first, last = bench.books.seen["committing"], bench.books.seen["committed"]
    assert (bench.books.seen["touching"], last) == (0, len(bench.device.log))
    assert all(at_edge(offset) for _, offset, _ in bench.device.log[first:])
    assert bench.progress.committed
    assert bench.progress.written == len(USED) * BLOCK
    assert bench.progress.read_back == (len(USED) * BLOCK if read_back else 0)


@pytest.mark.parametrize("size", [8 * MIB, 9 * MIB - 511, SIZE])
@pytest.mark.parametrize("container", ["plain", "gzip"])
async def test_a_raw_image(bench: Bench, size: int, container: str) -> None:
    image = raw_ext4(size)
    await bench.restore(igzip.compress(image) if container == "gzip" else image)
    rest = (bytes(BLOCK) if at_edge(at) else BEFORE[:BLOCK] for at in range(0, SIZE, BLOCK))
    assert bytes(bench.device.medium) == image + b"".join(rest)[size:]


async def test_stretches_of_zeros_are_not_written_but_zeroed(bench: Bench) -> None:
    image = bytearray(raw_ext4(SIZE))
    for start, end in ((MIB // 2, 3 * MIB), (5 * MIB, 5 * MIB + (64 << 10)), (6 * MIB + 7, 6 * MIB + BLOCK)):
        image[start:end] = bytes(end - start)
    await bench.restore(bytes(image))
    assert bytes(bench.device.medium) == image
    assert [entry for entry in bench.device.log if entry[0] == "zero"] == [
        ("zero", MIB + BLOCK, MIB - BLOCK),
        ("zero", 2 * MIB + BLOCK, MIB - BLOCK),
        ("zero", 5 * MIB, 64 << 10),
    ]


async def test_a_raw_image_that_is_too_short(bench: Bench) -> None:
    """Its length is known at once, unless a container hides it."""
    await bench.fails(ImageCorrupt, raw_ext4(8 * MIB - 1), 33)
    nothing_written(bench)
    await bench.fails(ImageCorrupt, igzip.compress(raw_ext4(8 * MIB - 1)), 33)
    assert bench.device.head == ZEROS


PLACES: Final = (
    BLOCKS,
    BLOCKS + 1,
    BLOCKS + GROUP * BLOCK,
    len(IMAGE) - 1,
    *RANDOM.sample(range(BLOCKS, len(IMAGE)), 30),
)


@pytest.mark.parametrize("place", PLACES)
async def test_one_flipped_bit(bench: Bench, place: int) -> None:
    await bench.fails(ImageCorrupt, flipped(IMAGE, place, place % 8), 33)
    assert bench.device.head == ZEROS


@pytest.mark.parametrize("place", RANDOM.sample(range(1000, len(IMAGE) * 9 // 10), 10))
async def test_one_flipped_bit_in_a_container(bench: Bench, place: int) -> None:
    packed = igzip.compress(IMAGE)
    await bench.fails(ImageCorrupt, flipped(packed, place), 33)
    assert bench.device.head in (ZEROS, BEFORE[:MIB])


@pytest.mark.parametrize("place", [*RANDOM.sample(range(BLOCKS, len(IMAGE)), 10), BLOCKS, len(IMAGE) - 1])
async def test_a_truncated_image(bench: Bench, place: int) -> None:
    """Its length is known at once, unless a container hides it."""
    await bench.fails(ImageCorrupt, IMAGE[:place], 33)
    nothing_written(bench)
    await bench.fails(ImageCorrupt, igzip.compress(IMAGE[:place]), 33)
    assert bench.device.head == ZEROS


@pytest.mark.parametrize("garbage", [b"\0", b"garbage", bytes(5 * MIB)], ids=len)
async def test_something_after_the_image(bench: Bench, garbage: bytes) -> None:
    await bench.fails(ImageCorrupt, IMAGE + garbage, 33)
    nothing_written(bench)
    await bench.fails(ImageCorrupt, igzip.compress(IMAGE + garbage), 33)
    assert bench.device.head == ZEROS


WRITTEN: Final = [number * BLOCK + at for number in (HEAD, 300, USED[1000], TOTAL - 1) for at in (0, 2000, BLOCK - 1)]
IN_HEAD: Final = [0, 1024, BLOCK, 16 * BLOCK, MIB - 1, 5 * BLOCK]


@pytest.mark.parametrize("place", WRITTEN + IN_HEAD)
async def test_a_device_that_reads_back_something_else(bench: Bench, place: int) -> None:
    bench.device.lies_at = place
    await bench.fails(ReadBackDiffers, IMAGE, 91)
    assert bench.device.head[:BLOCK] == bytes(BLOCK)


@pytest.mark.parametrize("place", WRITTEN + IN_HEAD)
async def test_a_device_that_loses_a_byte(bench: Bench, place: int) -> None:
    bench.device.loses_at = place
    await bench.fails(ReadBackDiffers, IMAGE, 91)
    assert not any(bench.device.medium[at] for at in range(BLOCK) if at != place)
