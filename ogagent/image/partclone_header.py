"""The header of a partclone image, formats 0002 and 0001, each field within its bounds.

Source: partclone's ``IMAGE_FORMATS.md`` and the packed structures of ``src/partclone.h``.
"""

from __future__ import annotations

import re
import struct
from typing import Final, Literal, NamedTuple

from ogagent.errors import ImageCorrupt, UnknownImage
from ogagent.image import checksum
from ogagent.image.checksum import partclone_crc32
from ogagent.image.stream import ByteStream
from ogagent.model.units import MIB, format_bytes

MAGIC: Final = b"partclone-image"

_VERSION: Final = slice(30, 34)  # the same place in both formats
_HEADER: Final = struct.Struct("<16s14s4sH16sQQQQIIHHHHIBBI")
_HEADER_0001: Final = struct.Struct("<15s15s4s2xiQQQ4096x")
HEADER_0002: Final = _HEADER.size
BITMAP_SUM: Final = 4
"""Bytes; the latter stand behind the bitmap."""
LONGEST_HEADER: Final = _HEADER_0001.size + 8
"""Of all formats, with what stands after a bitmap."""
_ENDIAN_MARK: Final = 0xC0DE
_OTHER_ENDIAN_MARK: Final = 0xDEC0
_MODES_0001: Final = (checksum.CRC32_0001, checksum.CRC32_0001_LONG)
_BITMAP_NONE: Final = 0x00
_BITMAP_BITS: Final = 0x01
_SECTOR: Final = 512  # the least that partclone's file systems come in
_MAX_BLOCK: Final = 64 * MIB  # partclone's MAX_BLOCK_SIZE
_MAX_GROUP: Final = 256 * MIB
_MAX_BITMAP: Final = 512 * MIB  # 16 TiB in blocks of 4 KiB
MOST_BLOCKS: Final = _MAX_BITMAP * 8
"""Of a partition."""


class Geometry(NamedTuple):
    """The header's fields that the rest needs, each within its bounds."""

    filesystem: str
    device_size: int
    total_blocks: int
    used_blocks: int
    block_size: int
    checksum_mode: int
    blocks_per_checksum: int
    reseed: bool
    bitmap: Literal["none", "bits", "bytes"]
    version: str = "0002"


def read_header(stream: ByteStream) -> Geometry:
    """Raises ImageCorrupt for a header that is damaged or impossible, UnknownImage for a version that is not known."""
    if stream.peek(_VERSION.stop)[_VERSION] == b"0001":
        return parse_header_0001(stream.read(_HEADER_0001.size, "the partclone header"))
    return parse_header(stream.read(_HEADER.size, "the partclone header"))


def parse_header(raw: bytes) -> Geometry:
    """Raises ImageCorrupt for a header that is damaged or impossible, UnknownImage for a version that is not known."""
    (_, _, version, mark, filesystem, device_size, total, _, used, block_size, feature_size, _, _, mode, size, group,
     reseed, bitmap_mode, crc) = _HEADER.unpack(raw)  # fmt: skip
    if version != b"0002":
        raise UnknownImage(f"the image is in partclone format {version!r}; this agent reads 0001 and 0002")
    if mark == _OTHER_ENDIAN_MARK:
        raise UnknownImage("the image was made on a big-endian machine", hint="make it again on a PC")
    if partclone_crc32(raw[:-4]) != crc:
        raise ImageCorrupt("the partclone header does not match its checksum")
    _require(mark == _ENDIAN_MARK, f"its endianness marker is {mark:#06x}")
    _require(feature_size == 18, f"its feature section has {feature_size} bytes")
    _require(_is_block_size(block_size), f"its block size is {block_size}")
    _require(total > 0, "it has no blocks")
    _require(used <= total, f"{used} of its {total} blocks are used")
    _require(
        total * block_size <= device_size < 1 << 63, f"{total} blocks of {block_size} do not fit {device_size} bytes"
    )
    _require(total <= MOST_BLOCKS, f"it has {total} blocks")
    _require(
        mode not in _MODES_0001 and checksum.SIZES.get(mode) == size, f"its checksum mode is {mode:#x}, size {size}"
    )
    _require(mode == checksum.NONE or group > 0, "it has 0 blocks per checksum")
    group = 0 if mode == checksum.NONE else min(group, max(used, 1))
    if group * block_size > _MAX_GROUP:
        raise ImageCorrupt(
            f"one checksum covers {format_bytes(group * block_size)}; what is not proven is not written, and that "
            f"much is not kept in memory (the limit is {format_bytes(_MAX_GROUP)})",
            hint="make the image again with partclone's own number of blocks per checksum",
        )
    whole = bitmap_mode == _BITMAP_NONE and used == total
    _require(bitmap_mode == _BITMAP_BITS or whole, f"its bitmap mode is {bitmap_mode}")
    kind: Literal["none", "bits"] = "none" if whole else "bits"
    return Geometry(_text(filesystem), device_size, total, used, block_size, mode, group, reseed != 0, kind)


def parse_header_0001(raw: bytes) -> Geometry:
    """Raises ImageCorrupt. Nothing vouches for this header, so all that can be is checked.

    One byte a block is the bitmap; each block has a checksum of its own, which runs on through the image.
    """
    _, filesystem, _, block_size, device_size, total, used = _HEADER_0001.unpack(raw)
    _require(_is_block_size(block_size), f"its block size is {block_size}")
    _require(0 < total <= _MAX_BITMAP, f"it has {total} blocks")
    _require(used <= total, f"{used} of its {total} blocks are used")
    _require(total * block_size <= device_size, f"{total} blocks of {block_size} do not fit {device_size} bytes")
    size = total * block_size  # partclone corrects the device size to this
    return Geometry(_text(filesystem), size, total, used, block_size, checksum.CRC32_0001, 1, False, "bytes", "0001")


def _is_block_size(size: int) -> bool:
    return _SECTOR <= size <= _MAX_BLOCK and size % _SECTOR == 0


def _text(name: bytes) -> str:
    """For people and their terminals: what partclone never writes becomes a question mark."""
    return re.sub(r"[^A-Za-z0-9 ._+-]", "?", name.split(b"\0", 1)[0].decode("latin-1"))


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise ImageCorrupt(f"the partclone header is impossible: {what}")
