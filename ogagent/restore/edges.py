"""The first and the last MiB of a partition, where everything lies that makes it mount or boot.

Most file systems are known by what stands at their beginning. Some are found by their end as well: NILFS2 and ZFS keep
copies of their superblocks there, NTFS a copy of its boot sector, which the kernel's ntfs3 takes when the first one is
gone, and old software RAIDs their only one. So both edges are wiped before anything else is written, and written after
everything else has been proven; the pages with the superblocks are the first to go and the last to come.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from typing import Final

from ogagent.disk.machine import Device
from ogagent.errors import ReadBackDiffers
from ogagent.model.units import MIB

EDGE: Final = MIB
_PAGE: Final = 4096
_SECTOR: Final = 512
"""The smallest piece that a disk writes whole or not at all."""
_BTRFS_PAGE: Final = 16 * _PAGE
"""btrfs keeps its superblock at 64 KiB; the other file systems that blkid knows, in the first page or in the last."""


class Edges:
    """What the edges shall hold in the end is put aside here. A partition of 2 MiB or less is all edge."""

    def __init__(self, device: Device) -> None:
        size = device.size
        head = min(EDGE, size)
        self.inner: Final = range(head, max(head, (size - EDGE) // _PAGE * _PAGE))
        """The rest of the partition."""
        self._device = device
        self._parts = [_Part(0, head), _Part(self.inner.stop, size)]
        last = max(size - _PAGE, 0)
        self._superblocks = [(page, min(page + _PAGE, size)) for page in (last, _BTRFS_PAGE, 0) if page < size]

    def wipe(self, *, read_back: bool) -> None:
        """One superblock after the other, each before the next: at no moment mounts what has lost something else.

        Written, not zeroed: what a disk makes of a command to zero a range has been wrong before, and whether an
        interrupted partition boots hangs on this. Raises ReadBackDiffers when a wipe has not arrived.
        """
        for superblock in reversed(self._superblocks):
            self._clear([superblock], read_back=read_back)
        self._clear(list(self._others()), read_back=read_back)

    def _clear(self, ranges: Sequence[tuple[int, int]], *, read_back: bool) -> None:
        for start, stop in ranges:
            self._device.write(start, page_aligned(stop - start))
        self._device.flush()
        if read_back:
            for start, stop in ranges:
                self._expect(start, memoryview(bytes(stop - start)))

    def keep(self, offset: int, data: memoryview) -> None:
        """Puts aside what belongs to the edges of ``data``, which belongs at ``offset``."""
        for part in self._parts:
            if shared := part.shared(offset, len(data)):
                part.at(shared)[:] = data[shared.start - offset : shared.stop - offset]

    def give(self, offset: int, into: memoryview) -> None:
        """Fills in what the edges shall hold of the bytes from ``offset`` on."""
        for part in self._parts:
            if shared := part.shared(offset, len(into)):
                into[shared.start - offset : shared.stop - offset] = part.at(shared)

    def write(self) -> None:
        """Each superblock when everything before it is on the medium."""
        for ranges in (list(self._others()), *([superblock] for superblock in self._superblocks)):
            for start, stop in ranges:
                content = page_aligned(stop - start)
                self.give(start, content)
                self._device.write(start, content)
            self._device.flush()

    @property
    def content(self) -> bytes:
        """All that they shall hold."""
        return b"".join(part.content for part in self._parts)

    def settle(self, content: bytes) -> bool:
        """Whether the medium holds ``content``, which an agent that has died wanted to write.

        When it has arrived in part, all is wiped. What is neither empty nor as it was meant is somebody else's by now,
        and is left alone.
        """
        found = b"".join(bytes(self._read(part.start, part.stop)) for part in self._parts)
        if found == content:
            return True
        if len(found) == len(content) and _partial(found, content):
            self.wipe(read_back=False)
        return False

    def compare(self) -> None:
        """Raises ReadBackDiffers when the medium does not hold what was written."""
        for part in self._parts:
            self._expect(part.start, part.content)

    def _expect(self, start: int, content: memoryview) -> None:
        if not content:
            return
        if self._read(start, start + len(content)) != content:
            raise differs(start, start + len(content))

    def _read(self, start: int, stop: int) -> memoryview:
        found = page_aligned(stop - start)
        if found:
            self._device.read_back(start, found)
        return found

    def _others(self) -> Iterator[tuple[int, int]]:
        """All of the edges but the superblocks."""
        for part in self._parts:
            start = part.start
            for first, end in sorted(self._superblocks):
                if start < min(first, part.stop):
                    yield start, min(first, part.stop)
                start = max(start, end)
            if start < part.stop:
                yield start, part.stop


class _Part:
    def __init__(self, start: int, stop: int) -> None:
        self.start = start
        self.stop = stop
        self.content = page_aligned(stop - start)

    def shared(self, offset: int, length: int) -> range:
        return range(max(offset, self.start), min(offset + length, self.stop))

    def at(self, place: range) -> memoryview:
        return self.content[place.start - self.start : place.stop - self.start]


def _partial(found: bytes, meant: bytes) -> bool:
    """Whether each sector is still empty or already as it was meant."""
    sectors = (slice(start, start + _SECTOR) for start in range(0, len(meant), _SECTOR))
    return all(found[sector] == meant[sector] or not any(found[sector]) for sector in sectors)


def page_aligned(size: int) -> memoryview:
    """Memory as writing and reading past the page cache need it, all zeros. Freed when nothing refers to it any more:
    an error on its way up still does.
    """
    return memoryview(mmap.mmap(-1, size)) if size else memoryview(bytearray())


def differs(start: int, end: int) -> ReadBackDiffers:
    return ReadBackDiffers(
        f"between bytes {start} and {end} the partition does not hold what was written",
        hint="the disk or its cable lies: look at the kernel log (dmesg) and at smartctl",
    )
