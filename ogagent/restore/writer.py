"""Laying an image down on a partition, so that nothing that is half done can be taken for something whole.

The first MiB is wiped before anything else is written, and written after everything else has been proven. In it, the
pages that hold the superblocks come last of all: a power cut in between leaves nothing that mounts.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final

from blake3 import blake3

from ogagent.disk.machine import Device
from ogagent.errors import DeviceError, ImageTooLarge, ReadBackDiffers, WriteFailed
from ogagent.image.piece import Extent, Piece
from ogagent.model.units import MIB
from ogagent.restore.channel import Stopped
from ogagent.restore.progress import Progress

HEAD: Final = MIB
_PAGE: Final = 4096
_STEP: Final = 64 << 10
_ZEROS: Final = bytes(_STEP)
_SUPERBLOCK_PAGES: Final = (16 * _PAGE, 0)
"""Where the file systems that blkid knows keep their magic: btrfs at 64 KiB, the others in the first page."""


class PartitionWriter:
    """One restore: ``begin``, ``write`` for each piece, ``flush``, ``read_back``, ``commit``. Blocking."""

    def __init__(self, device: Device, progress: Progress) -> None:
        self._device = device
        self._progress = progress
        self._head = mmap.mmap(-1, min(HEAD, device.size))
        self._head_view = memoryview(self._head)
        self._digests: list[bytes] = []
        self._stopped = False

    def stop(self) -> None:
        """A read-back that runs in another thread ends soon, with Stopped."""
        self._stopped = True

    def begin(self) -> None:
        self._progress.touch()
        self._wipe()

    def _wipe(self) -> None:
        """Written, not zeroed: what a disk makes of a command to zero a range has been wrong before, and whether an
        interrupted partition boots hangs on this.
        """
        self._device.write(0, memoryview(mmap.mmap(-1, len(self._head))))
        self._device.flush()

    def digest(self, piece: Piece) -> None:
        """Remembers what the medium must hold, for ``read_back``. Pieces come in the order of writing."""
        self._digests.append(blake3(piece.data).digest())

    def write(self, piece: Piece) -> None:
        for extent in piece.extents:
            end = extent.offset + extent.length
            if end > self._device.size:
                raise ImageTooLarge(f"The image needs at least {end} bytes, the partition has {self._device.size}")
            data = piece.buffer[extent.start : extent.start + extent.length]
            if extent.offset < len(self._head):
                data = self._keep(extent.offset, data)
            self._put(end - len(data), data)
            self._progress.written += extent.length

    def _put(self, offset: int, data: memoryview) -> None:
        """Stretches of zeros need not travel to the medium: raw images, and disks full of deleted files, have many."""
        for start, stop, empty in _stretches(data):
            if empty:
                self._device.zero(offset + start, stop - start)
            else:
                self._device.write(offset + start, data[start:stop])

    def _keep(self, offset: int, data: memoryview) -> memoryview:
        """Puts aside what belongs into the head; answers the rest."""
        count = min(len(data), len(self._head) - offset)
        self._head_view[offset : offset + count] = data[:count]
        return data[count:]

    def flush(self) -> None:
        self._device.flush()

    def read_back(self, places: Iterable[list[Extent]], buffer_size: int) -> None:
        """Compares the medium with what was meant, except for the head, which is not there yet."""
        buffer = _buffer(buffer_size)
        for extents, digest in zip(places, self._digests, strict=True):
            if self._stopped:
                raise Stopped
            self._compare(extents, digest, buffer)

    def _compare(self, extents: list[Extent], digest: bytes, buffer: memoryview) -> None:
        length = 0
        for extent in extents:
            into = buffer[extent.start : extent.start + extent.length]
            kept = max(0, min(len(self._head) - extent.offset, extent.length))
            into[:kept] = self._head_view[extent.offset : extent.offset + kept]
            if kept < extent.length:
                self._device.read_back(extent.offset + kept, into[kept:])
            length = extent.start + extent.length
            self._progress.read_back += extent.length
        if blake3(buffer[:length]).digest() != digest:
            last = extents[-1]
            raise _differs(extents[0].offset, last.offset + last.length)

    def commit(self, *, read_back: bool) -> None:
        """The head, superblocks last. When that fails, it is wiped again, for a superblock may have arrived."""
        try:
            self._write_head()
            if read_back:
                self._compare_head()
        except DeviceError:
            with suppress(WriteFailed):  # the first error is the one to tell
                self._wipe()
            raise

    def _write_head(self) -> None:
        for start, end in _between(_SUPERBLOCK_PAGES, len(self._head)):
            self._device.write(start, self._head_view[start:end])
        self._device.flush()
        for page in _SUPERBLOCK_PAGES:
            if page < len(self._head):
                self._device.write(page, self._head_view[page : page + _PAGE])
        self._device.flush()

    def _compare_head(self) -> None:
        found = _buffer(len(self._head))
        self._device.read_back(0, found)
        if found != self._head_view:
            raise _differs(0, len(self._head))


def _stretches(data: memoryview) -> Iterator[tuple[int, int, bool]]:
    """Start and end of each stretch, and whether it holds nothing but zeros; looked at in steps of 64 KiB."""
    start, empty = 0, False
    for at in range(0, len(data), _STEP):
        zeros = _is_zero(data[at : at + _STEP])
        if zeros != empty:
            if at > start:
                yield start, at, empty
            start, empty = at, zeros
    if start < len(data):
        yield start, len(data), empty


def _is_zero(step: memoryview) -> bool:
    """A view compares byte by byte, a copy of it by memcmp; the first bytes spare most steps the copy."""
    return len(step) == _STEP and step[:16] == _ZEROS[:16] and bytes(step) == _ZEROS


def _buffer(size: int) -> memoryview:
    """Page-aligned memory, as reads past the page cache need it. Freed when nothing refers to it any more: an error on
    its way up still does.
    """
    return memoryview(mmap.mmap(-1, size))


def _between(pages: Iterable[int], end: int) -> Iterator[tuple[int, int]]:
    """The ranges from 0 to ``end`` that lie between the pages."""
    start = 0
    for page in sorted(pages):
        if start < min(page, end):
            yield start, min(page, end)
        start = page + _PAGE
    if start < end:
        yield start, end


def _differs(start: int, end: int) -> ReadBackDiffers:
    return ReadBackDiffers(
        f"between bytes {start} and {end} the partition does not hold what was written",
        hint="the disk or its cable lies: look at the kernel log (dmesg) and at smartctl",
    )
