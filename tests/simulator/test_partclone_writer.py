"""The format, byte by byte, against what its description says."""

from __future__ import annotations

import io
import struct
import zlib

import pytest

from simulator.partclone_writer import UsedBlocks, partclone_image

BLOCK = 512


def crc(data: bytes) -> int:
    return zlib.crc32(data) ^ 0xFFFFFFFF


def image(ranges: tuple[range, ...], count: int) -> tuple[bytes, bytes]:
    """A source whose blocks hold their own number, and its image."""
    source = b"".join(struct.pack("<Q", number) * (BLOCK // 8) for number in range(count))
    blocks = UsedBlocks(block_size=BLOCK, block_count=count, ranges=ranges)
    return source, b"".join(partclone_image(io.BytesIO(source), blocks, "EXTFS"))


def test_header() -> None:
    _, data = image((range(3), range(5, 9)), 10)
    assert data[:16] == b"partclone-image\0"
    assert data[30:36] == b"0002\xde\xc0"
    assert data[36:52] == b"EXTFS".ljust(16, b"\0")
    assert struct.unpack_from("<QQQQI", data, 52) == (10 * BLOCK, 10, 7, 7, BLOCK)
    assert struct.unpack_from("<IHHHHIBB", data, 88) == (18, 2, 64, 0x20, 4, 256, 1, 1)
    assert struct.unpack_from("<I", data, 106) == (crc(data[:106]),)


def test_bitmap_begins_with_the_lowest_bit() -> None:
    _, data = image((range(3), range(5, 9)), 10)
    assert data[110:112] == bytes([0b11100111, 0b00000001])
    assert struct.unpack_from("<I", data, 112) == (crc(data[110:112]),)


@pytest.mark.parametrize("used", [0, 1, 255, 256, 257, 512, 600])
def test_each_group_of_blocks_is_followed_by_its_checksum(used: int) -> None:
    first = used // 2
    ranges = tuple(part for part in (range(1, 1 + first), range(400, 400 + used - first)) if part)
    source, data = image(ranges, 800)
    position = 110 + 100 + 4
    numbers = [number for part in ranges for number in part]
    for start in range(0, used, 256):
        group = b"".join(source[number * BLOCK : (number + 1) * BLOCK] for number in numbers[start : start + 256])
        assert data[position : position + len(group)] == group
        assert struct.unpack_from("<I", data, position + len(group)) == (crc(group),)
        position += len(group) + 4
    assert position == len(data)


def test_a_source_that_is_too_short_is_no_image() -> None:
    blocks = UsedBlocks(block_size=BLOCK, block_count=4, ranges=(range(4),))
    with pytest.raises(ValueError, match="ends within blocks 0-3"):
        list(partclone_image(io.BytesIO(bytes(3 * BLOCK)), blocks, "EXTFS"))
