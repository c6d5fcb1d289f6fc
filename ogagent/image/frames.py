"""Regions become frames one after the other, and what must be said of them an index.

Whoever makes an image, from another image or from a partition, makes it by this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from blake3 import blake3
from msgspec import Struct

from ogagent.errors import ImageTooLarge, InvalidField
from ogagent.image.index import LARGEST_INDEX, ImageIndex, Prefix, pack_frames, pack_numbers
from ogagent.image.regions import REGION_SIZE, Region
from ogagent.image.seekable import pack_frame, seek_table
from ogagent.image.workers import in_order
from ogagent.model.plan import ImageHeader

_MOST_REGIONS: Final = LARGEST_INDEX // 64  # each takes 48 bytes of the index

Part = tuple[Region, bytes | memoryview]
"""A region, and its bytes of the image's stream."""


class Contents(Struct, frozen=True, kw_only=True):
    """What an image is, beside its regions. ``head`` is its stream before the first block, empty for a raw one."""

    header: ImageHeader
    checksum_size: int
    region_size: int
    head: bytes


def region_size_for(block_size: int, wanted: int | None) -> int:
    """None: 1 MiB, or the block size where that is more. Raises InvalidField."""
    size = wanted or max(REGION_SIZE, block_size)
    if size % block_size:
        raise InvalidField(
            f"regions of {size} bytes do not hold whole blocks of {block_size}", hint="name another --region-size"
        )
    return size


def write_frames(
    name: str, contents: Contents, parts: Iterable[Part], write: Callable[[bytes], object], level: int, threads: int
) -> ImageIndex:
    """``write`` gets the image ``name``, front to back; it is not yet proven. Raises what the parts and it raise."""
    output, table = _Output(write), _Table()
    head = contents.head
    place = output.write(pack_frame(head, level), len(head)) if head else (0, 0)
    prefix = Prefix(*place, blake3(head).digest())

    def packed(part: Part) -> tuple[Region, bytes, bytes]:
        region, data = part
        return region, region.digest(memoryview(data)), pack_frame(data, level)

    for region, digest, frame in in_order(packed, parts, threads):
        table.add(region, output.write(frame, region.size), digest)
    output.end()
    return _index(name, contents, prefix, table, output)


def _index(name: str, contents: Contents, prefix: Prefix, table: _Table, output: _Output) -> ImageIndex:
    header = contents.header
    return ImageIndex(
        image=name,
        size=output.size,
        digest=output.digest.digest(),
        format=header.format,
        filesystem=header.filesystem,
        block_size=header.block_size,
        device_size=table.used if header.format == "raw" else header.device_size,
        used_blocks=-(-table.used // header.block_size),
        checksum_size=contents.checksum_size,
        region_size=contents.region_size,
        prefix=prefix,
        regions=pack_numbers(table.numbers),
        frames=pack_frames(table.frames),
        hashes=b"".join(table.hashes),
    )


class _Table:
    """What the index will say of each region; ``used`` counts bytes of blocks."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.frames: list[tuple[int, int]] = []
        self.hashes: list[bytes] = []
        self.used = 0

    def add(self, region: Region, frame: tuple[int, int], digest: bytes) -> None:
        if len(self.numbers) == _MOST_REGIONS:
            raise ImageTooLarge(f"the image has more than {_MOST_REGIONS} regions", hint="name a larger --region-size")
        self.numbers.append(region.number)
        self.frames.append(frame)
        self.hashes.append(digest)
        self.used += region.used


class _Output:
    """The file being written, frame by frame, and its digest."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self._lengths: list[tuple[int, int]] = []
        self.size = 0
        self.digest = blake3()

    def write(self, frame: bytes, unpacked: int) -> tuple[int, int]:
        """Answers offset and length in the file."""
        self._lengths.append((len(frame), unpacked))
        return self._append(frame), len(frame)

    def end(self) -> None:
        self._append(seek_table(self._lengths))

    def _append(self, data: bytes) -> int:
        offset = self.size
        self._write(data)
        self.digest.update(data)
        self.size += len(data)
        return offset
