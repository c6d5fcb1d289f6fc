"""What an image comes apart into: pieces of a few MiB, each with the places on the partition where it belongs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from ogagent.model.plan import ImageHeader


class Extent(NamedTuple):
    """``length`` bytes that stand at ``start`` in the buffer of a piece belong at ``offset`` on the partition."""

    offset: int
    start: int
    length: int


class Check(NamedTuple):
    """The bytes of a buffer from ``start`` to ``end`` close a group that must have this checksum."""

    start: int
    end: int
    expected: bytes


class Piece(NamedTuple):
    """``data`` is a part of the buffer that was taken for it; ``checks`` cover it in order, without a gap."""

    buffer: memoryview
    length: int
    extents: list[Extent]
    checks: list[Check]

    @property
    def data(self) -> memoryview:
        return self.buffer[: self.length]


Prover = Callable[[Piece], None]
"""Raises ImageCorrupt when a piece is not what the image's checksums say. Pieces are shown to it in order."""


class Image(Protocol):
    """An image whose header has been read. The order of calls: ``prepare``, then ``pieces`` to the end."""

    @property
    def header(self) -> ImageHeader: ...

    @property
    def buffer_size(self) -> int:
        """How large the buffers for ``pieces`` must be, in bytes."""

    def prepare(self) -> int | None:
        """Reads and proves all that stands before the first block; answers how many bytes follow, if known."""

    def check_length(self, size: int) -> None:
        """Raises ImageCorrupt when all that is in the container cannot be ``size`` bytes; only after ``prepare``."""

    def pieces(self, take_buffer: Callable[[], memoryview]) -> Iterator[Piece]:
        """Reads the image to its end, unproven. Raises ImageCorrupt when it does not end where it should."""

    def prover(self) -> Prover: ...

    def places(self) -> Iterator[list[Extent]]:
        """The extents of each piece once more, in the same order; only after ``pieces`` came to its end."""
