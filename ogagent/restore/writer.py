"""Laying an image down on a partition, so that nothing that is half done can be taken for something whole.

Its edges, by which all is known that mounts or boots, are wiped before anything else is written, and written after
everything else has been proven.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final, NamedTuple

from blake3 import blake3

from ogagent.disk.machine import Device
from ogagent.errors import ImageTooLarge
from ogagent.image.piece import Extent, Piece
from ogagent.restore.edges import Edges, differs
from ogagent.restore.progress import Progress
from ogagent.restore.threads import Buffers
from ogagent.system.channel import Stopped
from ogagent.system.memory import page_aligned

_STEP: Final = 64 << 10
_ZEROS: Final = bytes(_STEP)


class Written(NamedTuple):
    """``digest`` is BLAKE3 of what belongs at ``extents``."""

    extents: list[Extent]
    digest: bytes


class PartitionWriter:
    """One restore: ``begin``, ``write`` for each piece, ``flush``, ``compare`` for each, ``commit``. Blocking.

    Pieces may be written, and compared, by several threads at once.

    ``record`` stands on the partition from ``begin`` to ``commit``.
    """

    def __init__(self, device: Device, progress: Progress, record: bytes = b"") -> None:
        self._device = device
        self._progress = progress
        self._edges = Edges(device, record)
        self._added: list[Written] = []
        self._stopped = False
        self.buffers: Final = Buffers()

    @property
    def size(self) -> int:
        """Of the partition, in bytes."""
        return self._device.size

    @property
    def edges(self) -> list[range]:
        """What of the partition is written in ``commit``, in order; the rest is written at once."""
        return self._edges.spans

    def stop(self) -> None:
        """A read-back ends soon, with Stopped."""
        self._stopped = True

    def begin(self) -> None:
        self._progress.change_begins()
        self._edges.wipe(read_back=self._progress.read_back_wanted)

    def reuse(self, held: Iterable[tuple[int, memoryview]]) -> None:
        """Places and bytes that the device holds already, and shall hold in the end. Only before ``begin``."""
        for offset, data in held:
            self._edges.take_from(offset, data)
            self._progress.add(reused=len(data))

    def write(self, piece: Piece) -> None:
        for extent in piece.extents:
            end = extent.offset + extent.length
            if end > self._device.size:
                raise ImageTooLarge(f"The image needs at least {end} bytes, the partition has {self._device.size}")
            data = piece.buffer[extent.start : extent.start + extent.length]
            self._put(extent.offset, data)
            self._progress.add(written=extent.length)

    def add(self, offset: int, data: memoryview) -> None:
        """What no block of the image holds, but belongs to what it is an image of. Proven with all else."""
        self._put(offset, data)
        self._added.append(Written([Extent(offset, 0, len(data))], blake3(data).digest()))

    def edges_at(self, offset: int, length: int) -> memoryview:
        """What the edges shall hold there; zeros for what is no edge."""
        into = page_aligned(length)
        self._edges.fill_in(offset, into)
        return into

    def _put(self, offset: int, data: memoryview) -> None:
        """Stretches of zeros need not travel to the medium: raw images, and disks full of deleted files, have many."""
        self._edges.take_from(offset, data)
        for start, stop, empty in _stretches(data):
            for inner in self._edges.between(offset + start, offset + stop):
                if empty:
                    self._device.zero(inner.start, len(inner))
                else:
                    self._device.write(inner.start, data[inner.start - offset : inner.stop - offset])

    def flush(self) -> None:
        self._device.flush()

    def compare(self, written: Written) -> None:
        """Raises ReadBackDiffers when the medium does not hold what was meant. The edges, which are not there yet, are
        taken to be right.
        """
        if self._stopped:
            raise Stopped
        extents, digest = written
        with self.buffers.one(extents[-1].start + extents[-1].length) as buffer:
            for extent in extents:
                into = buffer[extent.start : extent.start + extent.length]
                self._edges.fill_in(extent.offset, into)
                for inner in self._edges.between(extent.offset, extent.offset + extent.length):
                    self._device.read_back(inner.start, into[inner.start - extent.offset : inner.stop - extent.offset])
            if blake3(buffer).digest() != digest:
                last = extents[-1]
                raise differs(extents[0].offset, last.offset + last.length)
            self._progress.add(read_back=len(buffer))

    def compare_added(self) -> None:
        """As ``compare``, what ``add`` has written."""
        for added in self._added:
            self.compare(added)

    def commit(self, *, read_back: bool) -> None:
        """The edges. When that fails, they are wiped again, for a signature may have arrived."""
        self._progress.books.committing(self._edges.content)
        try:
            self._edges.write()
            if read_back:
                self._edges.compare()
        except BaseException:  # whatever it is
            with suppress(Exception):  # the first error is the one to tell
                self._edges.wipe(read_back=False)
            raise
        self._progress.proven()


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
