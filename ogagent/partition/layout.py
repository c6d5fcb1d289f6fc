"""From the request and the disk as it is to a plan, or the refusal that fits. Pure: nothing here looks at a disk.

A row whose number, size and kind are those of a partition that is there means that partition: it stays where it is,
with its content. Sizes come in KiB; a partition whose size is none of whole KiB is meant by the KiB below, as the
inventory gives it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec.structs import replace

from ogagent.disk.layout import Span, is_extended, span_of
from ogagent.errors import (
    DiskNotPartitioned,
    InvalidField,
    MissingField,
    TableDoesNotFit,
)
from ogagent.model.disk import UNREADABLE, Disk, Partition, TableKind
from ogagent.model.units import KIB, MIB, format_bytes
from ogagent.partition.cache import PRIMARIES, Cache, apart, is_size, whole_sectors
from ogagent.partition.checks import check_content, check_numbers, check_sizes
from ogagent.partition.formats import format_of
from ogagent.partition.kinds import CACHE, EMPTY, EXTENDED
from ogagent.partition.placing import GRAIN, Room, Wanted, align_down, place
from ogagent.partition.plan import Fate, Firmware, PlannedPartition, TablePlan
from ogagent.partition.request import ConfigureRequest, Row

ENTRIES: Final = 16 * KIB
"""What the entries of a GPT take: UEFI specification 2.10, 5.3.1."""
LINK_ROOM: Final = 16 * KIB
"""Before a logical partition, for the sector that names it, and for another one while that is in use."""
_SHIFT: Final = 4 * KIB


def plan_table(request: ConfigureRequest, disk: Disk, firmware: Firmware) -> TablePlan:
    """Raises TableDoesNotFit, PartitionInUse, PartitionOverlaps, FilesystemNotSupported, DiskNotPartitioned,
    InvalidField or MissingField.
    """
    if disk.problem.startswith(UNREADABLE) or disk.size < 4 * MIB:
        raise DiskNotPartitioned(f"disk {disk.disk} cannot be used: {disk.problem or 'it is too small'}", field="dsk")
    table = request.table or disk.table or ("gpt" if firmware == "uefi" else "msdos")
    layout = _Layout(request, disk, table)
    partitions = layout.partitions()
    plan = TablePlan(
        disk=disk.disk,
        device=disk.device,
        identity=disk.identity,
        size=disk.size,
        sector_size=disk.sector_size,
        was=disk.table,
        before=disk.partitions,
        table=table,
        partitions=partitions,
        lost=tuple(_lost(disk, partitions)),
    )
    check_content(plan, disk)
    check_sizes(plan)
    return plan


class _Layout:
    def __init__(self, request: ConfigureRequest, disk: Disk, table: TableKind) -> None:
        self._disk = disk
        self._table = table
        self._there = {part.partition: part for part in disk.partitions}
        rows, self._cache = apart(request, disk, table)
        self._rows = sorted(map(self._meant, rows), key=lambda row: row.number)
        used = {row.number for row in rows if row.kind is not EMPTY}
        check_numbers([row.number for row in rows], table)
        check_numbers([*used, *((self._cache.number,) if self._cache else ())], table)
        copy = disk.sector_size + ENTRIES
        self._room = Span(GRAIN, align_down(disk.size - copy))
        self._around = (
            Span(disk.sector_size + copy, disk.size - copy) if table == "gpt" else Span(disk.sector_size, disk.size)
        )

    def partitions(self) -> tuple[PlannedPartition, ...]:
        primaries = [row for row in self._rows if not self._is_logical(row.number)]
        logicals = [row for row in self._rows if self._is_logical(row.number)]
        room, cache = self._beside_cache(Room(span=self._room, around=self._around), logical=False)
        spans = place(self._wanted(primaries), room)
        extended = next((row for row in primaries if row.kind is EXTENDED), None)
        self._check_extended(primaries, logicals)
        planned = [
            self._planned(row, spans[row.number])
            for row in primaries
            if row.kind is not EMPTY and row.kind is not EXTENDED
        ]
        if extended:
            planned += self._extended(extended, spans[extended.number], logicals, [*spans.values(), *room.taken])
        return tuple(sorted([*planned, *cache], key=lambda part: part.number))

    def _extended(
        self, row: Row, span: Span, logicals: Sequence[Row], others: Iterable[Span]
    ) -> list[PlannedPartition]:
        """With those in it. Its chain is rewritten as a whole or not at all; and where it is rewritten it begins in
        another sector, so that the old one is there until a single sector, the first of the disk, says otherwise.
        """
        inside = self._logicals(logicals, span)
        old = next((part for part in self._disk.partitions if self._was_extended(part)), None)
        before = [(part.partition, part.start) for part in self._disk.partitions if self._was_logical(part)]
        fate: Fate = "new"
        if old and self._table == self._disk.table:
            fate = "moved"
            kept = all(part.fate == "kept" for part in inside)
            if span_of(old) == span and kept and before == [(part.number, part.start) for part in inside]:
                fate = "kept"
            else:
                span = _elsewhere(old, span, [each.end for each in others if each.end <= span.start])
        code = old.code if old and fate == "kept" else row.kind.code(self._table)
        whole = PlannedPartition(number=row.number, start=span.start, size=span.end - span.start, code=code, fate=fate)
        for part in inside:
            if part.start < span.start + self._disk.sector_size:
                raise TableDoesNotFit(f"logical partition {part.number} leaves no room for what names it", field="cfg")
        return [whole, *inside]

    def _logicals(self, rows: Sequence[Row], span: Span) -> list[PlannedPartition]:
        room, cache = self._beside_cache(Room(span=span, around=span, gap=LINK_ROOM), logical=True)
        spans = place(self._wanted(rows), room)
        planned = [self._planned(row, spans[row.number]) for row in rows]
        return sorted([*planned, *cache], key=lambda part: part.number)

    def _beside_cache(self, room: Room, *, logical: bool) -> tuple[Room, Sequence[PlannedPartition]]:
        """What it leaves of the room, and the CACHE itself, if that is where it belongs."""
        if self._cache is None or self._is_logical(self._cache.number) != logical:
            return room, ()
        cache = self._place_cache(self._cache, room)
        return replace(room, taken=(span_of(cache),)), (cache,)

    def _place_cache(self, cache: Cache, room: Room) -> PlannedPartition:
        there = cache.there
        if there and (cache.size is None or self._is_size(there, cache.size)) and room.around.holds(span_of(there)):
            span = span_of(there)
        elif cache.size is None:
            raise TableDoesNotFit("the CACHE cannot stay where it is, and tch is missing", field="tch")
        else:
            size = self._whole_sectors(cache.size)
            span = Span(align_down(room.span.end - size), align_down(room.span.end - size) + size)
            if span.start < room.span.start + room.gap:
                most = format_bytes(room.span.end - room.span.start - room.gap)
                raise TableDoesNotFit(
                    f"the CACHE needs {format_bytes(size)}, and there are {most} where it would lie", field="tch"
                )
        works = there is not None and (bool(there.filesystem) or not cache.must_work)
        stays = works and there is not None and span_of(there) == span and not cache.format
        fate: Fate = "kept" if stays else self._fate(cache.number, span)
        code = CACHE.code(self._table)
        if stays and there and self._disk.table == self._table:
            code = there.code
        return self._made(cache.number, span, code, fate, "EXT4", cache=True)

    def _meant(self, row: Row) -> Row:
        """The inventory has size 0 for a partition of less than a KiB, and 0 is the rest elsewhere."""
        there = self._there.get(row.number)
        tiny = row.size is None and there is not None and there.size < KIB and self._is_same(row, there)
        return replace(row, size=there.size) if tiny and there else row

    def _wanted(self, rows: Sequence[Row]) -> list[Wanted]:
        for row in rows[:-1]:
            if row.size is None and row.kind is not EMPTY:
                raise InvalidField(
                    f"tam of partition {row.number} is missing: only the last can have the rest", field="tam"
                )
        return [
            Wanted(
                number=row.number,
                size=row.size and self._whole_sectors(row.size),
                pin=self._pin(row),
                new=self._is_new(row),
            )
            for row in rows
            if row.kind is not EMPTY or row.size
        ]

    def _is_new(self, row: Row) -> bool:
        """Its number is nobody's, or was the CACHE's, which has another one."""
        there = self._there.get(row.number)
        return there is None or (self._cache is not None and there == self._cache.there)

    def _pin(self, row: Row) -> Span | None:
        """Where it lies now, when the row speaks of what is there, or of its place at least."""
        there = self._there.get(row.number)
        if there is None or row.kind is EMPTY or self._was_extended(there) != (row.kind is EXTENDED):
            return None
        stays = self._is_same(row, there) or there.start % GRAIN == 0
        sized = row.size is None or self._is_size(there, row.size, loosely=row.kind is EXTENDED)
        return span_of(there) if stays and sized else None

    def _planned(self, row: Row, span: Span) -> PlannedPartition:
        there = self._there.get(row.number)
        same = there is not None and span_of(there) == span and self._is_same(row, there)
        fate = "kept" if same and not row.format else self._fate(row.number, span)
        code = there.code if there and same and self._disk.table == self._table else row.kind.code(self._table)
        if not code:
            raise TableDoesNotFit(f"a table of kind {self._table} has no partition {row.kind.name}", field="cpt")
        made = ""
        if row.format:
            if not row.filesystem and not row.kind.filesystem:
                raise MissingField(f"sfi of partition {row.number} is missing", field="sfi")
            made = row.filesystem or row.kind.filesystem
        return self._made(row.number, span, code, fate, made)

    def _made(
        self, number: int, span: Span, code: str, fate: Fate, filesystem: str, *, cache: bool = False
    ) -> PlannedPartition:
        made = "" if fate == "kept" else filesystem
        known = format_of(made)
        return PlannedPartition(
            number=number,
            start=span.start,
            size=span.end - span.start,
            code=code,
            fate=fate,
            name=CACHE.name if cache and self._table == "gpt" else "",
            filesystem=known.name if known else "",
            label=CACHE.name if cache and known else "",
        )

    def _fate(self, number: int, span: Span) -> Fate:
        there = self._there.get(number)
        if there is None:
            return "new"
        return "emptied" if span_of(there) == span else "moved"

    def _is_same(self, row: Row, there: Partition) -> bool:
        return row.kind.means(self._disk, there)

    def _is_size(self, there: Partition, size: int, *, loosely: bool = False) -> bool:
        """An extended partition may be a little shorter, for it does not always begin where it might."""
        if loosely:
            return size - GRAIN < there.size <= self._whole_sectors(size)
        return is_size(there, size, self._disk.sector_size)

    def _whole_sectors(self, size: int) -> int:
        return whole_sectors(size, self._disk.sector_size)

    def _is_logical(self, number: int) -> bool:
        return self._table == "msdos" and number > PRIMARIES

    def _was_extended(self, part: Partition) -> bool:
        return self._disk.table == "msdos" and is_extended("msdos", part.code)

    def _was_logical(self, part: Partition) -> bool:
        return self._disk.table == "msdos" and part.partition > PRIMARIES

    def _check_extended(self, primaries: Sequence[Row], logicals: Sequence[Row]) -> None:
        extended = [row for row in primaries if row.kind is EXTENDED]
        numbers = [row.number for row in logicals]
        if self._cache and self._is_logical(self._cache.number):
            numbers = sorted([*numbers, self._cache.number])
        if len(extended) > 1:
            raise TableDoesNotFit("there can be only one extended partition", field="cpt")
        if extended and self._table == "gpt":
            raise TableDoesNotFit("a GPT has no extended partition, and needs none", field="cpt")
        if numbers and not extended:
            raise TableDoesNotFit(
                f"more than {PRIMARIES} primary partitions: {numbers[0]} is a logical one, and no row is EXTENDED",
                hint="use GPT, or add a row EXTENDED",
                field="par",
            )
        if any(row.kind in (EMPTY, EXTENDED) for row in logicals) or numbers != list(range(5, 5 + len(numbers))):
            raise TableDoesNotFit(f"logical partitions are numbered from 5 without a gap, not {numbers}", field="par")


def _elsewhere(old: Partition, span: Span, ends: Sequence[int]) -> Span:
    """It ends where it would, and begins near there, where the old chain has no sector: such lie where an extended
    partition begins, and before logical ones, which is on a MiB or just before one.
    """
    base = align_down(span.start)
    base = base if base >= max(ends, default=0) else span.start
    return Span(next(start for start in (base + _SHIFT, base + 2 * _SHIFT) if start != old.start), span.end)


def _lost(disk: Disk, partitions: Sequence[PlannedPartition]) -> Iterable[Partition]:
    kept = [span_of(part) for part in partitions if part.fate == "kept"]
    for part in disk.partitions:
        if span_of(part) not in kept and not (disk.table and is_extended(disk.table, part.code)):
            yield part
