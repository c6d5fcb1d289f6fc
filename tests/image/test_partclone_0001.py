"""partclone images of format 0001."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Final

import pytest

from ogagent.errors import ImageCorrupt, ImageError
from tests.image.partclone_programs import restore
from tests.image.partclone_written import BLOCK, NOISE, SOURCE, over_zeros, restored


def written_0001(source: bytes, bitmap: bytes, after_crc: bytes = b"") -> bytes:
    """One checksum a block, running through the image, over the first byte of each block, repeated."""
    used = bitmap.count(1)
    out = struct.pack(
        "<15s15s4s2xiQQQ4096x", b"partclone-image", b"EXTFS", b"0001", BLOCK, len(source), len(bitmap), used
    )
    out += bitmap + b"BiTmAgIc"
    value = 0
    for block, present in enumerate(bitmap):
        if present == 1:
            data = source[block * BLOCK : (block + 1) * BLOCK]
            value = zlib.crc32(data[:1] * BLOCK, value)
            out += data + struct.pack("<I", value ^ 0xFFFFFFFF) + after_crc
    return out


def test_format_0001_as_the_real_restore(tmp_path: Path) -> None:
    bitmap = bytes(NOISE.choice((0, 1, 1, 1)) for _ in range(1003))
    image, reference = tmp_path / "x.img", tmp_path / "reference"
    image.write_bytes(written_0001(SOURCE, bitmap))
    restore(image, reference)
    assert restored(image) == reference.read_bytes()
    assert restored(image) == over_zeros(SOURCE, [block for block in range(1003) if bitmap[block]])


ZEROS: Final = bytes(1003 * BLOCK)


@pytest.mark.parametrize("source", [SOURCE, ZEROS], ids=["noise", "zeros"])
@pytest.mark.parametrize("bitmap", [bytes(1003), bytes((0, 1)) + bytes(1001), bytes((1, 1, 0) * 334) + bytes(1)])
@pytest.mark.parametrize("after_crc", [b"", bytes(4)], ids=["32 bits", "64 bits"])
def test_format_0001_of_machines_of_32_and_64_bits(source: bytes, bitmap: bytes, after_crc: bytes) -> None:
    image = written_0001(source, bitmap, after_crc)
    assert restored(image) == over_zeros(source, [block for block in range(1003) if bitmap[block]])
    if bitmap.count(1) > 2:
        for place in (len(image) - 1, 5171 + 512, 5171 + 2 * (516 + len(after_crc)) + 512):
            damaged = bytearray(image)
            damaged[place] ^= 1
            with pytest.raises(ImageCorrupt):
                restored(bytes(damaged))


def test_format_0001_goes_by_the_bitmap_when_the_header_counts_otherwise(tmp_path: Path) -> None:
    image = bytearray(written_0001(SOURCE, bytes((1, 0, 1, 1)) * 250 + bytes(3)))
    struct.pack_into("<Q", image, 56, 700)
    file, reference = tmp_path / "x.img", tmp_path / "reference"
    file.write_bytes(image)
    restore(file, reference)
    assert restored(bytes(image)) == reference.read_bytes().ljust(1003 * BLOCK, b"\0")


def test_format_0001_truncated_or_damaged() -> None:
    image = written_0001(SOURCE, bytes((1, 0, 1, 1)) * 250 + bytes(3))
    for place in (40, 4159, 4160, 5000, 5163, 5170, 5171, 6000, len(image) - 1):
        with pytest.raises(ImageError):
            restored(image[:place])
    for place in (5163, 5171, 5171 + 512):  # the bitmap's end, the first block's first byte, its checksum
        damaged = bytearray(image)
        damaged[place] ^= 1
        with pytest.raises(ImageCorrupt):
            restored(bytes(damaged))
