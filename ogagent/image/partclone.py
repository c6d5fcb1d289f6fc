"""partclone's image formats 0002 and 0001.

Source: partclone's ``IMAGE_FORMATS.md`` and ``src/main.c`` (what restoring does). A header, a bitmap, then the
used blocks in order; after each ``blocks_per_checksum`` blocks, and after the last ones, a checksum.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from ogagent.errors import ImageCorrupt, UnknownImage
from ogagent.image import bitmap, checksum
from ogagent.image.bitmap import Bitmap
from ogagent.image.checksum import partclone_crc32
from ogagent.image.filesystem import recognize
from ogagent.image.partclone_header import Geometry, read_header
from ogagent.image.piece import Check, Extent, Piece, Prover
from ogagent.image.strangers import DISK_HEAD, disk_in
from ogagent.image.stream import ByteStream, goes_on
from ogagent.model.plan import ImageHeader
from ogagent.model.units import MIB

_PIECE: Final = 4 * MIB
_DAMAGED: Final = "prove it in the repository: ogagent image verify; when it is wrong there, too, make it again"
_ALL_OF_IT: Final = "raw"
"""As partclone.dd calls what it takes without knowing what it is."""
_BITMAP_END: Final = b"BiTmAgIc"  # closes the bitmap of format 0001


class PartcloneImage:
    def __init__(self, stream: ByteStream, container: str) -> None:
        self._stream = stream
        self._geometry = geometry = read_header(stream)
        self._bitmap: Bitmap = b""
        self._used = 0
        self._checksum_mode = geometry.checksum_mode
        self.header = ImageHeader(
            container=container,
            format=f"partclone {geometry.version}",
            filesystem=geometry.filesystem,
            block_size=geometry.block_size,
            device_size=geometry.device_size,
            used_bytes=geometry.used_blocks * geometry.block_size,
            checksum=checksum.NAMES[geometry.checksum_mode],
            blocks_per_checksum=geometry.blocks_per_checksum,
        )

    @property
    def geometry(self) -> Geometry:
        return self._geometry

    @property
    def bitmap(self) -> Bitmap:
        """One bit a block, once ``prepare`` has read it."""
        return self._bitmap

    @property
    def checksum_size(self) -> int:
        """Known once ``prepare`` has looked at the first blocks."""
        return checksum.SIZES[self._checksum_mode]

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
        match geometry.bitmap:
            case "bits":
                self._bitmap = self._read_bits(-(-geometry.total_blocks // 8))
            case "bytes":
                self._bitmap = self._read_bytes(geometry.total_blocks)
            case "none":
                self._bitmap = b"\xff" * -(-geometry.total_blocks // 8)
        used = bitmap.count_used(self._bitmap, geometry.total_blocks)
        if geometry.version == "0001" and used and self._has_long_checksums(used):
            self._checksum_mode = checksum.CRC32_0001_LONG
        # Format 0001 counted by the superblock, which may be off; partclone goes by the bitmap there.
        if used != geometry.used_blocks and geometry.version != "0001":
            raise ImageCorrupt(f"the header counts {geometry.used_blocks} used blocks, the bitmap {used}")
        self._used = used
        if geometry.filesystem.lower() == _ALL_OF_IT:
            self._refuse_a_disk()
        return used * geometry.block_size

    def _refuse_a_disk(self) -> None:
        head = self._stream.peek(DISK_HEAD)
        if recognize(head) is None and (disk := disk_in(head)):
            raise UnknownImage(f"the image is one of {disk.name}, and not of a partition", hint=disk.hint)

    def check_length(self, size: int) -> None:
        geometry = self._geometry
        groups = -(-self._used // geometry.blocks_per_checksum) if geometry.blocks_per_checksum else 0
        end = self._stream.position + self._used * geometry.block_size + groups * self.checksum_size
        if size > end:
            raise goes_on("block", end)
        if size < end:
            raise ImageCorrupt(f"the image has {size} bytes, by its header and bitmap it must have {end}")

    def _read_bits(self, size: int) -> Bitmap:
        bits = bytearray()
        for at in range(0, size, MIB):
            bits += self._stream.read(min(MIB, size - at), "the bitmap")
        if partclone_crc32(bits) != int.from_bytes(self._stream.read(4, "the bitmap's checksum"), "little"):
            raise ImageCorrupt("the bitmap does not match its checksum")
        return bits

    def _read_bytes(self, size: int) -> bytes:
        packed = bitmap.pack(self._stream.read(min(MIB, size - at), "the bitmap") for at in range(0, size, MIB))
        if self._stream.read(len(_BITMAP_END), "the bitmap's end") != _BITMAP_END:
            raise ImageCorrupt("the bitmap does not end where it should")
        return packed

    def _has_long_checksums(self, used: int) -> bool:
        """Nothing says so but the checksums of the first two blocks themselves."""
        block = self._geometry.block_size
        step = block + checksum.SIZES[checksum.CRC32_0001_LONG]
        head = memoryview(self._stream.peek(2 * step))
        running = checksum.checksum(checksum.CRC32_0001_LONG)
        for start in range(0, min(used, 2) * step, step):
            if len(head) < start + step:
                return False
            running.update(head[start : start + block])
            if running.digest() != head[start + block : start + step]:
                return False
        return True

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
        size = checksum.SIZES[self._checksum_mode]
        if not group:
            self._stream.read_exactly(buffer[:length], "a block")
            return []
        checks = []
        for start in range(0, length, group):
            end = min(start + group, length)
            self._stream.read_exactly(buffer[start:end], "a block")
            checks.append(Check(start, end, self._stream.read(size, "a checksum")))
        return checks

    def prover(self) -> Prover:
        """Only after ``prepare``."""
        if self._checksum_mode == checksum.NONE:
            return lambda _: None
        running = checksum.checksum(self._checksum_mode)
        reseed = self._geometry.reseed

        def prove(piece: Piece) -> None:
            for start, end, expected in piece.checks:
                running.update(piece.buffer[start:end])
                if running.digest() != expected:
                    raise ImageCorrupt(
                        f"the image is damaged: {_where(piece, start, end)} do not match their checksum", hint=_DAMAGED
                    )
                if reseed:
                    running.reset()

        return prove


def _where(piece: Piece, start: int, end: int) -> str:
    """The place on the partition of a part of a piece, for people."""
    first = next(e.offset + start - e.start for e in piece.extents if e.start <= start < e.start + e.length)
    last = next(e.offset + end - e.start for e in piece.extents if e.start < end <= e.start + e.length)
    return f"the blocks of bytes {first} to {last} of the partition"
