"""Small images of every kind, and the partition that each must make. Built from the formats' descriptions."""

from __future__ import annotations

import gzip
import random
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Final

import pytest
import xxhash
from msgspec import Struct

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MIB: Final = 1 << 20
SIZE: Final = 6 * MIB
BLOCK: Final = 4096
TOTAL: Final = SIZE // BLOCK
GROUP: Final = 16
HEADER: Final = 110
HEADER_0001: Final = 4160
_RANDOM: Final = random.Random(11)
_GAPS: Final = {17, *range(70, 90), *range(250, 253), 512, *range(900, 1000, 3), *range(1500, 1520)}
EDGES: Final = [
    range(MIB),
    *(range(page, page + BLOCK) for page in (MIB, 2 * MIB, 4 * MIB, SIZE - 386 * BLOCK)),
    range(SIZE - MIB, SIZE),
]
"""What is wiped first and written last."""
USED: Final = [number for number in range(TOTAL) if number not in _GAPS]


def _superblock(uuid: bytes) -> bytes:
    """Enough of an ext2 for libblkid: linux/fs/ext2/ext2.h, struct ext2_super_block."""
    fields = {
        0: TOTAL // 4,
        4: TOTAL,
        20: 0,
        24: 2,
        28: 2,
        32: 32768,
        36: 32768,
        40: TOTAL // 4,
        76: 1,
        84: 11,
        88: 256,
    }
    block = bytearray(1024)
    for place, value in fields.items():
        struct.pack_into("<I", block, place, value)
    struct.pack_into("<HH", block, 56, 0xEF53, 1)
    struct.pack_into("<II", block, 96, 0x2, 0x1)  # file types in directories; sparse superblocks
    block[104:120] = uuid
    return bytes(block)


def _filesystem(seed: int) -> bytes:
    """Half of it noise, half of it words, so that it compresses a little; one stretch of zeros."""
    draw = random.Random(seed)
    words = b" ".join(draw.choice((b"aula", b"imagen", b"disco", b"equipo")) for _ in range(SIZE // 4))
    content = bytearray(draw.randbytes(SIZE))
    content[MIB : 2 * MIB] = words[:MIB].ljust(MIB)
    content[3 * MIB : 4 * MIB] = bytes(MIB)
    content[1024:2048] = _superblock(draw.randbytes(16))
    return bytes(content)


CONTENT: Final = _filesystem(1)
BEFORE: Final = _filesystem(2)
"""What the partition holds when a restore begins: another file system that mounts."""


def block(number: int) -> bytes:
    return CONTENT[number * BLOCK : (number + 1) * BLOCK]


def crc(data: bytes, before: int = 0) -> int:
    """CRC-32 as it runs on; what partclone stores is its inversion."""
    return zlib.crc32(data, before)


def stored(value: int) -> bytes:
    return struct.pack("<I", value ^ 0xFFFFFFFF)


class Kind(Struct, frozen=True):
    """``proves`` tells whether the format vouches for every byte of every block."""

    name: str
    make: Callable[[], bytes]
    blocks: int
    """Where the first block stands in the image, uncompressed."""
    group: int = GROUP * BLOCK
    proof: int = 4
    proves: bool = True

    @property
    def restored(self) -> bytes:
        return CONTENT if self.name == "raw" else partition_of_used()


def _groups() -> Iterator[bytes]:
    for start in range(0, len(USED), GROUP):
        yield b"".join(map(block, USED[start : start + GROUP]))


def _partclone(mode: int, proof_size: int, groups: Callable[[], Iterator[bytes]], *, reseed: int = 1) -> bytes:
    """Format 0002, as partclone's IMAGE_FORMATS.md has it."""
    header = struct.pack(
        "<16s14s4sH16sQQQQIIHHHHIBB",
        *(b"partclone-image", b"0.3.40", b"0002", 0xC0DE, b"EXTFS", SIZE, TOTAL, len(USED), len(USED), BLOCK),
        *(18, 2, 64, mode, proof_size, GROUP if mode else 0, reseed, 1),
    )
    bits: bytes = sum(1 << number for number in USED).to_bytes(TOTAL // 8, "little")
    return header + stored(crc(header)) + bits + stored(crc(bits)) + b"".join(groups())


def _each_proven() -> Iterator[bytes]:
    for data in _groups():
        yield data + stored(crc(data))


def _proven_running() -> Iterator[bytes]:
    value = 0
    for data in _groups():
        value = crc(data, value)
        yield data + stored(value)


def _each_xxh64() -> Iterator[bytes]:
    for data in _groups():
        yield data + xxhash.xxh64(data).digest()[::-1]


def _partclone_0001() -> bytes:
    """One byte a block is the bitmap; each block's checksum runs on, and counts its first byte only."""
    header = struct.pack("<15s15s4s2xiQQQ4096x", b"partclone-image", b"EXTFS", b"0001", BLOCK, SIZE, TOTAL, len(USED))
    used = set(USED)
    parts = [header, bytes(number in used for number in range(TOTAL)), b"BiTmAgIc"]
    value = 0
    for number in USED:
        value = crc(block(number)[:1] * BLOCK, value)
        parts += [block(number), stored(value)]
    return b"".join(parts)


_BLOCKS_0002: Final = HEADER + TOTAL // 8 + 4
KINDS: Final = {
    kind.name: kind
    for kind in (
        Kind("crc32", lambda: _partclone(0x20, 4, _each_proven), _BLOCKS_0002),
        Kind("running", lambda: _partclone(0x20, 4, _proven_running, reseed=0), _BLOCKS_0002),
        Kind("xxh64", lambda: _partclone(0x30, 8, _each_xxh64), _BLOCKS_0002, proof=8),
        Kind("unproven", lambda: _partclone(0, 0, _groups), _BLOCKS_0002, BLOCK, 0, proves=False),
        Kind("0001", _partclone_0001, HEADER_0001 + TOTAL + 8, BLOCK, proves=False),
        Kind("raw", lambda: CONTENT, 0, BLOCK, 0, proves=False),
    )
}
CONTAINERS: Final = ("none", "zstd", "gzip", "lzop")


@cache
def partition_of_used() -> bytes:
    """The used blocks over what was there before; unused ones at the edges, which are wiped, are zeros."""
    content = wiped(BEFORE)
    for number in USED:
        content[number * BLOCK : (number + 1) * BLOCK] = block(number)
    return bytes(content)


def wiped(content: bytes) -> bytearray:
    """Without its edges."""
    rest = bytearray(content)
    for edge in EDGES:
        rest[edge.start : edge.stop] = bytes(len(edge))
    return rest


@cache
def plain(kind: str) -> bytes:
    return KINDS[kind].make()


@cache
def image(kind: str, container: str) -> bytes:
    return packed(plain(kind), container)


def packed(data: bytes, container: str) -> bytes:
    """As the programs write them that pack images: all with checksums."""
    match container:
        case "zstd":
            return zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1})
        case "gzip":
            return gzip.compress(data, 1, mtime=0)
        case "lzop":
            return _lzop(data)
    return data


def _lzop(data: bytes) -> bytes:
    program = shutil.which("lzop")
    if program is None:
        pytest.skip("lzop is not installed")
    return subprocess.run([program, "-c"], input=data, capture_output=True, check=True).stdout


def flipped(data: bytes, place: int, bit: int = 0) -> bytes:
    return data[:place] + bytes((data[place] ^ 1 << bit,)) + data[place + 1 :]
