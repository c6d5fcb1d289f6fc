"""An image in frames, opened by its index: what it is, where its regions lie, and the proof of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO, Final

from blake3 import blake3
from msgspec import Struct

from ogagent.errors import ImageCorrupt, UnknownImage
from ogagent.image import checksum
from ogagent.image.codec import MAX_WINDOW, ZstdDecoder
from ogagent.image.index import ImageIndex
from ogagent.image.partclone import PartcloneImage
from ogagent.image.regions import Layout, PartcloneLayout, RawLayout, Region, longest_region
from ogagent.image.seekable import seek_table, unpack_frame, unpack_into
from ogagent.image.stream import ByteStream, Chunks, Decoder
from ogagent.image.workers import in_order
from ogagent.model.plan import ImageHeader
from ogagent.model.units import MIB

_LARGEST_HEAD: Final = 513 * MIB
"""The largest bitmap that partclone_header.py lets pass, and its header."""
_SIZES_0001: Final = tuple(checksum.SIZES[mode] for mode in (checksum.CRC32_0001, checksum.CRC32_0001_LONG))


class IndexedImage(Struct, frozen=True):
    index: ImageIndex
    header: ImageHeader
    layout: Layout

    @property
    def used_bytes(self) -> int:
        """Of all regions together."""
        index = self.index
        return index.device_size if index.format == "raw" else index.used_blocks * index.block_size

    def unpack(self, place: int, frame: bytes | memoryview, into: memoryview) -> Region:
        """The region at ``place``, whose bytes of the stream, proven, are then the first of ``into``.

        A view of a frame must be of memory that can be written to. Raises ImageCorrupt.
        """
        region = self.layout.region(place)
        data = into[: region.size]
        if unpack_into(frame, data, checked=False) != region.size or region.digest(data) != self.index.hash(place):
            first = region.number * self.index.region_size
            raise ImageCorrupt(f"the region from byte {first} of the partition is not what the index says")
        return region


def open_indexed(index: ImageIndex, prefix: bytes) -> IndexedImage:
    """``prefix`` is the frame that the index names so. Raises ImageCorrupt when one is not the other's.

    No more of it is read than ``index.device_size`` and ``block_size`` allow for, so they bound memory and time.
    """
    header, layout = _raw(index, prefix) if index.format == "raw" else _partclone(index, prefix)
    if layout.numbers != index.numbers:
        raise ImageCorrupt("the index names other regions than the image's bitmap")
    return IndexedImage(index, header, layout)


def _raw(index: ImageIndex, prefix: bytes) -> tuple[ImageHeader, Layout]:
    if prefix or index.prefix.hash != blake3().digest():
        raise ImageCorrupt("the index speaks of a header, which raw images have not")
    header = ImageHeader(
        container="zstd",
        format=index.format,
        filesystem=index.filesystem,
        block_size=index.block_size,
        device_size=index.device_size,
        used_bytes=index.device_size,
    )
    return header, RawLayout(index.device_size, index.region_size)


def _partclone(index: ImageIndex, prefix: bytes) -> tuple[ImageHeader, Layout]:
    digest = blake3()
    try:
        stream = ByteStream(_Hashed(ZstdDecoder(Chunks(iter([prefix])), MAX_WINDOW), digest))
        image = PartcloneImage(stream, "zstd")
    except UnknownImage as error:
        raise ImageCorrupt(error.message) from error
    found = image.header
    said = (index.format, index.filesystem, index.block_size, index.device_size)
    if said != (found.format, found.filesystem, found.block_size, found.device_size):
        raise ImageCorrupt("the image's header and the index contradict each other")
    used = image.prepare()
    stream.expect_end()
    sizes = _SIZES_0001 if image.geometry.version == "0001" else (image.checksum_size,)
    if used != index.used_blocks * index.block_size or index.checksum_size not in sizes:
        raise ImageCorrupt("the image's bitmap and the index contradict each other")
    if digest.digest() != index.prefix.hash:
        raise ImageCorrupt("the image's header is not what the index says")
    return found, PartcloneLayout(image.geometry, image.bitmap, index.checksum_size, index.region_size)


class _Hashed:
    """A Decoder, and the digest of what came out of it."""

    def __init__(self, decoder: Decoder, digest: blake3) -> None:
        self._decoder = decoder
        self._digest = digest
        self.container = decoder.container

    def readinto(self, into: memoryview) -> int:
        count = self._decoder.readinto(into)
        self._digest.update(into[:count])
        return count


def prove(file: BinaryIO, index: ImageIndex, threads: int, seen: Callable[[bytes], None]) -> bytes:
    """Reads an image in frames from its first byte to its last, and proves all that its index says.

    Answers BLAKE3 of what is in the frames; ``seen`` gets the bytes of the file. Raises ImageCorrupt.
    """
    reading = _Reading(file, seen)
    prefix = reading.frame(index.prefix.offset, index.prefix.length)
    image = open_indexed(index, prefix)
    head = unpack_frame(prefix, _LARGEST_HEAD) if prefix else b""
    content = blake3(head)
    lengths = [(len(prefix), len(head))] if prefix else []

    def frames() -> Iterator[tuple[int, bytes]]:
        for place in range(index.count):
            yield place, reading.frame(*index.frame(place))

    def unpacked(item: tuple[int, bytes]) -> tuple[int, memoryview]:
        place, frame = item
        data = memoryview(bytearray(longest_region(index.region_size)))
        return len(frame), data[: image.unpack(place, frame, data).size]

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
