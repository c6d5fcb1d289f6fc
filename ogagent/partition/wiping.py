"""What lay where something begins anew, made unknowable before the table says so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from ogagent.disk import signatures
from ogagent.disk.layout import Span
from ogagent.disk.machine import Device
from ogagent.model.units import MIB
from ogagent.partition.change import expect, read
from ogagent.system.memory import page_aligned

_EDGE: Final = MIB
_PAGE: Final = 4096
_ZEROS: Final = page_aligned(_EDGE).toreadonly()


def wipe(device: Device, span: Span, holes: Sequence[Span] = ()) -> None:
    """The edges of a range of bytes and all places of signatures in it, but not ``holes``.

    What stands at the end goes first, of containers whose content all else may be; what is known by the first page goes
    last of all by which something is known. So at no moment mounts or opens what has lost something else. Written, not
    zeroed: what a disk makes of a command to zero a range has been wrong before.

    Raises WriteFailed; ReadBackDiffers when a wipe has not arrived.
    """
    size = span.end - span.start
    signed = dict(_signed(device, span))
    ends = {page for page, at_end in signed.items() if at_end and page}
    others = {page for page in signed if page and page not in ends}
    for batch in (_pages(ends, size), _pages(others, size), _pages((0,), size), _all(size)):
        places = [Span(span.start + each.start, span.start + each.end) for each in batch]
        parts = [part for place in places for part in without(place, holes)]
        for part in parts:
            _zero(device, part)
        if parts:
            device.flush()
        for part in parts:
            expect(device, part.start, bytes(part.end - part.start))


def wiped(span: Span, holes: Sequence[Span] = ()) -> Iterator[Span]:
    """What of the range ``wipe`` makes zeros."""
    for each in _all(span.end - span.start):
        yield from without(Span(span.start + each.start, span.start + each.end), holes)


def _all(size: int) -> list[Span]:
    tail = max(0, (size - _EDGE) // _PAGE * _PAGE)
    return _merged([Span(0, min(_EDGE, size)), Span(tail, size), *_pages(signatures.pages(size), size)])


def without(whole: Span, holes: Iterable[Span]) -> Iterator[Span]:
    start = whole.start
    for hole in sorted(holes, key=lambda hole: hole.start):
        if hole.meets(Span(start, whole.end)):
            if start < hole.start:
                yield Span(start, hole.start)
            start = max(start, hole.end)
    if start < whole.end:
        yield Span(start, whole.end)


def _signed(device: Device, span: Span) -> Iterator[tuple[int, bool]]:
    """Pages of the range in which a magic stands, and whether it counts from the end."""
    size = span.end - span.start
    pages: dict[int, bytes] = {}
    for run in _all(size):
        content = read(device, span.start + run.start, run.end - run.start)
        pages |= {run.start + at: content[at : at + _PAGE] for at in range(0, len(content), _PAGE)}
    for place in signatures.places(size):
        page, offset = place.offset // _PAGE * _PAGE, place.offset % _PAGE
        if any(pages[page].startswith(magic, offset) for magic in place.magics):
            yield page, place.at_end


def _pages(starts: Iterable[int], size: int) -> list[Span]:
    return [Span(start, min(start + _PAGE, size)) for start in sorted(starts)]


def _merged(spans: Iterable[Span]) -> list[Span]:
    found: list[Span] = []
    for span in sorted(spans, key=lambda span: span.start):
        if found and span.start <= found[-1].end:
            found[-1] = Span(found[-1].start, max(found[-1].end, span.end))
        else:
            found.append(span)
    return found


def _zero(device: Device, span: Span) -> None:
    for start in range(span.start, span.end, len(_ZEROS)):
        device.write(start, _ZEROS[: min(len(_ZEROS), span.end - start)])
