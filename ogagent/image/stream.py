"""Reading an image front to back: compressed chunks in, exact pieces of the decompressed stream out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

from ogagent.errors import ImageCorrupt

_PADDING_PIECE: Final = 128 << 10
_MOST_PADDING: Final = 1 << 30
"""In bytes: no block of a tape or of dd is as large."""


class Decoder(Protocol):
    """Turns the bytes of a container into what is inside it.

    ``readinto`` fills a part of the view, at least one byte, and answers how many; 0 at the end of the stream.
    It raises ImageCorrupt for a container that is damaged, truncated, or followed by something else.
    """

    @property
    def container(self) -> str: ...

    def readinto(self, into: memoryview) -> int: ...


class Chunks:
    """Chunks of bytes of any size, handed out in order, with a look ahead. Empty chunks are skipped."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._chunk = memoryview(b"")
        self._place = 0
        self.consumed = 0
        """Bytes handed out so far: the place in the file, for messages."""

    def next(self, limit: int) -> memoryview:
        """At least one byte, at most ``limit``, and never a copy; nothing at the end."""
        while self._place == len(self._chunk):
            fresh = next(self._chunks, None)
            if fresh is None:
                return memoryview(b"")
            self._chunk, self._place = memoryview(fresh), 0
        data = self._chunk[self._place : self._place + limit]
        self._place += len(data)
        self.consumed += len(data)
        return data

    def give_back(self, rest: bytes | memoryview) -> None:
        """The last bytes that were handed out, ``rest``, come again, also when they came in several chunks."""
        self.consumed -= len(rest)
        if len(rest) <= self._place:
            self._place -= len(rest)
        else:
            self._chunk, self._place = memoryview(bytes(rest) + bytes(self._chunk[self._place :])), 0

    def peek(self, size: int) -> bytes:
        """The next ``size`` bytes, fewer at the end, without taking them."""
        while len(self._chunk) - self._place < size:
            fresh = next(self._chunks, None)
            if fresh is None:
                break
            self._chunk, self._place = memoryview(bytes(self._chunk[self._place :]) + fresh), 0
        return bytes(self._chunk[self._place : self._place + size])

    def read(self, size: int, what: str) -> memoryview:
        """Exactly ``size`` bytes; ImageCorrupt, naming ``what`` was expected, when there are fewer."""
        data = self.next(size)
        if len(data) == size:
            return data
        parts = bytearray(data)
        while len(parts) < size:
            data = self.next(size - len(parts))
            if not data:
                raise ImageCorrupt(f"the image ends at byte {self.consumed}, in the middle of {what}")
            parts += data
        return memoryview(parts)

    def expect_end(self, after: str) -> None:
        """Raises ImageCorrupt, naming what it comes ``after``, when anything but padding is left.

        Tapes and dd fill their last block with zeros, which gzip and lzop pass over without a word. A line end comes
        from an editor or an echo; gzip and lzop complain of it, but have given out all they had.
        """
        end = self.consumed
        self._skip_zeros(_MOST_PADDING)
        if self.peek(3) not in (b"", b"\n", b"\r\n"):
            raise goes_on(after, end)

    def _skip_zeros(self, limit: int) -> None:
        while limit and (piece := self.next(min(limit, _PADDING_PIECE))):
            limit -= len(piece)
            if rest := bytes(piece).lstrip(b"\0"):
                self.give_back(rest)
                return


def goes_on(after: str, end: int) -> ImageCorrupt:
    return ImageCorrupt(
        f"after its last {after}, at byte {end}, the image goes on",
        hint=f"if what follows is of no use, cut it off: truncate --size={end} IMAGE",
    )


class ByteStream:
    """Exact reads from a Decoder, with a look ahead."""

    _PEEK_LIMIT: Final = 1 << 20

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._ahead = memoryview(b"")
        self.position = 0

    def peek(self, size: int) -> bytes:
        """The next ``size`` bytes, fewer at the end of the stream; they stay to be read."""
        if len(self._ahead) < size <= self._PEEK_LIMIT:
            ahead = bytearray(self._ahead)
            ahead.extend(bytes(size - len(ahead)))
            filled = len(self._ahead)
            with memoryview(ahead) as view:
                while filled < size and (count := self._decoder.readinto(view[filled:])):
                    filled += count
            self._ahead = memoryview(bytes(ahead[:filled]))
        return bytes(self._ahead[:size])

    def readinto(self, into: memoryview) -> int:
        """Fills the view as far as the stream reaches; answers how many bytes that were."""
        filled = min(len(self._ahead), len(into))
        if filled:
            into[:filled] = self._ahead[:filled]
            self._ahead = self._ahead[filled:]
        while filled < len(into) and (count := self._decoder.readinto(into[filled:])):
            filled += count
        self.position += filled
        return filled

    def read_exactly(self, into: memoryview, what: str) -> None:
        if self.readinto(into) != len(into):
            raise ImageCorrupt(f"the image ends {self.position} bytes into its content, in the middle of {what}")

    def read(self, size: int, what: str) -> bytes:
        data = bytearray(size)
        self.read_exactly(memoryview(data), what)
        return bytes(data)

    def expect_end(self) -> None:
        if self.peek(1):
            raise ImageCorrupt(f"the image goes on after its last block, {self.position} bytes into its content")
