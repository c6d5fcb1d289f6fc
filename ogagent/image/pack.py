"""Rewriting an image's container: a frame for each region. What the container holds stays the same to the byte.

The image is read and proven by the code that restores it; a tape keeps the bytes that it read, and they are cut where
the regions begin.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import BinaryIO, Final, NamedTuple

from blake3 import blake3
from msgspec import Struct

from ogagent.errors import ImageTooLarge, InvalidField
from ogagent.image.codec import open_container
from ogagent.image.detect import image_in
from ogagent.image.index import LARGEST_INDEX, ImageIndex, Prefix, pack_frames, pack_numbers
from ogagent.image.partclone import PartcloneImage
from ogagent.image.piece import Image
from ogagent.image.regions import REGION_SIZE, PartcloneLayout, Region, raw_region
from ogagent.image.seekable import pack_frame, seek_table
from ogagent.image.stream import ByteStream, Chunks, Decoder
from ogagent.image.workers import in_order

_MOST_REGIONS: Final = LARGEST_INDEX // 64  # each takes 48 bytes of the index


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


def pack(name: str, chunks: Iterator[bytes], out: BinaryIO, packing: Packing) -> Packed:
    """``out`` becomes the image ``name`` in frames, not yet proven. Raises ImageError, InvalidField."""
    tape = _Tape(open_container(Chunks(chunks), packing.max_window))
    stream = ByteStream(tape)
    image = image_in(stream, tape.container)
    image.prepare()
    region_size = _region_size(image, packing.region_size)
    output, table = _Output(out), _Table()

    head = tape.take(stream.position)
    place = output.write(pack_frame(head, packing.level), len(head)) if head else (0, 0)
    prefix = Prefix(*place, blake3(head).digest())

    def packed(part: tuple[Region, bytes]) -> tuple[Region, bytes, bytes]:
        region, data = part
        return region, region.digest(memoryview(data)), pack_frame(data, packing.level)

    for region, digest, frame in in_order(packed, _cut(image, tape, region_size), packing.threads):
        table.add(region, output.write(frame, region.size), digest)
    output.end()
    return Packed(_index(name, image, region_size, prefix, table, output), tape.digest.digest())


def _region_size(image: Image, wanted: int | None) -> int:
    block_size = image.header.block_size
    size = wanted or max(REGION_SIZE, block_size)
    if size % block_size:
        raise InvalidField(
            f"regions of {size} bytes do not hold whole blocks of {block_size}", hint="name another --region-size"
        )
    return size


def _cut(image: Image, tape: _Tape, region_size: int) -> Iterator[tuple[Region, bytes]]:
    """The regions of the image, each with its bytes of the stream. Raises ImageCorrupt for what cannot be proven."""
    regions = _regions(image, region_size)
    region = next(regions, None)
    buffer = memoryview(bytearray(image.buffer_size))
    prove = image.prover()
    for piece in image.pieces(lambda: buffer):
        prove(piece)
        while region is not None and region.size <= tape.held:
            yield region, tape.take(region.size)
            region = next(regions, None)
    if region is not None and tape.held:  # only a raw image may end within a region
        yield raw_region(region.number, region_size, tape.held), tape.take(tape.held)


def _regions(image: Image, region_size: int) -> Iterator[Region]:
    if isinstance(image, PartcloneImage):
        layout = PartcloneLayout(image.geometry, image.bitmap, image.checksum_size, region_size)
        return (layout.region(place) for place in range(len(layout.numbers)))
    return (raw_region(number, region_size, region_size) for number in count())


def _index(name: str, image: Image, region_size: int, prefix: Prefix, table: _Table, output: _Output) -> ImageIndex:
    header = image.header
    return ImageIndex(
        image=name,
        size=output.size,
        digest=output.digest.digest(),
        format=header.format,
        filesystem=header.filesystem,
        block_size=header.block_size,
        device_size=table.used if header.format == "raw" else header.device_size,
        used_blocks=-(-table.used // header.block_size),
        checksum_size=image.checksum_size if isinstance(image, PartcloneImage) else 0,
        region_size=region_size,
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

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
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
        self._file.write(data)
        self.digest.update(data)
        self.size += len(data)
        return offset


class _Tape:
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
