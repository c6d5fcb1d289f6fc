"""Regions: the partition cut into equal parts, and the image's stream cut where a new part begins.

How many used blocks come before a region says where partclone's checksums stand among its own, so the bytes of a
region can be told apart without those of any other.
"""

from __future__ import annotations

from array import array
from typing import Final, NamedTuple, Protocol

from blake3 import blake3

from ogagent.errors import ImageCorrupt
from ogagent.image import bitmap
from ogagent.image.bitmap import Bitmap
from ogagent.image.partclone_header import Geometry
from ogagent.image.piece import Extent
from ogagent.model.units import KIB, MIB

REGION_SIZE: Final = MIB
SMALLEST_REGION: Final = 64 * KIB
LARGEST_REGION: Final = 16 * MIB
"""A frame and what is in it must be in memory at once."""
_MOST_REGIONS: Final = 1 << 25  # 32 TiB in regions of 1 MiB


_SMALLEST_BLOCK: Final = 512
_LARGEST_CHECKSUM: Final = 16


def longest_region(region_size: int) -> int:
    """How many bytes of the image's stream a region has at most: each block may be followed by a checksum."""
    return region_size + region_size // _SMALLEST_BLOCK * _LARGEST_CHECKSUM


class Region(NamedTuple):
    """``size`` bytes of the image's stream. ``blocks`` are the slices of them that are blocks and no checksums.

    ``extents`` say where the blocks belong on the partition; their ``start`` counts the bytes of blocks only.
    """

    number: int
    size: int
    blocks: list[slice]
    extents: list[Extent]

    @property
    def used(self) -> int:
        """Bytes of blocks."""
        return self.extents[-1].start + self.extents[-1].length

    def digest(self, data: memoryview) -> bytes:
        """BLAKE3 of the blocks in ``data``, which is what the region's frame holds."""
        running = blake3()
        for part in self.blocks:
            running.update(data[part])
        return running.digest()

    def close_up(self, data: memoryview) -> None:
        """Moves the blocks to the beginning of ``data``, over the checksums between them."""
        filled = 0
        for part in self.blocks:
            length = part.stop - part.start
            if part.start != filled:
                data[filled : filled + length] = data[part]
            filled += length


class Layout(Protocol):
    """The regions of an image that hold used blocks, in order."""

    @property
    def numbers(self) -> array[int]: ...

    def region(self, place: int) -> Region:
        """The region whose number is ``numbers[place]``."""


class PartcloneLayout:
    def __init__(self, geometry: Geometry, used: Bitmap, checksum_size: int, region_size: int) -> None:
        self._geometry = geometry
        self._bitmap = used
        self._checksum_size = checksum_size
        self._per_region = region_size // geometry.block_size
        self.numbers = array("I")
        self._before = array("Q")  # used blocks before each region, and at last all of them
        self._count(-(-geometry.total_blocks // self._per_region))

    def _count(self, regions: int) -> None:
        if regions > _MOST_REGIONS:
            raise ImageCorrupt(f"the partition of the image has {regions} regions, more than any disk")
        before = 0
        for first, count, each in bitmap.counts(self._bitmap, self._geometry.total_blocks, self._per_region):
            if each:
                self.numbers.extend(range(first, first + count))
                self._before.extend(range(before, before + count * each, each))
                before += count * each
        self._before.append(before)

    def _bits(self, number: int) -> tuple[bytes, int]:
        first = number * self._per_region
        count = min(self._per_region, self._geometry.total_blocks - first)
        return bitmap.part(self._bitmap, first, count), count

    def region(self, place: int) -> Region:
        number = self.numbers[place]
        block_size = self._geometry.block_size
        origin = number * self._per_region * block_size
        extents = []
        filled = 0
        for first, count in bitmap.runs(*self._bits(number)):
            extents.append(Extent(origin + first * block_size, filled, count * block_size))
            filled += count * block_size
        size, blocks = self._blocks(self._before[place], self._before[place + 1])
        return Region(number, size, blocks, extents)

    def _blocks(self, first: int, end: int) -> tuple[int, list[slice]]:
        """For the used blocks from ``first`` to ``end``: the size with checksums, and the slices without."""
        geometry = self._geometry
        group, all_used = geometry.blocks_per_checksum or self._before[-1], self._before[-1]
        size, block, blocks = 0, first, []
        while block < end:
            count = min(end - block, group - block % group)
            blocks.append(slice(size, size + count * geometry.block_size))
            size, block = blocks[-1].stop, block + count
            if block % group == 0 or block == all_used:
                size += self._checksum_size
        return size, blocks


class RawLayout:
    """Every byte of a raw image is used."""

    def __init__(self, size: int, region_size: int) -> None:
        self._size = size
        self._region_size = region_size
        self.numbers = array("I", range(-(-size // region_size)))

    def region(self, place: int) -> Region:
        return raw_region(place, self._region_size, min(self._region_size, self._size - place * self._region_size))


def raw_region(number: int, region_size: int, length: int) -> Region:
    return Region(number, length, [slice(0, length)], [Extent(number * region_size, 0, length)])
