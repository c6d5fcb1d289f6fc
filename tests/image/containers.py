"""Every container there is, by other hands than ours: what programs write, and what the descriptions allow."""

from __future__ import annotations

import struct
import sys
import zlib
from collections.abc import Iterator
from itertools import chain, combinations
from typing import Final

from lzallright import LZOCompressor

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

GZIP_FIELDS: Final = {"FTEXT": 0x01, "FHCRC": 0x02, "FEXTRA": 0x04, "FNAME": 0x08, "FCOMMENT": 0x10}
LZOP_FLAGS: Final = {"ADLER_DATA": 0x1, "ADLER_PACKED": 0x2, "EXTRA": 0x40, "CRC_DATA": 0x100, "CRC_HEADER": 0x1000}
SKIPPABLE: Final = b"\x5a\x2a\x4d\x18" + (12).to_bytes(4, "little") + b"\x28\xb5\x2f\xfd skipped"  # RFC 8878, 3.1.2


def gzip_member(data: bytes, flags: int = 0, texts: tuple[bytes, bytes] = (b"sda1.img", b"aula 3")) -> bytes:
    """RFC 1952, 2.3."""
    name, comment = texts
    head = struct.pack("<2sBBIBB", b"\x1f\x8b", 8, flags, 1_700_000_000, 0, 3)
    if flags & GZIP_FIELDS["FEXTRA"]:
        head += struct.pack("<H2sH7s", 11, b"RA", 7, b"\0\x1f\x8b\x08\0\0\0")
    if flags & GZIP_FIELDS["FNAME"]:
        head += name + b"\0"
    if flags & GZIP_FIELDS["FCOMMENT"]:
        head += comment + b"\0"
    if flags & GZIP_FIELDS["FHCRC"]:
        head += struct.pack("<H", zlib.crc32(head) & 0xFFFF)
    deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
    return head + deflate.compress(data) + deflate.flush() + struct.pack("<II", zlib.crc32(data), len(data))


def zstd_frame(data: bytes, *, checked: bool = True) -> bytes:
    return zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: int(checked)})


def lzop_file(data: bytes, flags: int = LZOP_FLAGS["ADLER_DATA"], name: bytes = b"", size: int = 100) -> bytes:
    """lzop 1.04, src/lzop.c."""
    check = zlib.crc32 if flags & LZOP_FLAGS["CRC_HEADER"] else zlib.adler32
    fields = struct.pack(">HHHBBIIIIB", 0x1040, 0x20A0, 0x0940, 1, 5, 0x03000000 | flags, 0o600, 0, 0, len(name)) + name
    out = b"\x89LZO\x00\r\n\x1a\n" + fields + struct.pack(">I", check(fields))
    if flags & LZOP_FLAGS["EXTRA"]:
        extra = struct.pack(">I", 5) + b"extra"
        out += extra + struct.pack(">I", check(extra))
    blocks = (data[at : at + size] for at in range(0, len(data), size))
    return out + b"".join(_lzop_block(block, flags) for block in blocks) + bytes(4)


def _lzop_block(data: bytes, flags: int) -> bytes:
    packed = min(data, bytes(LZOCompressor().compress(data)), key=len)  # of the same length: stored
    sums = [(LZOP_FLAGS["ADLER_DATA"], zlib.adler32, data), (LZOP_FLAGS["CRC_DATA"], zlib.crc32, data)]
    if packed != data:
        sums.append((LZOP_FLAGS["ADLER_PACKED"], zlib.adler32, packed))
    out = struct.pack(">II", len(data), len(packed))
    return out + b"".join(struct.pack(">I", check(part)) for flag, check, part in sums if flags & flag) + packed


def every_container(data: bytes) -> Iterator[tuple[str, bytes]]:
    """With its name."""
    half = len(data) // 2
    first, second = data[:half], data[half:]
    yield "none", data
    for names in _combinations(GZIP_FIELDS):
        flags = sum(GZIP_FIELDS[name] for name in names)
        yield "gzip " + " ".join(names), gzip_member(data, flags)
        yield "gzip members " + " ".join(names), gzip_member(first, flags) + gzip_member(second, flags)
    yield "gzip with empty members", gzip_member(b"") + gzip_member(data, 0x1F) + gzip_member(b"", 0x1F)
    for names in _combinations(LZOP_FLAGS):
        flags = sum(LZOP_FLAGS[name] for name in names)
        yield "lzop " + " ".join(names), lzop_file(data, flags, b"sda1.img")
    yield "lzop files", lzop_file(first, 0x1041) + lzop_file(b"") + lzop_file(second, 0x41, b"second")
    for checked in (False, True):
        frames = zstd_frame(first, checked=checked), zstd_frame(second, checked=checked)
        yield f"zstd checked={checked}", zstd_frame(data, checked=checked)
        yield f"zstd frames checked={checked}", b"".join(frames)
        yield f"zstd skippable checked={checked}", SKIPPABLE.join((b"", *frames, b""))
    yield "zstd with empty frames", SKIPPABLE + zstd_frame(b"") + zstd_frame(data) + zstd_frame(b"") + SKIPPABLE * 2


def _combinations(names: dict[str, int]) -> Iterator[tuple[str, ...]]:
    return chain.from_iterable(combinations(names, count) for count in range(len(names) + 1))
