"""partclone images by another implementation of their description, and what they must restore to."""

from __future__ import annotations

import random
import struct
import zlib
from pathlib import Path
from typing import Final

import xxhash

from ogagent.image.detect import open_image

MIB: Final = 1 << 20
NOISE: Final = random.Random(3)


_HEADER: Final = struct.Struct("<16s14s4sH16sQQQQIIHHHHIBB")
BLOCK: Final = 512
MODES: Final = {0x00: 0, 0x20: 4, 0x30: 8, 0x31: 16}
NAMES_OF_MODES: Final = {0x00: "none", 0x20: "crc32", 0x30: "xxh64", 0x31: "xxh128"}


def crc(data: bytes) -> bytes:
    return struct.pack("<I", zlib.crc32(data) ^ 0xFFFFFFFF)


def digest(mode: int, data: bytes) -> bytes:
    """As a little-endian machine stores it: XXH128_hash_t is its low half, then its high half."""
    if mode == 0x20:
        return crc(data)
    if mode == 0x30:
        return struct.pack("<Q", xxhash.xxh64_intdigest(data))
    value = xxhash.xxh3_128_intdigest(data)
    return struct.pack("<QQ", value & (1 << 64) - 1, value >> 64)


def header(
    total: int,
    used: int,
    mode: int = 0x20,
    size: int = 4,
    group: int = 256,
    reseed: int = 1,
    bitmap_mode: int = 1,
    block: int = BLOCK,
    feature_size: int = 18,
    device_size: int | None = None,
    cpu_bits: int = 64,
    mark: int = 0xC0DE,
) -> bytes:
    device_size = total * block if device_size is None else device_size
    fields = _HEADER.pack(
        *(b"partclone-image", b"0.3.40", b"0002", mark, b"EXTFS", device_size, total, used, used, block),
        *(feature_size, 2, cpu_bits, mode, size, group, reseed, bitmap_mode),
    )
    return fields + crc(fields)


def written(source: bytes, used: list[int], mode: int, group: int, reseed: bool) -> bytes:
    total = len(source) // BLOCK
    bits = sum(1 << block for block in used).to_bytes(-(-total // 8), "little")
    out = bytearray(header(total, len(used), mode, MODES[mode], group if mode else 0, int(reseed)) + bits + crc(bits))
    covered = b""
    for start in range(0, len(used), group):
        strip = b"".join(source[block * BLOCK : (block + 1) * BLOCK] for block in used[start : start + group])
        covered = strip if reseed else covered + strip
        out += strip + (digest(mode, covered) if mode else b"")
    return bytes(out)


def over_zeros(source: bytes, used: list[int]) -> bytes:
    out = bytearray(len(source))
    for block in used:
        out[block * BLOCK : (block + 1) * BLOCK] = source[block * BLOCK : (block + 1) * BLOCK]
    return bytes(out)


SOURCE: Final = NOISE.randbytes(1003 * BLOCK)
USED: Final = sorted(NOISE.sample(range(1003), 700))


def as_sealed(raw: bytes) -> bytes:
    return raw[:106] + crc(raw[:106])


def restored(image: Path | bytes) -> bytes:
    """The partition, over zeros, as the pieces of the image say; each proven before it counts."""
    data = image.read_bytes() if isinstance(image, Path) else image
    opened = open_image(data[start : start + 100_003] for start in range(0, len(data), 100_003))
    total = opened.prepare()
    out = bytearray(opened.header.device_size)
    prove = opened.prover()
    places = []
    written = 0
    for piece in opened.pieces(lambda: memoryview(bytearray(opened.buffer_size))):
        prove(piece)
        for offset, start, length in piece.extents:
            out[offset : offset + length] = piece.buffer[start : start + length]
            written += length
        places.append(piece.extents)
    assert written == total
    assert list(opened.places()) == places
    return bytes(out)
