"""The containers that images come in: zstd, gzip, lzop, or none, told apart by their first bytes."""

from __future__ import annotations

from typing import Final, cast

from isal import isal_zlib

from ogagent.errors import ImageCorrupt, UnknownImage
from ogagent.image import libzstd
from ogagent.image.gzip_header import GZIP_MAGIC, SHORTEST_HEADER, read_header
from ogagent.image.lzop import LZOP_MAGIC, LzopDecoder
from ogagent.image.stream import Chunks, Decoder, goes_on
from ogagent.image.zstd_frame import MAX_FRAME_HEADER, is_zstd, window_size
from ogagent.model.units import format_bytes

MAX_WINDOW: Final = 128 << 20
"""What ``zstd -d`` takes without being told otherwise, ``zstd --long`` writes, and ``zstd --ultra -22`` needs."""

_INPUT_PIECE: Final = 128 << 10
"""What follows a frame or member is handed back as a copy; were it large, many small frames would take for ever."""

# isal's type stubs declare its exception as an instance
_GZIP_ERROR: Final = cast("type[Exception]", isal_zlib.IsalError)


def open_container(chunks: Chunks, max_window: int = MAX_WINDOW) -> Decoder:
    """Refuses zstd frames that need more than ``max_window`` bytes of what came before to be decoded."""
    match container_of(chunks.peek(len(LZOP_MAGIC))):
        case ZstdDecoder.container:
            return ZstdDecoder(chunks, max_window)
        case GzipDecoder.container:
            return GzipDecoder(chunks)
        case LzopDecoder.container:
            return LzopDecoder(chunks)
    return PlainDecoder(chunks)


def container_of(head: bytes) -> str:
    if is_zstd(head):
        return ZstdDecoder.container
    if head.startswith(GZIP_MAGIC):
        return GzipDecoder.container
    return LzopDecoder.container if head.startswith(LZOP_MAGIC) else PlainDecoder.container


class PlainDecoder:
    container = "none"

    def __init__(self, chunks: Chunks) -> None:
        self._chunks = chunks

    def readinto(self, into: memoryview) -> int:
        data = self._chunks.next(len(into))
        into[: len(data)] = data
        return len(data)


class ZstdDecoder:
    """Any number of frames; skippable ones give nothing."""

    container = "zstd"

    def __init__(self, chunks: Chunks, max_window: int) -> None:
        self._chunks = chunks
        self._max_window = max_window
        self._stream = libzstd.Stream(max_window, _INPUT_PIECE)
        self._check_window()

    def readinto(self, into: memoryview) -> int:
        while True:
            count = self._unpack(into)
            if self._stream.ended:
                self._chunks.give_back(self._stream.rest)
                self._stream.drop()
            if count:
                return count
            if self._stream.ended and not self._is_next_frame():
                return 0
            if self._stream.hungry:
                self._feed()

    def _unpack(self, into: memoryview) -> int:
        if self._stream.ended and self._stream.hungry:  # there is nothing in it
            return 0
        try:
            return self._stream.unpack(into)
        except libzstd.ZstdError as error:
            raise ImageCorrupt(f"the zstd stream is damaged near byte {self._chunks.consumed}: {error}") from error

    def _feed(self) -> None:
        data = self._chunks.next(_INPUT_PIECE)
        if not data:
            raise ImageCorrupt(f"the image ends at byte {self._chunks.consumed}, in the middle of a zstd frame")
        self._stream.feed(data)

    def _is_next_frame(self) -> bool:
        head = self._chunks.peek(4)
        if not head:
            return False
        if not is_zstd(head):
            raise goes_on("zstd frame", self._chunks.consumed)
        self._check_window()
        return True

    def _check_window(self) -> None:
        window = window_size(self._chunks.peek(MAX_FRAME_HEADER))
        if window > self._max_window:
            raise UnknownImage(
                f"to decode the image {format_bytes(window)} of memory are needed for its zstd window, "
                f"and restore.max_window allows {format_bytes(self._max_window)}",
                hint="allow more, or compress the image again without --long or with --long=27",
            )


class GzipDecoder:
    """Any number of members."""

    container = "gzip"
    _GZIP_WRAPPER: Final = 31  # zlib: window of 15 bits, plus 16 for header, CRC and length of gzip

    def __init__(self, chunks: Chunks) -> None:
        self._chunks = chunks
        self._member = self._open_member()

    def readinto(self, into: memoryview) -> int:
        while True:
            if self._member.eof and not self._next_member():
                return 0
            data = self._chunks.next(_INPUT_PIECE)
            out = self._decompress(data, len(into))
            self._chunks.give_back(self._member.unused_data if self._member.eof else self._member.unconsumed_tail)
            if out:
                into[: len(out)] = out
                return len(out)
            if not data and not self._member.eof:
                raise ImageCorrupt(f"the image ends at byte {self._chunks.consumed}, in the middle of a gzip member")

    def _decompress(self, data: bytes | memoryview, max_length: int) -> bytes:
        try:
            return self._member.decompress(data, max_length)
        except _GZIP_ERROR as error:
            raise ImageCorrupt(f"the gzip stream is damaged near byte {self._chunks.consumed}: {error}") from error

    def _next_member(self) -> bool:
        if self._chunks.peek(2) != GZIP_MAGIC:
            self._chunks.expect_end("gzip member")
            return False
        self._member = self._open_member()
        return True

    def _open_member(self) -> isal_zlib.Decompress:
        """isal loses its place in a header with optional fields that comes in parts, so it is given none of them."""
        read_header(self._chunks)
        member = isal_zlib.decompressobj(self._GZIP_WRAPPER)
        member.decompress(SHORTEST_HEADER)
        return member
