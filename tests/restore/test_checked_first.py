"""Nothing is written before everything is checked."""

from __future__ import annotations

import pytest
from isal import igzip

from ogagent.errors import FilesystemMismatch, ImageCorrupt, ImageError, ImageTooLarge, UnknownImage, WriteFailed
from tests.restore.one_image import BITMAP, BLOCK, BLOCKS, IMAGE, MIB, SIZE, TOTAL, ZEROS, flipped, partclone, raw_ext4
from tests.restore.recording_device import Bench, RecordingDevice, nothing_written


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (partclone(TOTAL + 8), ImageTooLarge),
        (flipped(IMAGE, 40), ImageCorrupt),
        (flipped(IMAGE, 52, 7), ImageCorrupt),
        (flipped(IMAGE, BITMAP - 1), ImageCorrupt),
        (flipped(IMAGE, BITMAP), ImageCorrupt),
        (flipped(IMAGE, BLOCKS - 5, 7), ImageCorrupt),
        (flipped(IMAGE, BLOCKS - 1), ImageCorrupt),
        (IMAGE[:60], ImageCorrupt),
        (IMAGE[: BLOCKS - 1], ImageCorrupt),
        (flipped(IMAGE, 3), UnknownImage),
        (b"", UnknownImage),
        (b"<html>404</html>", UnknownImage),
        (igzip.compress(IMAGE)[:40], ImageError),
    ],
    ids=range(13),
)
@pytest.mark.parametrize("container", ["plain", "gzip"])
async def test_a_bad_beginning_is_found_before_the_first_write(
    bench: Bench, data: bytes, kind: type[ImageError], container: str
) -> None:
    with pytest.raises(kind):
        await bench.restore(igzip.compress(data) if container == "gzip" and data else data)
    nothing_written(bench)


async def test_one_block_too_small(bench: Bench) -> None:
    bench.device = RecordingDevice(SIZE - BLOCK)
    await bench.fails(ImageTooLarge, IMAGE, 30)
    nothing_written(bench)


@pytest.mark.parametrize(("cpt", "sector"), [("7", 512), ("0700", 512), ("83", 8192)])
async def test_the_wrong_family(bench: Bench, cpt: str, sector: int) -> None:
    with pytest.raises(FilesystemMismatch):
        await bench.restore(IMAGE, cpt=cpt, sector=sector)
    nothing_written(bench)


async def test_a_raw_image_larger_than_the_partition(bench: Bench) -> None:
    bench.device = RecordingDevice(9 * MIB)
    await bench.fails(ImageTooLarge, raw_ext4(9 * MIB + 1), 30)
    nothing_written(bench)


async def test_a_raw_image_in_a_container_shows_its_size_only_later(bench: Bench) -> None:
    bench.device = RecordingDevice(9 * MIB)
    await bench.fails(ImageTooLarge, igzip.compress(raw_ext4(9 * MIB + 1)), 30)
    assert bench.device.head == ZEROS


async def test_what_touching_raises_keeps_the_partition_as_it_is(bench: Bench) -> None:
    bench.books.refuses = "touching"
    await bench.fails(WriteFailed, IMAGE, 14)
    nothing_written(bench)


async def test_what_committing_raises_leaves_the_edges_empty(bench: Bench) -> None:
    bench.books.refuses = "committing"
    await bench.fails(WriteFailed, IMAGE, 14)
    assert bench.device.head == ZEROS
    assert not bench.progress.committed
