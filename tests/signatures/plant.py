"""Something that libblkid finds, as bytes on a partition: by what libblkid asks for, not by the agent's table."""

from __future__ import annotations

import struct
import zlib
from typing import Final

from msgspec import Struct

MIB: Final = 1 << 20
PAGE: Final = 4096
SIZE: Final = 64 * MIB + 5 * 512
"""Of the partition: what ZFS needs at least, and not a multiple of anything but sectors."""


class Plant(Struct, frozen=True):
    """``kind`` as libblkid calls it; ``pieces`` by their offset.

    ``newer``: libblkid before 2.42 may not know it.
    """

    name: str
    kind: str
    pieces: dict[int, bytes]
    newer: bool = False

    @property
    def pages(self) -> set[int]:
        """Those that it is on."""
        return {
            page
            for offset, data in self.pieces.items()
            for page in range(offset // PAGE * PAGE, offset + len(data), PAGE)
        }


def fields(length: int, values: dict[int, bytes]) -> bytes:
    """``values`` by their offset, in zeros."""
    data = bytearray(length)
    for offset, value in values.items():
        data[offset : offset + len(value)] = value
    return bytes(data)


def le16(value: int) -> bytes:
    return struct.pack("<H", value)


def le32(value: int) -> bytes:
    return struct.pack("<I", value)


def le64(value: int) -> bytes:
    return struct.pack("<Q", value)


def be32(value: int) -> bytes:
    return struct.pack(">I", value)


def be64(value: int) -> bytes:
    return struct.pack(">Q", value)


def crc32(data: bytes, start: int) -> int:
    """Without the inversions of zlib."""
    return zlib.crc32(data, start ^ 0xFFFFFFFF) ^ 0xFFFFFFFF


def crc32c(data: bytes) -> int:
    """Castagnoli's, from all ones, not inverted at the end."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value


def crc64(data: bytes) -> int:
    """That of the ECMA, from the highest bit on, from all ones, and inverted."""
    ones = (1 << 64) - 1
    value = ones
    for byte in data:
        value ^= byte << 56
        for _ in range(8):
            value = value << 1 & ones ^ (0x42F0E1EBA9EA3693 if value >> 63 else 0)
    return value ^ ones


def sum16(data: bytes) -> int:
    return sum(struct.unpack(f"<{len(data) // 2}H", data))


def sum32(data: bytes) -> int:
    return sum(struct.unpack(f"<{len(data) // 4}I", data))
