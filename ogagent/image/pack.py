"""Rewriting an image's container: a frame for each region. What the container holds stays the same to the byte.

The image is read and proven by the code that restores it; a recording keeps the bytes that it read, and they are cut
where the regions begin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import NamedTuple

from blake3 import blake3
from msgspec import Struct

from ogagent.image.codec import open_container
from ogagent.image.detect import image_in
from ogagent.image.frames import Contents, Part, region_size_for, write_frames
from ogagent.image.index import ImageIndex
from ogagent.image.partclone import PartcloneImage
from ogagent.image.piece import Image
from ogagent.image.regions import PartcloneLayout, Region, raw_region
from ogagent.image.stream import ByteStream, Chunks, Decoder


class Packing(NamedTuple):
    """``region_size`` None: 1 MiB, or the image's block size where that is more."""

    region_size: int | None
    level: int
    threads: int
    max_window: int


class Packed(Struct, frozen=True):
    """``content`` is BLAKE3 of what was in the original's container."""

    index: ImageIndex
    content: bytes


def pack(name: str, chunks: Iterator[bytes], write: Callable[[bytes], object], packing: Packing) -> Packed:
    """``write`` gets the image ``name`` in frames, not yet proven. Raises ImageError, InvalidField."""
    recording = _Recording(open_container(Chunks(chunks), packing.max_window))
    stream = ByteStream(recording)
    image = image_in(stream, recording.container)
    image.prepare()
    contents = Contents(
        header=image.header,
        checksum_size=image.checksum_size if isinstance(image, PartcloneImage) else 0,
        region_size=region_size_for(image.header.block_size, packing.region_size),
        head=recording.take(stream.position),
    )
    parts = _cut(image, recording, contents.region_size)
    index = write_frames(name, contents, parts, write, packing.level, packing.threads)
    return Packed(index, recording.digest.digest())


def _cut(image: Image, recording: _Recording, region_size: int) -> Iterator[Part]:
    """The regions of the image, each with its bytes of the stream. Raises ImageCorrupt for what cannot be proven."""
    regions = _regions(image, region_size)
    region = next(regions, None)
    buffer = memoryview(bytearray(image.buffer_size))
    prove = image.prover()
    for piece in image.pieces(lambda: buffer):
        prove(piece)
        while region is not None and region.size <= recording.held:
            yield region, recording.take(region.size)
            region = next(regions, None)
    if region is not None and recording.held:  # only a raw image may end within a region
        yield raw_region(region.number, region_size, recording.held), recording.take(recording.held)


def _regions(image: Image, region_size: int) -> Iterator[Region]:
    if isinstance(image, PartcloneImage):
        layout = PartcloneLayout(image.geometry, image.bitmap, image.checksum_size, region_size)
        return (layout.region(place) for place in range(len(layout.numbers)))
    return (raw_region(number, region_size, region_size) for number in count())


class _Recording:
    """A Decoder that keeps what it hands out until somebody takes it; ``digest`` is over all of it."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._kept = bytearray()
        self.container = decoder.container
        self.digest = blake3()

    @property
    def held(self) -> int:
        return len(self._kept)

    def readinto(self, into: memoryview) -> int:
        count = self._decoder.readinto(into)
        self._kept += into[:count]
        self.digest.update(into[:count])
        return count

    def take(self, size: int) -> bytes:
        with memoryview(self._kept) as kept:
            data = bytes(kept[:size])
        del self._kept[:size]
        return data
