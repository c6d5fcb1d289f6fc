"""Where the partitions of a table lie, and what is wrong with that. Pure: nothing here looks at a disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Literal, Protocol

from msgspec import Struct

from ogagent.model.disk import TableKind
from ogagent.model.units import KIB

BrokenChain = Literal["", "circle", "unsigned", "outside", "crowded"]
"""What is wrong with the chain of logical partitions, in a word; empty for nothing."""

_FIRST_LOGICAL: Final = 5
_EXTENDED: Final = ("5", "f", "85")
_GPT_ENTRIES: Final = 16 * KIB  # the least that is reserved for them: UEFI specification 2.10, 5.3.1
_BROKEN: Final = {
    "circle": "the chain of logical partitions runs in a circle",
    "unsigned": "a link in the chain of logical partitions lacks its signature",
    "outside": "the chain of logical partitions leads out of the extended one",
    "crowded": "a link in the chain of logical partitions says more than one can",
}


class Span(Struct, frozen=True):
    """Bytes of a disk, from ``start`` up to ``end``, which is the first that is no part of it."""

    start: int
    end: int

    def meets(self, other: Span) -> bool:
        return max(self.start, other.start) < min(self.end, other.end)

    def holds(self, other: Span) -> bool:
        return self.start <= other.start and other.end <= self.end


class Place(Protocol):
    """``start`` and ``size`` in bytes."""

    @property
    def start(self) -> int: ...

    @property
    def size(self) -> int: ...


class Entry(Place, Protocol):
    """A row of a partition table; ``type`` as ``sfdisk --json`` prints it."""

    @property
    def number(self) -> int: ...

    @property
    def type(self) -> str: ...


class Layout(Struct, frozen=True, kw_only=True):
    """A partition table on a disk of ``size`` bytes; ``own`` is where the table itself lies."""

    kind: TableKind
    size: int
    entries: Sequence[Entry]
    own: Sequence[Span]
    chain: BrokenChain = ""

    def problem_of(self, entry: Entry) -> str:
        """Why nothing may be written to one of the entries; empty when its bytes are its own and on the disk."""
        return next(self._problems(entry), "")

    def _problems(self, entry: Entry) -> Iterator[str]:
        span = span_of(entry)
        if entry.size <= 0:
            yield "it ends before it begins"
        if not Span(0, self.size).holds(span):
            yield f"it reaches beyond the end of the disk, which has {self.size} bytes"
        extended, logical = self._is_extended(entry), self._is_logical(entry)
        if logical and not any(self._inside(entry, other) for other in self.entries):
            yield "it does not lie inside the extended partition"
        for other in self.entries:
            if other is not entry and self._clash(entry, other):
                yield shares_bytes(other.number)
        if not extended and any(each.meets(span) for each in self.own):
            yield "it lies over the partition table itself"
        if self.chain and (extended or logical):
            yield _BROKEN[self.chain]

    def _clash(self, one: Entry, other: Entry) -> bool:
        """A logical partition shares all of its bytes with the extended one around it, and that is well."""
        nested = self._inside(one, other) or self._inside(other, one)
        return span_of(one).meets(span_of(other)) and not nested

    def _inside(self, inner: Entry, outer: Entry) -> bool:
        return self._is_logical(inner) and self._is_extended(outer) and span_of(outer).holds(span_of(inner))

    def _is_extended(self, entry: Entry) -> bool:
        """Only a primary one is: a logical one of that type would lie inside itself, and be free of every rule."""
        return is_extended(self.kind, entry.type) and not self._is_logical(entry)

    def _is_logical(self, entry: Entry) -> bool:
        return self.kind == "msdos" and entry.number >= _FIRST_LOGICAL


def is_extended(table: TableKind, partition_type: str) -> bool:
    """Whether the partition is only the room for the logical ones."""
    return table == "msdos" and partition_type.lower() in _EXTENDED


def own_spans(kind: TableKind, size: int, sector_size: int, *, usable: Span, links: Sequence[int]) -> tuple[Span, ...]:
    """Where a table itself lies on a disk of ``size`` bytes.

    A GPT and its copy take all but what the header leaves for partitions (``usable``, not believed when that is too
    much); an MSDOS table the first sector, and one (EBR) for each link in the chain of logical partitions, given by its
    first byte.
    """
    if kind == "msdos":
        return tuple(Span(place, place + sector_size) for place in (0, *links))
    copy = sector_size + _GPT_ENTRIES
    head, tail = max(usable.start, sector_size + copy), min(usable.end, size - copy)
    return Span(0, head), Span(tail, max(tail, size))


def span_of(place: Place) -> Span:
    return Span(place.start, place.start + place.size)


def shares_bytes(number: int) -> str:
    return f"it shares bytes with partition {number}"
