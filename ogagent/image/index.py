"""``X.img.index``: where each region of an image lies in its file, and what it must hold.

MessagePack in one zstd frame. Everything in it is checked before it is believed; who made it, the signature says.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from ogagent.errors import ImageCorrupt
from ogagent.image.partclone_header import LONGEST_HEADER
from ogagent.image.regions import LARGEST_REGION, REGION_SIZE, SMALLEST_REGION, longest_region
from ogagent.image.seekable import longest_packed, pack_frame, unpack_frame
from ogagent.model.units import KIB, MIB

SUFFIX: Final = ".index"
LARGEST_INDEX: Final = 256 * MIB
"""Of the file, and of what is in it: about 5 TiB of used blocks in regions of 1 MiB."""

_ALWAYS: Final = 8 * MIB
_MEMBERS: Final = 4 * KIB
"""All members that do not grow with the number of regions."""
_A_REGION: Final = 48
_LEVEL: Final = 3
_FRAME: Final = struct.Struct("<QI")
_HASH: Final = 32

Size = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
Hash = Annotated[bytes, Meta(min_length=_HASH, max_length=_HASH)]


class Prefix(Struct, frozen=True, forbid_unknown_fields=True):
    """The first frame, which holds the partclone header and bitmap; a raw image has none, and ``length`` 0."""

    offset: Size
    length: Size
    hash: Hash


class ImageIndex(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``size`` and ``digest`` (BLAKE3) are those of the image file; a region's hash is BLAKE3 of its used blocks.

    ``checksum_size`` is that of partclone's checksums in bytes: format 0001 has two, and its header does not say which.

    ``regions``, ``frames`` and ``hashes`` are packed: one u32; u64 offset and u32 length; 32 bytes. Little-endian.
    """

    version: Literal[1] = 1
    image: Annotated[str, Meta(min_length=1, max_length=255)]
    size: Size
    digest: Hash
    format: Annotated[str, Meta(max_length=32)]
    filesystem: Annotated[str, Meta(max_length=32)]
    block_size: Annotated[int, Meta(ge=512, multiple_of=512, le=LARGEST_REGION)]
    device_size: Size
    used_blocks: Size
    checksum_size: Annotated[int, Meta(ge=0, le=16)]
    region_size: Annotated[int, Meta(ge=SMALLEST_REGION, le=LARGEST_REGION)]
    prefix: Prefix
    regions: bytes
    frames: bytes
    hashes: bytes

    @property
    def count(self) -> int:
        return len(self.regions) // 4

    @property
    def numbers(self) -> array[int]:
        found = array("I", self.regions)
        if sys.byteorder == "big":
            found.byteswap()
        return found

    def frame(self, place: int) -> tuple[int, int]:
        """Offset and length in the file of the frame of the region ``numbers[place]``."""
        offset, length = _FRAME.unpack_from(self.frames, place * _FRAME.size)
        return offset, length

    def hash(self, place: int) -> bytes:
        return self.hashes[place * _HASH : (place + 1) * _HASH]


def largest_index(device_size: int) -> int:
    """How many bytes an index may have, as a file and unpacked, that is to be used on a partition of ``device_size``.

    Enough for regions of 1 MiB, and for smaller ones where they are not too many: some 10 GiB in regions of 64 KiB. All
    of it is in memory before anybody knows whether it can be believed.
    """
    return min(max(device_size // REGION_SIZE * _A_REGION, _ALWAYS) + _MEMBERS, LARGEST_INDEX)


def longest_frame(region_size: int) -> int:
    return longest_packed(longest_region(region_size))


def longest_prefix(index: ImageIndex, device_size: int) -> int:
    """How many bytes of the file header and bitmap take at most, of an image for no more than ``device_size`` bytes."""
    blocks = min(index.device_size, device_size) // index.block_size
    bitmap = blocks if index.format == "partclone 0001" else -(-blocks // 8)
    return longest_packed(LONGEST_HEADER + bitmap)


def pack_numbers(numbers: list[int]) -> bytes:
    return struct.pack(f"<{len(numbers)}I", *numbers)


def pack_frames(frames: list[tuple[int, int]]) -> bytes:
    return b"".join(_FRAME.pack(offset, length) for offset, length in frames)


def encode(index: ImageIndex) -> bytes:
    return pack_frame(msgspec.msgpack.encode(index), _LEVEL)


def decode(data: bytes, largest: int = LARGEST_INDEX) -> ImageIndex:
    """Raises ImageCorrupt for what is not an index of at most ``largest`` bytes, or one that contradicts itself."""
    try:
        index = msgspec.msgpack.decode(unpack_frame(data, largest), type=ImageIndex)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ImageCorrupt(f"the image's index cannot be read: {error}") from error
    except ImageCorrupt as error:
        raise ImageCorrupt(f"the image's index cannot be read: {error.message}") from error
    for mistake in _mistakes(index):
        raise ImageCorrupt(f"the image's index is impossible: {mistake}")
    return index


def _mistakes(index: ImageIndex) -> Iterator[str]:
    """Each is looked for only when there were none before."""
    if index.region_size & (index.region_size - 1):
        yield f"its region size is {index.region_size}"
    if index.region_size % index.block_size:
        yield f"its regions of {index.region_size} bytes do not hold whole blocks of {index.block_size}"
    if len(index.regions) != index.count * 4:
        yield "its list of regions is cut"
    if len(index.frames) != index.count * _FRAME.size or len(index.hashes) != index.count * _HASH:
        yield "it has not one frame and one hash a region"
    if not _rise(index):
        yield "its regions do not rise, or lie outside the partition"
    if not _follow(index):
        yield "its frames overlap, are too long, or lie outside the file"


def _rise(index: ImageIndex) -> bool:
    numbers = index.numbers
    rising = all(one < other for one, other in pairwise(numbers))
    return rising and (not numbers or numbers[-1] * index.region_size < index.device_size)


def _follow(index: ImageIndex) -> bool:
    longest = longest_frame(index.region_size)
    end = index.prefix.offset + index.prefix.length
    for offset, length in _FRAME.iter_unpack(index.frames):
        if offset < end or not 0 < length <= longest:
            return False
        end = offset + length
    return end <= index.size
