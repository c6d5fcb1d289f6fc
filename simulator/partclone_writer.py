"""Writes partclone images, format 0002, from the format's description alone.

Sources: partclone's ``IMAGE_FORMATS.md``, ``src/partclone.h`` (``image_desc_v2``, packed), ``src/checksum.c``. This is
a second implementation on purpose: it shares nothing with the agent, which reads what is written here.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO, Final

from msgspec import Struct

_HEADER: Final = struct.Struct("<16s14s4sH16sQQQQIIHHHHIBB")
_MAGIC: Final = b"partclone-image"
_PARTCLONE_VERSION: Final = b"0.3.23"
_LITTLE_ENDIAN: Final = 0xC0DE
_FEATURE_SIZE: Final = 18
_CPU_BITS: Final = 64
_CRC32: Final = 0x20
_BLOCKS_PER_CHECKSUM: Final = 256
_RESEED: Final = 1
_BITMAP_OF_BITS: Final = 1


class UsedBlocks(Struct, frozen=True, kw_only=True):
    """Which blocks of a file system of ``block_count`` blocks an image holds: ranges in ascending order."""

    block_size: int
    block_count: int
    ranges: tuple[range, ...]

    @property
    def used(self) -> int:
        return sum(len(blocks) for blocks in self.ranges)


def partclone_image(source: BinaryIO, blocks: UsedBlocks, filesystem: str) -> Iterator[bytes]:
    """The image of the file system in ``source``, piece by piece, with CRC32 over each 256 blocks."""
    yield _header(blocks, filesystem)
    bitmap = _bitmap(blocks)
    yield bitmap + _crc(bitmap)
    for group in _groups(blocks.ranges):
        data = b"".join(_read(source, run, blocks.block_size) for run in group)
        yield data + _crc(data)


def _header(blocks: UsedBlocks, filesystem: str) -> bytes:
    header = _HEADER.pack(
        _MAGIC,
        _PARTCLONE_VERSION,
        b"0002",
        _LITTLE_ENDIAN,
        filesystem.encode(),
        blocks.block_size * blocks.block_count,
        blocks.block_count,
        blocks.used,
        blocks.used,
        blocks.block_size,
        _FEATURE_SIZE,
        2,
        _CPU_BITS,
        _CRC32,
        4,
        _BLOCKS_PER_CHECKSUM,
        _RESEED,
        _BITMAP_OF_BITS,
    )
    return header + _crc(header)


def _bitmap(blocks: UsedBlocks) -> bytes:
    """One bit a block, the lowest bit of a byte first."""
    bits = bytearray(-(-blocks.block_count // 8))
    for run in blocks.ranges:
        for block in run:
            bits[block // 8] |= 1 << block % 8
    return bytes(bits)


def _groups(ranges: Sequence[range]) -> Iterator[list[range]]:
    """The used blocks in groups of 256; a group may span several ranges, the last one may be short."""
    group: list[range] = []
    room = _BLOCKS_PER_CHECKSUM
    for run in ranges:
        rest = run
        while rest:
            part, rest = rest[:room], rest[room:]
            group.append(part)
            room -= len(part)
            if room == 0:
                yield group
                group, room = [], _BLOCKS_PER_CHECKSUM
    if group:
        yield group


def _read(source: BinaryIO, run: range, block_size: int) -> bytes:
    source.seek(run.start * block_size)
    data = source.read(len(run) * block_size)
    if len(data) != len(run) * block_size:
        raise ValueError(f"the file system ends within blocks {run.start}-{run.stop - 1}")
    return data


def _crc(data: bytes) -> bytes:
    """CRC-32 as partclone leaves it: without the final inversion."""
    return struct.pack("<I", zlib.crc32(data) ^ 0xFFFFFFFF)
