"""The containers that images come in: zstd, gzip, lzop, or none, told apart by their first bytes."""

from __future__ import annotations

import sys
from typing import Final, cast

from isal import isal_zlib

from ogagent.errors import ImageCorrupt
from ogagent.image.lzop import LZOP_MAGIC, LzopDecoder
from ogagent.image.stream import Chunks, Decoder

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"  # RFC 8878, 3.1.1
GZIP_MAGIC: Final = b"\x1f\x8b"  # RFC 1952, 2.3.1

_OUTPUT_PIECE: Final = 128 << 10
"""The zstd module joins larger answers out of parts, which costs a second copy."""

# isal's type stubs declare its exception as an instance
_GZIP_ERROR: Final = cast("type[Exception]", isal_zlib.IsalError)

_MAX_WINDOW_LOG: Final = 27  # 128 MiB: what `zstd -d` takes without being told otherwise


def open_container(chunks: Chunks) -> Decoder:
    head = chunks.peek(len(LZOP_MAGIC))
    if head.startswith(ZSTD_MAGIC) or _is_skippable_frame(head):
        return ZstdDecoder(chunks)
    if head.startswith(GZIP_MAGIC):
        return GzipDecoder(chunks)
    if head == LZOP_MAGIC:
        return LzopDecoder(chunks)
    return PlainDecoder(chunks)


class PlainDecoder:
    container = "none"

    def __init__(self, chunks: Chunks) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def readinto(self, into: memoryview) -> int:
        if not self._rest:
            self._rest = memoryview(self._chunks.next())
        count = min(len(self._rest), len(into))
        into[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


class ZstdDecoder:
    """Any number of frames; skippable ones give nothing."""

    container = "zstd"

    def __init__(self, chunks: Chunks) -> None:
        self._chunks = chunks
        self._frame = _new_frame()

    def readinto(self, into: memoryview) -> int:
        while True:
            if self._frame.eof and not self._next_frame():
                return 0
            data = self._chunks.next() if self._frame.needs_input else b""
            if not data and self._frame.needs_input:
                raise ImageCorrupt(f"the image ends at byte {self._chunks.consumed}, in the middle of a zstd frame")
            out = self._decompress(data, min(len(into), _OUTPUT_PIECE))
            if out:
                into[: len(out)] = out
                return len(out)

    def _decompress(self, data: bytes, max_length: int) -> bytes:
        try:
            return self._frame.decompress(data, max_length)
        except zstd.ZstdError as error:
            raise ImageCorrupt(f"the zstd stream is damaged near byte {self._chunks.consumed}: {error}") from error

    def _next_frame(self) -> bool:
        if self._frame.unused_data:
            self._chunks.push_back(self._frame.unused_data)
        head = self._chunks.peek(4)
        if not head:
            return False
        if not head.startswith(ZSTD_MAGIC) and not _is_skippable_frame(head):
            raise ImageCorrupt(f"after its last zstd frame, at byte {self._chunks.consumed}, the image goes on")
        self._frame = _new_frame()
        return True


class GzipDecoder:
    """Any number of members."""

    container = "gzip"
    _GZIP_WRAPPER: Final = 31  # zlib: window of 15 bits, plus 16 for header, CRC and length of gzip

    def __init__(self, chunks: Chunks) -> None:
        self._chunks = chunks
        self._member = isal_zlib.decompressobj(self._GZIP_WRAPPER)

    def readinto(self, into: memoryview) -> int:
        while True:
            if self._member.eof and not self._next_member():
                return 0
            data = self._member.unconsumed_tail or self._chunks.next()
            try:
                out = self._member.decompress(data, len(into))
            except _GZIP_ERROR as error:
                raise ImageCorrupt(f"the gzip stream is damaged near byte {self._chunks.consumed}: {error}") from error
            if out:
                into[: len(out)] = out
                return len(out)
            if not data and not self._member.eof:
                raise ImageCorrupt(f"the image ends at byte {self._chunks.consumed}, in the middle of a gzip member")

    def _next_member(self) -> bool:
        if self._member.unused_data:
            self._chunks.push_back(self._member.unused_data)
        head = self._chunks.peek(2)
        if not head:
            return False
        if head != GZIP_MAGIC:
            raise ImageCorrupt(f"after its last gzip member, at byte {self._chunks.consumed}, the image goes on")
        self._member = isal_zlib.decompressobj(self._GZIP_WRAPPER)
        return True


def _new_frame() -> zstd.ZstdDecompressor:
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _MAX_WINDOW_LOG})


def _is_skippable_frame(head: bytes) -> bool:
    return head[1:4] == b"\x2a\x4d\x18" and 0x50 <= head[0] <= 0x5F  # RFC 8878, 3.1.2
