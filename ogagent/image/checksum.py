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

SIZES: Final = {NONE: 0, CRC32: 4, XXH64: 8, XXH128: 16, CRC32_0001: 4}
NAMES: Final = {NONE: "none", CRC32: "crc32", XXH64: "xxh64", XXH128: "xxh128", CRC32_0001: "crc32"}


class Checksum(Protocol):
    """A running checksum; ``digest`` gives it as partclone stores it, on a little-endian machine."""

    def update(self, data: memoryview) -> None: ...
    def digest(self) -> bytes: ...
    def reset(self) -> None: ...


def partclone_crc32(data: bytes | memoryview) -> int:
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
        case _ if mode == XXH64:
            return XxhChecksum(xxhash.xxh64())
        case _ if mode == XXH128:
            return XxhChecksum(xxhash.xxh3_128())
    raise ImageCorrupt(f"the image has checksums of an unknown kind ({mode:#x})")
