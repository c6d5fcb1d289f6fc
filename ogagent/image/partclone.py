"""partclone's image format 0002.

Source: partclone's ``IMAGE_FORMATS.md``, ``src/partclone.h`` (the packed structures) and ``src/main.c`` (what restoring
does with them). A header of 110 bytes, a bitmap with its CRC, then the used blocks in order; after each
``blocks_per_checksum`` blocks, and after the last ones, a checksum.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from ogagent.errors import ImageCorrupt, UnknownImage
from ogagent.image import bitmap, checksum
from ogagent.image.checksum import partclone_crc32
from ogagent.image.piece import Check, Extent, Piece, Prover
from ogagent.image.stream import ByteStream
from ogagent.model.plan import ImageHeader
from ogagent.model.units import MIB, format_bytes

MAGIC: Final = b"partclone-image"

_HEADER: Final = struct.Struct("<16s14s4sH16sQQQQIIHHHHIBBI")
_ENDIAN_MARK: Final = 0xC0DE
_BITMAP_NONE: Final = 0x00
_BITMAP_BITS: Final = 0x01
_MAX_BLOCK: Final = 64 * MIB  # partclone's MAX_BLOCK_SIZE
_MAX_GROUP: Final = 256 * MIB
_MAX_BITMAP: Final = 512 * MIB  # 16 TiB in blocks of 4 KiB
_PIECE: Final = 4 * MIB


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
    has_bitmap: bool


def read_header(stream: ByteStream) -> Geometry:
    raw = stream.read(_HEADER.size, "the partclone header")
    return parse_header(raw)


def parse_header(raw: bytes) -> Geometry:
    """Raises ImageCorrupt for a header that is damaged or impossible, UnknownImage for a version that is not known."""
    (_, _, version, mark, filesystem, device_size, total, _, used, block_size, feature_size, _, _, mode, size, group,
     reseed, bitmap_mode, crc) = _HEADER.unpack(raw)  # fmt: skip
    if version != b"0002":
        raise UnknownImage(f"the image is in partclone format {version!r}; this agent reads 0002")
    if mark != _ENDIAN_MARK:
        raise UnknownImage("the image was made on a big-endian machine", hint="make it again on a PC")
    if partclone_crc32(raw[:-4]) != crc:
        raise ImageCorrupt("the partclone header does not match its checksum")
    _require(feature_size == 18, f"its feature section has {feature_size} bytes")
    _require(0 < block_size <= _MAX_BLOCK, f"its block size is {block_size}")
    _require(total > 0, "it has no blocks")
    _require(used <= total, f"{used} of its {total} blocks are used")
    _require(
        total * block_size <= device_size < 1 << 63, f"{total} blocks of {block_size} do not fit {device_size} bytes"
    )
    _require(total <= _MAX_BITMAP * 8, f"it has {total} blocks")
    _require(
        checksum.SIZES.get(mode) == size and mode != checksum.CRC32_0001, f"its checksum mode is {mode:#x}, size {size}"
    )
    _require(mode == checksum.NONE or group > 0, "it has 0 blocks per checksum")
    group = 0 if mode == checksum.NONE else min(group, max(used, 1))
    if group * block_size > _MAX_GROUP:
        raise ImageCorrupt(
            f"one checksum covers {format_bytes(group * block_size)}; what is not proven is not written, and that "
            f"much is not kept in memory (the limit is {format_bytes(_MAX_GROUP)})",
            hint="make the image again with partclone's own number of blocks per checksum",
        )
    _require(
        bitmap_mode == _BITMAP_BITS or (bitmap_mode == _BITMAP_NONE and used == total),
        f"its bitmap mode is {bitmap_mode}",
    )
    name = filesystem.split(b"\0", 1)[0].decode("ascii", "replace")
    return Geometry(name, device_size, total, used, block_size, mode, group, reseed != 0, bitmap_mode == _BITMAP_BITS)


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise ImageCorrupt(f"the partclone header is impossible: {what}")


class PartcloneImage:
    def __init__(self, stream: ByteStream, container: str) -> None:
        self._stream = stream
        self._geometry = geometry = read_header(stream)
        self._bitmap = b""
        self.header = ImageHeader(
            container=container,
            format="partclone 0002",
            filesystem=geometry.filesystem,
            block_size=geometry.block_size,
            device_size=geometry.device_size,
            used_bytes=geometry.used_blocks * geometry.block_size,
            checksum=checksum.NAMES[geometry.checksum_mode],
            blocks_per_checksum=geometry.blocks_per_checksum,
        )

    @property
    def buffer_size(self) -> int:
        return self._blocks_per_piece * self._geometry.block_size

    @property
    def _blocks_per_piece(self) -> int:
        """Whole groups, so that a piece can be proven before it is written."""
        group = max(self._geometry.blocks_per_checksum, 1)
        return max(_PIECE // (group * self._geometry.block_size), 1) * group

    def prepare(self) -> int:
        geometry = self._geometry
        size = -(-geometry.total_blocks // 8)
        if geometry.has_bitmap:
            self._bitmap = self._stream.read(size, "the bitmap")
            if partclone_crc32(self._bitmap) != int.from_bytes(self._stream.read(4, "the bitmap's checksum"), "little"):
                raise ImageCorrupt("the bitmap does not match its checksum")
        else:
            self._bitmap = b"\xff" * size
        used = bitmap.count_used(self._bitmap, geometry.total_blocks)
        if used != geometry.used_blocks:
            raise ImageCorrupt(f"the header counts {geometry.used_blocks} used blocks, the bitmap {used}")
        return used * geometry.block_size

    def places(self) -> Iterator[list[Extent]]:
        geometry = self._geometry
        return bitmap.places(self._bitmap, geometry.total_blocks, geometry.block_size, self._blocks_per_piece)

    def pieces(self, take_buffer: Callable[[], memoryview]) -> Iterator[Piece]:
        for extents in self.places():
            buffer = take_buffer()
            length = extents[-1].start + extents[-1].length
            yield Piece(buffer, length, extents, self._read_groups(buffer, length))
        self._stream.expect_end()

    def _read_groups(self, buffer: memoryview, length: int) -> list[Check]:
        group = self._geometry.blocks_per_checksum * self._geometry.block_size
        if not group:
            self._stream.read_exactly(buffer[:length], "a block")
            return []
        checks = []
        for start in range(0, length, group):
            end = min(start + group, length)
            self._stream.read_exactly(buffer[start:end], "a block")
            checks.append(
                Check(start, end, self._stream.read(checksum.SIZES[self._geometry.checksum_mode], "a checksum"))
            )
        return checks

    def prover(self) -> Prover:
        geometry = self._geometry
        if geometry.checksum_mode == checksum.NONE:
            return lambda _: None
        running = checksum.checksum(geometry.checksum_mode)

        def prove(piece: Piece) -> None:
            for start, end, expected in piece.checks:
                running.update(piece.buffer[start:end])
                if running.digest() != expected:
                    raise ImageCorrupt(f"{_where(piece, start, end)} do not match their checksum")
                if geometry.reseed:
                    running.reset()

        return prove


def _where(piece: Piece, start: int, end: int) -> str:
    """The place on the partition of a part of a piece, for people."""
    first = next(e.offset + start - e.start for e in piece.extents if e.start <= start < e.start + e.length)
    last = next(e.offset + end - e.start for e in piece.extents if e.start < end <= e.start + e.length)
    return f"the blocks of bytes {first} to {last} of the partition"
