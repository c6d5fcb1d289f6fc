"""The lzop container, as older images have it (``partclone … | lzop``).

The format has no specification but its program: lzop 1.04, ``src/lzop.c`` and ``src/conf.h``. All numbers are
big-endian. A file is a header and blocks; a block is: decompressed length (0 ends the file), compressed length, the
checksums that the flags name, data. A block whose two lengths are equal is stored as it is.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Final

from isal import isal_zlib
from lzallright import LZOCompressor, LZOError

from ogagent.errors import ImageCorrupt
from ogagent.image.stream import Chunks

LZOP_MAGIC: Final = b"\x89LZO\x00\r\n\x1a\n"

_ADLER32_DATA: Final = 0x1
_ADLER32_COMPRESSED: Final = 0x2
_EXTRA_FIELD: Final = 0x40
_CRC32_DATA: Final = 0x100
_CRC32_COMPRESSED: Final = 0x200
_MULTIPART: Final = 0x400
_FILTER: Final = 0x800
_CRC32_HEADER: Final = 0x1000
_METHODS: Final = (1, 2, 3)  # LZO1X-1, LZO1X-1(15), LZO1X-999: one decompressor
_MAX_BLOCK: Final = 64 << 20  # lzop's own limit

_Checksum = Callable[[bytes], int]


class LzopDecoder:
    container = "lzop"

    def __init__(self, chunks: Chunks) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")
        self._ended = False
        self._flags = self._read_header()

    def readinto(self, into: memoryview) -> int:
        if not self._rest and not self._ended:
            self._rest = memoryview(self._next_block())
        count = min(len(self._rest), len(into))
        into[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def _read_header(self) -> int:
        self._take(len(LZOP_MAGIC))
        header = self._take(7)
        version, _, needed, method = struct.unpack(">HHHB", header)
        if version < 0x0940 or needed > 0x1040 or method not in _METHODS:
            raise ImageCorrupt(
                f"the lzop header names version {needed:#06x} and method {method}, which nothing can read"
            )
        header += (fixed := self._take(17))  # level, flags, mode, time low, time high
        flags = int.from_bytes(fixed[1:5], "big")
        if flags & (_FILTER | _MULTIPART):
            raise ImageCorrupt("the lzop file is filtered or in parts, which no imaging tool writes")
        header += (length := self._take(1))
        header += self._take(length[0])  # the original file's name
        self._check(header, self._take(4), self._checksum(flags, _CRC32_HEADER), "the lzop header")
        if flags & _EXTRA_FIELD:
            self._skip_extra_field(self._checksum(flags, _CRC32_HEADER))
        return flags

    def _skip_extra_field(self, checksum: _Checksum) -> None:
        size = self._take(4)
        extra = self._take(self._bounded(size))
        self._check(size + extra, self._take(4), checksum, "the lzop header's extra field")

    def _next_block(self) -> bytes:
        (size,) = struct.unpack(">I", self._take(4))
        if size == 0:
            self._end()
            return b""
        packed_size = self._bounded(self._take(4))
        if size > _MAX_BLOCK or packed_size > size:
            raise ImageCorrupt(f"an lzop block before byte {self._chunks.consumed} claims impossible sizes")
        data_sums = [self._take(4) for flag in (_ADLER32_DATA, _CRC32_DATA) if self._flags & flag]
        stored = packed_size == size
        packed_flags = 0 if stored else self._flags
        packed_sums = [self._take(4) for flag in (_ADLER32_COMPRESSED, _CRC32_COMPRESSED) if packed_flags & flag]
        packed = self._take(packed_size)
        self._check_all(packed, packed_sums, _ADLER32_COMPRESSED, _CRC32_COMPRESSED)
        data = packed if stored else self._decompress(packed, size)
        self._check_all(data, data_sums, _ADLER32_DATA, _CRC32_DATA)
        return data

    def _decompress(self, packed: bytes, size: int) -> bytes:
        try:
            data = LZOCompressor.decompress(packed, output_size_hint=size)
        except LZOError as error:
            raise ImageCorrupt(f"an lzop block before byte {self._chunks.consumed} is damaged: {error}") from error
        if len(data) != size:
            raise ImageCorrupt(f"an lzop block before byte {self._chunks.consumed} has {len(data)} bytes, not {size}")
        return bytes(data)

    def _end(self) -> None:
        self._ended = True
        if self._chunks.peek(1):
            raise ImageCorrupt(f"after its last lzop block, at byte {self._chunks.consumed}, the image goes on")

    def _check_all(self, data: bytes, expected: list[bytes], adler_flag: int, crc_flag: int) -> None:
        kinds = [
            zlib.adler32 if flag == adler_flag else isal_zlib.crc32
            for flag in (adler_flag, crc_flag)
            if self._flags & flag
        ]
        for checksum, value in zip(kinds, expected, strict=False):
            self._check(data, value, checksum, "an lzop block")

    def _check(self, data: bytes, expected: bytes, checksum: _Checksum, what: str) -> None:
        if checksum(data).to_bytes(4, "big") != expected:
            raise ImageCorrupt(f"{what} before byte {self._chunks.consumed} does not match its checksum")

    @staticmethod
    def _checksum(flags: int, crc_flag: int) -> _Checksum:
        return isal_zlib.crc32 if flags & crc_flag else isal_zlib.adler32

    @staticmethod
    def _bounded(size: bytes) -> int:
        value = int.from_bytes(size, "big")
        if value > _MAX_BLOCK:
            raise ImageCorrupt(f"an lzop block claims {value} bytes, more than lzop ever writes")
        return value

    def _take(self, size: int) -> bytes:
        return self._chunks.read(size, "an lzop block")
