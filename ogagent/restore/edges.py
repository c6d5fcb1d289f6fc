"""The edges of a partition: all that makes it mount, open or boot.

These are its first and its last MiB, and the few pages in between where signatures stand (``ogagent.disk.signatures``):
second headers of LUKS2, VMFS, a RAID of Promise. Both what lay there and what comes there may be known by several of
them. So the edges are wiped before anything else is written, and written after everything else has been proven; the
pages that hold a signature are the first to go and the last to come.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Final

from blake3 import blake3

from ogagent.disk import signatures
from ogagent.disk.machine import Device
from ogagent.disk.record import PLACE as RECORD_PLACE
from ogagent.errors import DeviceError, ReadBackDiffers
from ogagent.model.units import MIB
from ogagent.system.memory import page_aligned

EDGE: Final = MIB
_PAGE: Final = 4096
_SECTOR: Final = 512
"""The smallest piece that a disk writes whole or not at all."""


class Edges:
    """What the edges shall hold in the end is put aside here. A partition of 2 MiB or less is all edge.

    ``record`` is what stands there meanwhile, where a record has its place; it goes when the edges are written.
    """

    def __init__(self, device: Device, record: bytes = b"") -> None:
        self._device = device
        self.spans: Final = _spans(device.size)
        """Where they lie, in order."""
        self._starts = [span.start for span in self.spans]
        self._parts = [_Part(span) for span in self.spans]
        longest = max(len(span) for span in self.spans)
        # Memory for wiping and reading back, had before it is needed: nothing may fail for the lack of it then.
        self._read_back = page_aligned(longest)
        self._meanwhile = [_Part(span) for span in self.spans]
        self._there = [_Part(span) for span in self.spans]
        if record:
            self._meanwhile[0].content[RECORD_PLACE : RECORD_PLACE + len(record)] = record

    def between(self, start: int, stop: int) -> Iterator[range]:
        """What of the bytes from ``start`` to ``stop`` is no edge."""
        return _without(range(start, stop), self.spans[self._near(start, stop)])

    def _near(self, start: int, stop: int) -> slice:
        """The spans that these bytes may touch."""
        return slice(bisect_right(self._starts, start) - 1, bisect_left(self._starts, stop))

    def wipe(self, *, read_back: bool) -> None:
        """First the pages by which something is known: at no moment mounts or opens what has lost something else.

        Written, not zeroed: what a disk makes of a command to zero a range has been wrong before, and whether an
        interrupted partition boots hangs on this. Raises ReadBackDiffers when a wipe has not arrived.
        """
        for part in self._there:
            self._look(part)
        signed = self._signed(self._there)
        for batch in (*signed, self._others(signed)):
            for span in batch:
                self._device.write(span.start, self._empty(span))
            self._device.flush()
            if read_back:
                for span in batch:
                    self._expect(span, self._empty(span))

    def _empty(self, span: range) -> memoryview:
        """What stands there until the commit: nothing but the record."""
        return self._meanwhile[self._at(span.start)].at(span)

    def take_from(self, offset: int, data: memoryview) -> None:
        """Puts aside what belongs to the edges of ``data``, which belongs at ``offset``."""
        for part in self._parts[self._near(offset, offset + len(data))]:
            if shared := part.shared(offset, len(data)):
                part.at(shared)[:] = data[shared.start - offset : shared.stop - offset]

    def fill_in(self, offset: int, into: memoryview) -> None:
        """Fills in what the edges shall hold of the bytes from ``offset`` on."""
        for part in self._parts[self._near(offset, offset + len(into))]:
            if shared := part.shared(offset, len(into)):
                into[shared.start - offset : shared.stop - offset] = part.at(shared)

    def write(self) -> None:
        """The pages by which something is known when all else is on the medium."""
        signed = self._signed(self._parts)
        for batch in (self._others(signed), *signed):
            for span in batch:
                self._device.write(span.start, self._parts[self._at(span.start)].at(span))
            self._device.flush()

    @property
    def content(self) -> bytes:
        """All that they shall hold."""
        return b"".join(part.content for part in self._parts)

    def settle(self, content: bytes) -> bool:
        """Whether the medium holds ``content``, which an agent that has died wanted to write.

        When it has arrived in part, all is wiped. What is neither empty, nor the record, nor as it was meant is
        somebody else's by now, and is left alone. An older agent knew of no pages in between, and had written them
        before the edges.
        """
        for parts in (self._meanwhile, [self._meanwhile[0], self._meanwhile[-1]]):
            if len(content) == sum(len(part.span) for part in parts):
                found = b"".join(bytes(self._read(part.span)) for part in parts)
                before = b"".join(part.content for part in parts)
                if found != content and _partial(found, content, before):
                    self.wipe(read_back=False)
                return found == content
        return False

    def compare(self) -> None:
        """Raises ReadBackDiffers when the medium does not hold what was written."""
        for part in self._parts:
            self._expect(part.span, part.content)

    def _expect(self, span: range, content: memoryview) -> None:
        """By digests: views are compared byte by byte, some ms a MiB in which no other thread gets on."""
        if blake3(self._read(span)).digest() != blake3(content).digest():
            raise differs(span.start, span.stop)

    def _read(self, span: range) -> memoryview:
        """Good until something else is read."""
        content = self._read_back[: len(span)]
        if content:
            self._device.read_back(span.start, content)
        return content

    def _at(self, offset: int) -> int:
        """Which of the parts it lies in."""
        return bisect_right(self._starts, offset) - 1

    def _look(self, part: _Part) -> None:
        """What lies there now. What cannot be read tells nobody what it is."""
        part.content[:] = self._meanwhile[self._at(part.span.start)].content
        with suppress(DeviceError, MemoryError):
            part.content[:] = self._read(part.span)

    def _signed(self, parts: Sequence[_Part]) -> list[list[range]]:
        """The pages of ``parts`` with a signature, one batch to be on the medium before the next is touched.

        First those at the end: of containers, whose content all else may be, and of copies. Last the first page, by
        which most is known: also when there is no signature at all, for what only others know.
        """
        ends: set[int] = set()
        others: set[int] = set()
        for place in signatures.places(self._device.size):
            if parts[self._at(place.offset)].holds(place):
                (ends if place.at_end else others).add(place.offset // _PAGE * _PAGE)
        first = {0} & (ends | others or {0})
        batches = (ends - first, others - ends - first, first)
        return [[_page(start, self._device.size) for start in sorted(batch)] for batch in batches if batch]

    def _others(self, signed: Iterable[Iterable[range]]) -> list[range]:
        """All of the edges but these pages."""
        pages = sorted((page for batch in signed for page in batch), key=lambda page: page.start)
        return [rest for span in self.spans for rest in _without(span, pages)]


class _Part:
    def __init__(self, span: range) -> None:
        self.span = span
        self.content = page_aligned(len(span))

    def shared(self, offset: int, length: int) -> range:
        return range(max(offset, self.span.start), min(offset + length, self.span.stop))

    def at(self, place: range) -> memoryview:
        return self.content[place.start - self.span.start : place.stop - self.span.start]

    def holds(self, place: signatures.Place) -> bool:
        """Whether one of its magics stands there."""
        start = place.offset - self.span.start
        return any(self.content[start : start + len(magic)] == magic for magic in place.magics)


def _spans(size: int) -> list[range]:
    head = range(min(EDGE, size))
    tail = range(max(head.stop, (size - EDGE) // _PAGE * _PAGE), size)
    pages = sorted(page for page in signatures.pages(size) if head.stop <= page < tail.start)
    return [head, *(_page(page, size) for page in pages), tail]


def _page(start: int, size: int) -> range:
    return range(start, min(start + _PAGE, size))


def _without(whole: range, holes: Iterable[range]) -> Iterator[range]:
    """``holes`` are in order."""
    start = whole.start
    for hole in holes:
        stop = min(hole.start, whole.stop)
        if start < stop:
            yield range(start, stop)
        start = max(start, hole.stop)
    if start < whole.stop:
        yield range(start, whole.stop)


def _partial(found: bytes, meant: bytes, before: bytes) -> bool:
    """Whether each sector is still empty, or as it was before, or already as it was meant."""
    sectors = (slice(start, start + _SECTOR) for start in range(0, len(meant), _SECTOR))
    return all(found[sector] in (meant[sector], before[sector]) or not any(found[sector]) for sector in sectors)


def differs(start: int, end: int) -> ReadBackDiffers:
    return ReadBackDiffers(
        f"between bytes {start} and {end} the partition does not hold what was written",
        hint="the disk or its cable lies: look at the kernel log (dmesg) and at smartctl",
    )
