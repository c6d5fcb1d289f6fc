"""The checksums that partclone puts between groups of blocks (its ``src/checksum.c``)."""

from __future__ import annotations

from typing import Final, Protocol

import xxhash
from isal import isal_zlib

from ogagent.errors import ImageCorrupt

NONE: Final = 0x00
CRC32: Final = 0x20
XXH64: Final = 0x30
XXH128: Final = 0x31
CRC32_0001: Final = 0xFF
CRC32_0001_LONG: Final = 0xFE
"""No number of partclone's: before 0.1.0, in 2008, the CRC was written as the machine's ``unsigned long``. On machines
of 64 bits four bytes of zeros follow it. Partclone 0.2 still read such images, 0.3 does not."""

SIZES: Final = {NONE: 0, CRC32: 4, XXH64: 8, XXH128: 16, CRC32_0001: 4, CRC32_0001_LONG: 8}
NAMES: Final = {
    NONE: "none", CRC32: "crc32", XXH64: "xxh64", XXH128: "xxh128", CRC32_0001: "crc32", CRC32_0001_LONG: "crc32"
}  # fmt: skip


class Checksum(Protocol):
    """A running checksum; ``digest`` gives it as partclone stores it, on a little-endian machine."""

    def update(self, data: memoryview) -> None: ...
    def digest(self) -> bytes: ...
    def reset(self) -> None: ...


def partclone_crc32(data: bytes | bytearray) -> int:
    """CRC-32 without the final inversion."""
    return isal_zlib.crc32(data) ^ 0xFFFFFFFF


class Crc32Checksum:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: memoryview) -> None:
        self._value = isal_zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return (self._value ^ 0xFFFFFFFF).to_bytes(4, "little")

    def reset(self) -> None:
        self._value = 0


class Crc32Checksum0001(Crc32Checksum):
    """Format 0001 forgot to move on while it computed: each block counts as if it were its first byte, repeated."""

    def update(self, data: memoryview) -> None:
        super().update(memoryview(bytes((data[0],)) * len(data)))


class Crc32Checksum0001Long(Crc32Checksum0001):
    def digest(self) -> bytes:
        return super().digest() + bytes(4)


class XxhChecksum:
    """xxhash gives its digests in network order; partclone stores the integer as the machine has it."""

    def __init__(self, state: xxhash.xxh64 | xxhash.xxh3_128) -> None:
        self._state = state

    def update(self, data: memoryview) -> None:
        self._state.update(data)

    def digest(self) -> bytes:
        digest: bytes = self._state.digest()
        return digest[::-1]

    def reset(self) -> None:
        self._state.reset()


def checksum(mode: int) -> Checksum:
    match mode:
        case _ if mode == CRC32:
            return Crc32Checksum()
        case _ if mode == CRC32_0001:
            return Crc32Checksum0001()
        case _ if mode == CRC32_0001_LONG:
            return Crc32Checksum0001Long()
        case _ if mode == XXH64:
            return XxhChecksum(xxhash.xxh64())
        case _ if mode == XXH128:
            return XxhChecksum(xxhash.xxh3_128())
    raise ImageCorrupt(f"the image has checksums of an unknown kind ({mode:#x})")
