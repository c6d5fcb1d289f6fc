"""An image in frames, opened by its index: what it is, where its regions lie, and the proof of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO, Final

from blake3 import blake3
from msgspec import Struct

from ogagent.errors import ImageCorrupt
from ogagent.image import checksum
from ogagent.image.codec import PlainDecoder
from ogagent.image.index import ImageIndex
from ogagent.image.partclone import PartcloneImage
from ogagent.image.regions import Layout, PartcloneLayout, RawLayout
from ogagent.image.seekable import seek_table, unpack_frame
from ogagent.image.stream import ByteStream, Chunks
from ogagent.image.workers import in_order
from ogagent.model.plan import ImageHeader
from ogagent.model.units import MIB

_SIZES_0001: Final = tuple(checksum.SIZES[mode] for mode in (checksum.CRC32_0001, checksum.CRC32_0001_LONG))

LARGEST_PREFIX: Final = 513 * MIB
"""Unpacked: the largest bitmap that partclone_header.py lets pass, and its header."""


class IndexedImage(Struct, frozen=True):
    index: ImageIndex
    header: ImageHeader
    layout: Layout

    @property
    def used_bytes(self) -> int:
        """Of all regions together."""
        index = self.index
        return index.device_size if index.format == "raw" else index.used_blocks * index.block_size

    def unpack(self, place: int, frame: bytes) -> bytes:
        """The bytes of the stream for the region at ``place``, proven. Raises ImageCorrupt."""
        region = self.layout.region(place)
        data = unpack_frame(frame, region.size)
        if len(data) != region.size or region.digest(memoryview(data)) != self.index.hash(place):
            first = region.number * self.index.region_size
            raise ImageCorrupt(f"the region from byte {first} of the partition is not what the index says")
        return data


def open_indexed(index: ImageIndex, prefix: bytes) -> IndexedImage:
    """``prefix`` is the frame that the index names so. Raises ImageCorrupt when one is not the other's."""
    head = unpack_frame(prefix, LARGEST_PREFIX) if index.prefix.length else b""
    if blake3(head).digest() != index.prefix.hash:
        raise ImageCorrupt("the image's header is not what the index says")
    header, layout = _raw(index) if index.format == "raw" else _partclone(index, head)
    if len(layout.numbers) != index.count or tuple(layout.numbers) != index.numbers:
        raise ImageCorrupt("the index names other regions than the image's bitmap")
    return IndexedImage(index, header, layout)


def _raw(index: ImageIndex) -> tuple[ImageHeader, Layout]:
    header = ImageHeader(
        container="zstd",
        format=index.format,
        filesystem=index.filesystem,
        block_size=index.block_size,
        device_size=index.device_size,
        used_bytes=index.device_size,
    )
    return header, RawLayout(index.device_size, index.region_size)


def _partclone(index: ImageIndex, head: bytes) -> tuple[ImageHeader, Layout]:
    stream = ByteStream(PlainDecoder(Chunks(iter([head]))))
    image = PartcloneImage(stream, "zstd")
    used = image.prepare()
    stream.expect_end()
    found = image.header
    said = (index.format, index.filesystem, index.block_size, index.device_size, index.used_blocks * index.block_size)
    sizes = _SIZES_0001 if image.geometry.version == "0001" else (image.checksum_size,)
    if index.checksum_size not in sizes or said != (
        found.format,
        found.filesystem,
        found.block_size,
        found.device_size,
        used,
    ):
        raise ImageCorrupt("the image's header and the index contradict each other")
    return found, PartcloneLayout(image.geometry, image.bitmap, index.checksum_size, index.region_size)


def prove(file: BinaryIO, index: ImageIndex, threads: int, seen: Callable[[bytes], None]) -> bytes:
    """Reads an image in frames from its first byte to its last, and proves all that its index says.

    Answers BLAKE3 of what is in the frames; ``seen`` gets the bytes of the file. Raises ImageCorrupt.
    """
    reading = _Reading(file, seen)
    prefix = reading.frame(index.prefix.offset, index.prefix.length)
    image = open_indexed(index, prefix)
    head = unpack_frame(prefix, LARGEST_PREFIX) if prefix else b""
    content = blake3(head)
    lengths = [(len(prefix), len(head))] if prefix else []

    def frames() -> Iterator[tuple[int, bytes]]:
        for place in range(index.count):
            yield place, reading.frame(*index.frame(place))

    def unpacked(item: tuple[int, bytes]) -> tuple[int, bytes]:
        place, frame = item
        return len(frame), image.unpack(place, frame)

    for packed_length, data in in_order(unpacked, frames(), threads):
        content.update(data)
        lengths.append((packed_length, len(data)))
    reading.expect_end(seek_table(lengths))
    if (reading.position, reading.digest.digest()) != (index.size, index.digest):
        raise ImageCorrupt("the image file is not the one that its index was made for")
    return content.digest()


class _Reading:
    """A file, front to back, without a gap."""

    def __init__(self, file: BinaryIO, seen: Callable[[bytes], None]) -> None:
        self._file = file
        self._seen = seen
        self.position = 0
        self.digest = blake3()

    def frame(self, offset: int, length: int) -> bytes:
        if offset != self.position:
            raise ImageCorrupt(f"before byte {offset} of the image file lies something that its index does not name")
        return self._take(length)

    def expect_end(self, table: bytes) -> None:
        if self._take(len(table)) != table or self._file.read(1):
            raise ImageCorrupt("the image file does not end with the table of the frames that its index names")

    def _take(self, length: int) -> bytes:
        data = self._file.read(length)
        if len(data) != length:
            raise ImageCorrupt(f"the image file ends at byte {self.position + len(data)}, within a frame of its index")
        self._seen(data)
        self.digest.update(data)
        self.position += length
        return data
