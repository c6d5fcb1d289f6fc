"""lzop containers of every make: another implementation of the description, with the real lzop as the judge."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
import zlib
from contextlib import suppress
from itertools import product
from typing import Final

import pytest
from lzallright import LZOCompressor

from ogagent.errors import ImageCorrupt
from ogagent.image.codec import open_container
from ogagent.image.stream import Chunks

ADLER_DATA: Final = 0x1
ADLER_PACKED: Final = 0x2
EXTRA_FIELD: Final = 0x40
CRC_DATA: Final = 0x100
CRC_PACKED: Final = 0x200
FILTER: Final = 0x800
CRC_HEADER: Final = 0x1000
TEXT: Final = b"".join(b"line %d of a file that compresses\n" % number for number in range(8000))
CONTENT: Final = TEXT + random.Random(4).randbytes(70_000)


def header(flags: int, name: bytes = b"", method: int = 1, needed: int = 0x0940) -> bytes:
    fields = struct.pack(">HHHBBIIIIB", 0x1040, 0x20A0, needed, method, 5, 0x03000000 | flags, 0o600, 0, 0, len(name))
    check = zlib.crc32 if flags & CRC_HEADER else zlib.adler32
    out = b"\x89LZO\x00\r\n\x1a\n" + fields + name + struct.pack(">I", check(fields + name))
    if flags & EXTRA_FIELD:
        extra = struct.pack(">I", 5) + b"extra"
        out += extra + struct.pack(">I", check(extra))
    return out


def block(data: bytes, flags: int) -> bytes:
    packed = bytes(LZOCompressor().compress(data))
    if len(packed) >= len(data):
        packed = data
    out = struct.pack(">II", len(data), len(packed))
    kinds = [(ADLER_DATA, zlib.adler32, data), (CRC_DATA, zlib.crc32, data)]
    if packed != data:
        kinds += [(ADLER_PACKED, zlib.adler32, packed), (CRC_PACKED, zlib.crc32, packed)]
    return out + b"".join(struct.pack(">I", check(part)) for flag, check, part in kinds if flags & flag) + packed


def container(flags: int, name: bytes = b"", size: int = 256 << 10) -> bytes:
    blocks = [block(CONTENT[at : at + size], flags) for at in range(0, len(CONTENT), size)]
    return header(flags, name) + b"".join(blocks) + bytes(4)


def decode(data: bytes) -> bytes:
    decoder = open_container(Chunks(data[at : at + 4093] for at in range(0, len(data), 4093)))
    into = memoryview(bytearray(100_000))
    out = bytearray()
    while count := decoder.readinto(into):
        out += into[:count]
    return bytes(out)


def lzop(data: bytes) -> bytes:
    if shutil.which("lzop") is None:
        pytest.skip("lzop is not installed")
    return subprocess.run(["lzop", "-dc"], input=data, capture_output=True, check=True, timeout=300).stdout


DATA_FLAGS: Final = (0, ADLER_DATA, CRC_DATA, ADLER_DATA | CRC_DATA)
PACKED_FLAGS: Final = (0, ADLER_PACKED, CRC_PACKED, ADLER_PACKED | CRC_PACKED)


@pytest.mark.parametrize(("of_data", "of_packed"), [*product(DATA_FLAGS, PACKED_FLAGS)])
def test_every_combination_of_checksums(of_data: int, of_packed: int) -> None:
    """Each is damaged, too: what has a checksum does not come out otherwise than it went in."""
    flags = of_data | of_packed
    for rest, name in product((0, EXTRA_FIELD, CRC_HEADER, CRC_HEADER | EXTRA_FIELD), (b"", b"sda1.img")):
        whole = container(flags | rest, name)
        assert decode(whole) == CONTENT
    if not of_packed >> 1 & ~of_data:  # else lzop itself stumbles over a stored block
        assert lzop(container(flags)) == CONTENT
    for place in random.Random(5).sample(range(60, len(whole)), 25):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        with suppress(ImageCorrupt):
            assert decode(bytes(damaged)) == CONTENT or not of_data


@pytest.mark.parametrize("size", [1, 700, 65536, 256 << 10])
def test_blocks_of_any_size_that_lzop_writes(size: int) -> None:
    whole = header(ADLER_DATA) + b"".join(
        block(CONTENT[at : at + size], ADLER_DATA) for at in range(0, min(len(CONTENT), 2000 * size), size)
    )
    assert decode(whole + bytes(4)) == CONTENT[: 2000 * size]


@pytest.mark.parametrize(
    ("sizes", "what"),
    [
        ((0xFFFFFFFF, 10), "impossible sizes"),
        ((64 << 20, 10), "impossible sizes"),
        ((1000, 1001), "impossible sizes"),
        ((1000, 0), "impossible sizes"),
        ((1000, 900), "ends at byte"),
    ],
)
def test_blocks_of_impossible_sizes(sizes: tuple[int, int], what: str) -> None:
    with pytest.raises(ImageCorrupt, match=what):
        decode(header(0) + struct.pack(">II", *sizes) + b"data")


@pytest.mark.parametrize("more", [-1, 1, 5000])
def test_a_block_that_is_larger_or_smaller_than_it_says(more: int) -> None:
    packed = bytes(LZOCompressor().compress(TEXT[:9000]))
    with pytest.raises(ImageCorrupt, match=f"has 9000 bytes, not {9000 - more}"):
        decode(header(0) + struct.pack(">II", 9000 - more, len(packed)) + packed + bytes(4))


@pytest.mark.parametrize(
    ("start", "what"),
    [
        (header(FILTER), "filter"),
        (header(0, method=128), "method 128"),
        (header(0, needed=0x2000), "version 0x2000"),
        (header(0)[:-1] + b"\0", "does not match its checksum"),
        (header(EXTRA_FIELD)[:-1] + b"\0", "does not match its checksum"),
        (header(EXTRA_FIELD)[:-13] + b"\xff\xff\xff\xff", "extra field is larger"),
    ],
)
def test_headers_that_cannot_be(start: bytes, what: str) -> None:
    with pytest.raises(ImageCorrupt, match=what):
        decode(start + bytes(4))
