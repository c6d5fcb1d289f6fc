"""The lzop container, as older images have it (``partclone … | lzop``).

The format has no specification but its program: lzop 1.04, ``src/lzop.c`` and ``src/conf.h``. All numbers are
big-endian. A file is a header and blocks; a block is: decompressed length (0 ends the file), compressed length, the
checksums that the flags name, data. A block whose two lengths are equal is stored as it is. Like lzop, this reads files
that stand one after another as one.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from isal import isal_zlib
from lzallright import LZOCompressor, LZOError

from ogagent.errors import ImageCorrupt
from ogagent.image.stream import Chunks

LZOP_MAGIC: Final = b"\x89LZO\x00\r\n\x1a\n"

_EXTRA_FIELD: Final = 0x40
_FILTER: Final = 0x800
_CRC32_HEADER: Final = 0x1000
_METHODS: Final = (1, 2, 3)  # LZO1X-1, LZO1X-1(15), LZO1X-999: one decompressor
_MAX_EXTRA_FIELD: Final = 64 << 10
_MAX_BLOCK: Final = 256 << 10
"""What lzop writes, always, and Linux's own unlzo takes. lzop would read 64 MiB, but a byte of LZO may become 255 that
nothing can stop before they are there: this is what bounds the memory that a malicious image costs."""

_Checksum = Callable[[bytes | memoryview], int]
_OF_DATA: Final[tuple[tuple[int, _Checksum], ...]] = ((0x1, isal_zlib.adler32), (0x100, isal_zlib.crc32))
_OF_PACKED: Final[tuple[tuple[int, _Checksum], ...]] = ((0x2, isal_zlib.adler32), (0x200, isal_zlib.crc32))


class LzopDecoder:
    container = "lzop"

    def __init__(self, chunks: Chunks) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")
        self._ended = False
        self._flags = self._read_header()

    def readinto(self, into: memoryview) -> int:
        while not self._rest and not self._ended:
            self._rest = memoryview(self._next_block())
            if not self._rest:
                self._next_file()
        count = min(len(self._rest), len(into))
        into[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def _read_header(self) -> int:
        self._take(len(LZOP_MAGIC))
        header = bytes(self._take(7))
        version, _, needed, method = struct.unpack(">HHHB", header)
        if version < 0x0940 or needed > 0x1040 or method not in _METHODS:
            raise ImageCorrupt(
                f"the lzop header names version {needed:#06x} and method {method}, which nothing can read"
            )
        header += (fixed := self._take(17))  # level, flags, mode, time low, time high
        flags = int.from_bytes(fixed[1:5], "big")
        if flags & _FILTER:
            raise ImageCorrupt("the lzop file went through a filter, which no imaging tool uses")
        header += (length := self._take(1))
        header += self._take(length[0])  # the original file's name
        self._check(header, self._take(4), self._checksum(flags, _CRC32_HEADER), "the lzop header")
        if flags & _EXTRA_FIELD:
            self._skip_extra_field(self._checksum(flags, _CRC32_HEADER))
        return flags

    def _skip_extra_field(self, checksum: _Checksum) -> None:
        size = bytes(self._take(4))
        if int.from_bytes(size, "big") > _MAX_EXTRA_FIELD:
            raise ImageCorrupt("the lzop header's extra field is larger than any program makes it")
        extra = self._take(int.from_bytes(size, "big"))
        self._check(size + extra, self._take(4), checksum, "the lzop header's extra field")

    def _next_block(self) -> bytes | memoryview:
        (size,) = struct.unpack(">I", self._take(4))
        if size == 0:
            return b""
        (packed_size,) = struct.unpack(">I", self._take(4))
        if size > _MAX_BLOCK or not 0 < packed_size <= size:
            sizes = f"{packed_size} bytes for {size}"
            raise ImageCorrupt(f"an lzop block before byte {self._chunks.consumed} claims impossible sizes: {sizes}")
        stored = packed_size == size
        data_sums = self._take_sums(_OF_DATA)
        packed_sums = [] if stored else self._take_sums(_OF_PACKED)
        packed = self._take(packed_size)
        self._check_all(packed, packed_sums)
        data = packed if stored else self._decompress(packed, size)
        self._check_all(data, data_sums)
        return data

    def _take_sums(self, kinds: tuple[tuple[int, _Checksum], ...]) -> list[tuple[_Checksum, memoryview]]:
        return [(checksum, self._take(4)) for flag, checksum in kinds if self._flags & flag]

    def _next_file(self) -> None:
        if self._chunks.peek(len(LZOP_MAGIC)) == LZOP_MAGIC:
            self._flags = self._read_header()
        else:
            self._chunks.expect_end("lzop block")
            self._ended = True

    def _decompress(self, packed: memoryview, size: int) -> bytes:
        try:
            data = LZOCompressor.decompress(packed, output_size_hint=size)
        except LZOError as error:
            reason = error.args[0]  # what follows it may be the whole block
            raise ImageCorrupt(f"an lzop block before byte {self._chunks.consumed} is damaged: {reason}") from error
        if len(data) != size:
            raise ImageCorrupt(f"an lzop block before byte {self._chunks.consumed} has {len(data)} bytes, not {size}")
        return data

    def _check_all(self, data: bytes | memoryview, sums: list[tuple[_Checksum, memoryview]]) -> None:
        for checksum, expected in sums:
            self._check(data, expected, checksum, "an lzop block")

    def _check(self, data: bytes | memoryview, expected: memoryview, checksum: _Checksum, what: str) -> None:
        if checksum(data).to_bytes(4, "big") != expected:
            raise ImageCorrupt(f"{what} before byte {self._chunks.consumed} does not match its checksum")

    @staticmethod
    def _checksum(flags: int, crc_flag: int) -> _Checksum:
        return isal_zlib.crc32 if flags & crc_flag else isal_zlib.adler32

    def _take(self, size: int) -> memoryview:
        return self._chunks.read(size, "an lzop block")
