"""A partition as it is, byte for byte, in whatever container."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from ogagent.errors import ImageCorrupt
from ogagent.image.filesystem import Superblock
from ogagent.image.piece import Extent, Piece, Prover
from ogagent.image.stream import ByteStream
from ogagent.model.plan import ImageHeader
from ogagent.model.units import MIB

_PIECE: Final = 4 * MIB


class RawImage:
    """How long it is shows at its end; until then the superblock's word is taken for the least it must be."""

    buffer_size = _PIECE

    def __init__(self, stream: ByteStream, container: str, superblock: Superblock) -> None:
        self._stream = stream
        self._size = 0
        self.header = ImageHeader(
            container=container,
            format="raw",
            filesystem=superblock.filesystem,
            block_size=512,
            device_size=superblock.size,
            used_bytes=None,
            sector_size=superblock.sector_size,
        )

    def prepare(self) -> None:
        return None

    def check_length(self, size: int) -> None:
        if size < self.header.device_size:
            raise ImageCorrupt(
                f"the image has {size} bytes, its {self.header.filesystem} file system {self.header.device_size}"
            )

    def pieces(self, take_buffer: Callable[[], memoryview]) -> Iterator[Piece]:
        while True:
            buffer = take_buffer()
            length = self._stream.readinto(buffer)
            if not length:
                break
            yield Piece(buffer, length, [Extent(self._size, 0, length)], [])
            self._size += length
        self.check_length(self._size)

    def places(self) -> Iterator[list[Extent]]:
        for offset in range(0, self._size, _PIECE):
            yield [Extent(offset, 0, min(_PIECE, self._size - offset))]

    def prover(self) -> Prover:
        """Nothing in a raw image vouches for it but its container, which has been proven by decoding it."""
        return lambda _: None
