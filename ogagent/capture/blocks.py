"""The blocks of a partition that are in use, as partclone would write them into an image."""

from __future__ import annotations

import struct
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Final, Self

from ogagent.disk.machine import Device
from ogagent.errors import (
    BeginningUnknown,
    DeviceError,
    ImageCorrupt,
    ImageError,
    InvalidField,
    ModelNotRead,
    UnknownImage,
)
from ogagent.image import checksum
from ogagent.image.checksum import partclone_crc32
from ogagent.image.codec import PlainDecoder
from ogagent.image.filesystem import PROBE_SIZE
from ogagent.image.frames import Contents, Part, region_size_for, write_frames
from ogagent.image.index import ImageIndex
from ogagent.image.partclone import PartcloneImage
from ogagent.image.partclone_header import BITMAP_SUM, HEADER_0002
from ogagent.image.piece import Extent
from ogagent.image.regions import PartcloneLayout, Region
from ogagent.image.stream import ByteStream, Chunks
from ogagent.model.units import KIB
from ogagent.system.memory import page_aligned

_ALIGNED: Final = 4 * KIB
_GAP: Final = 64 * KIB
"""So much that is not in use is read along: that takes less time than another read."""
_FORMAT: Final = "0002"
_DEVICE_SIZE: Final = 52
_GEOMETRY: Final = "<QQQQI"
"""Size of the device, all blocks, those in use by its superblock and by the bitmap, and bytes of each."""
_GROUP: Final = 100
"""Blocks for each checksum. Where the header says it: see ``ogagent.image.partclone_header``."""


class UsedBlocks:
    """``beginning`` is what partclone begins such an image with; its blocks are read from ``device`` when their turn
    comes. Implements ``ogagent.capture.making.Origin``. Raises BeginningUnknown for one that this agent does not
    understand, ModelNotRead for one that cannot be.
    """

    def __init__(self, beginning: bytes, device: Device, read: Callable[[int], None]) -> None:
        """``read`` hears how many bytes of blocks have been."""
        self._device = device
        self._read = read
        self.read_s = 0.0
        """Seconds that the device has been waited for."""
        try:
            self._image = _understood(beginning)
            region_size = region_size_for(self._image.geometry.block_size, None)
        except (ImageError, InvalidField) as error:
            raise BeginningUnknown(
                f"what partclone says of the partition cannot be used: {error.message}",
                hint="try another version of partclone (partclone.restore -v tells which this is)",
            ) from error
        geometry = self._image.geometry
        if geometry.total_blocks * geometry.block_size > device.size:
            raise ModelNotRead(
                f"the file system has {geometry.total_blocks} blocks of {geometry.block_size} bytes, "
                f"the partition only {device.size} bytes",
                hint="have the file system checked: it reaches beyond its partition",
            )
        self.contents = Contents(
            header=self._image.header,
            checksum_size=self._image.checksum_size,
            region_size=region_size,
            head=beginning,
        )
        self._layout = PartcloneLayout(geometry, self._image.bitmap, self._image.checksum_size, region_size)

    @property
    def used(self) -> int:
        """Bytes."""
        geometry = self._image.geometry
        return geometry.used_blocks * geometry.block_size

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Self]:
        yield self

    def pack(self, name: str, write: Callable[[bytes], object], level: int, threads: int) -> ImageIndex:
        return write_frames(name, self.contents, self.parts(), write, level, threads)

    def stop(self) -> None:
        """The next read is the last."""

    def parts(self) -> Iterator[Part]:
        """Raises ModelNotRead, which says where."""
        room = page_aligned(self.contents.region_size + _ALIGNED)
        sums = _Sums(self._image)
        for place in range(len(self._layout.numbers)):
            region = self._layout.region(place)
            data = memoryview(bytearray(region.size))
            self._fill(region, data, room)
            sums.add(region, data)
            self._read(region.used)
            yield region, data

    def _fill(self, region: Region, data: memoryview, room: memoryview) -> None:
        """With all but the checksums."""
        blocks = iter(region.blocks)
        into = next(blocks)
        for start, end, extents in _reads(region.extents, self._device.size):
            view = room[: end - start]
            self._from_device(start, view, extents)
            for extent in extents:
                taken = extent.offset - start
                left = extent.length
                while left:
                    if into.start == into.stop:
                        into = next(blocks)
                    count = min(left, into.stop - into.start)
                    data[into.start : into.start + count] = view[taken : taken + count]
                    into = slice(into.start + count, into.stop)
                    taken, left = taken + count, left - count

    def _from_device(self, start: int, into: memoryview, extents: list[Extent]) -> None:
        """What cannot be read and is not in use does not matter."""
        began = time.monotonic()
        try:
            self._device.read_back(start, into)
        except DeviceError:
            for extent in extents:
                _read(self._device, extent.offset, into[extent.offset - start :][: extent.length])
        self.read_s += time.monotonic() - began


def _understood(beginning: bytes) -> PartcloneImage:
    """Raises ImageError for what is not the whole beginning of an image of format 0002, or is more than that."""
    stream = ByteStream(PlainDecoder(Chunks(iter((beginning,)))))
    image = PartcloneImage(stream, "none")
    if image.geometry.version != _FORMAT:
        raise UnknownImage(f"it is of format {image.geometry.version}, which is not made any more")
    image.prepare()
    if stream.position != len(beginning):
        raise ImageCorrupt(f"its first block begins at byte {stream.position}, not {len(beginning)}")
    return image


def read_head(device: Device) -> bytes:
    """What tells a file system by its superblock. Raises ModelNotRead."""
    found = bytearray(min(PROBE_SIZE, device.size))
    _read(device, 0, memoryview(found))
    return bytes(found)


def _read(device: Device, offset: int, into: memoryview) -> None:
    try:
        device.read_back(offset, into)
    except DeviceError as error:
        raise ModelNotRead(
            f"bytes {offset} to {offset + len(into)} of the partition cannot be read: {error.message}",
            hint="look at the disk's health (smartctl): an image with a hole is worth nothing, so there is none",
        ) from error


def _reads(extents: list[Extent], size: int) -> Iterator[tuple[int, int, list[Extent]]]:
    """Places that are read at once, aligned, and what of them is in use."""
    some: list[Extent] = []
    for extent in extents:
        if some and extent.offset - (some[-1].offset + some[-1].length) > _GAP:
            yield _span(some, size)
            some = []
        some.append(extent)
    yield _span(some, size)


def _span(extents: list[Extent], size: int) -> tuple[int, int, list[Extent]]:
    start = extents[0].offset
    end = extents[-1].offset + extents[-1].length
    return start - start % _ALIGNED, min(-(-end // _ALIGNED) * _ALIGNED, size), extents


class _Sums:
    """Partclone's checksums, which run on from region to region."""

    def __init__(self, image: PartcloneImage) -> None:
        self._running = None if image.checksum_size == 0 else checksum.checksum(image.geometry.checksum_mode)
        self._size = image.checksum_size
        self._reseed = image.geometry.reseed

    def add(self, region: Region, data: memoryview) -> None:
        """Puts them where the region has left room for them."""
        if self._running is None:
            return
        for place, part in enumerate(region.blocks):
            self._running.update(data[part])
            following = region.blocks[place + 1].start if place + 1 < len(region.blocks) else region.size
            if following - part.stop == self._size:
                data[part.stop : following] = self._running.digest()
                if self._reseed:
                    self._running.reset()


def of_all_blocks(beginning: bytes, size: int) -> bytes:
    """``beginning`` of an image that holds all blocks, with blocks of ``size`` bytes instead of its own. One that
    is not understood stays as it is, for ``UsedBlocks`` to say so.
    """
    try:
        _understood(beginning)
    except ImageError:
        return beginning
    header = bytearray(beginning[:HEADER_0002])
    device_size, *_, old = struct.unpack_from(_GEOMETRY, header, _DEVICE_SIZE)
    count: int = device_size // size
    struct.pack_into(_GEOMETRY, header, _DEVICE_SIZE, device_size, count, count, count, size)
    (group,) = struct.unpack_from("<I", header, _GROUP)
    struct.pack_into("<I", header, _GROUP, max(group * old // size, 1))
    bits = ((1 << count) - 1).to_bytes(-(-count // 8), "little")
    return _sealed(header) + bits + partclone_crc32(bits).to_bytes(BITMAP_SUM, "little")


def of_volume_size(beginning: bytes, size: int) -> bytes:
    """``beginning``, with a header that asks for ``size`` bytes of a partition and no more.

    Of NTFS partclone notes the size of the partition, not that of the volume: what was shrunk would fit nowhere else.
    """
    header = bytearray(beginning[:HEADER_0002])
    struct.pack_into("<Q", header, _DEVICE_SIZE, size)
    return _sealed(header) + beginning[HEADER_0002:]


def _sealed(header: bytearray) -> bytes:
    return bytes(header[:-4]) + partclone_crc32(header[:-4]).to_bytes(4, "little")
