"""A plan as a table that people read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from ogagent.disk.layout import is_extended, span_of
from ogagent.model.disk import TableKind
from ogagent.model.units import format_bytes
from ogagent.partition.placing import GRAIN
from ogagent.partition.plan import PlannedPartition, TablePlan

_HEADINGS: Final = ("number", "start", "size", "type", "what becomes of it")
_TABLES: Final = {"gpt": "GPT", "msdos": "MSDOS", None: "no table"}
_FATES: Final = {
    "kept": "kept with its content",
    "emptied": "stays in its place, its content goes",
    "moved": "made anew elsewhere or of another size, its content goes",
    "new": "new",
}
_CONTAINER: Final = {
    "kept": "kept",
    "emptied": "made anew",
    "moved": "made anew, what is kept in it stays",
    "new": "new",
}


def plan_as_text(plan: TablePlan) -> str:
    """Lines without a newline at the end."""
    table = _TABLES[plan.table] if plan.was == plan.table else f"{_TABLES[plan.was]} becomes {_TABLES[plan.table]}"
    lines = [*_lines(_rows(plan)), *plan.warnings]
    return "\n".join([f"disk {plan.disk} ({plan.device}), {format_bytes(plan.size)}: {table}", *lines])


def _rows(plan: TablePlan) -> list[Sequence[str]]:
    rows = [(part.start, _row(plan.table, part)) for part in plan.partitions]
    rows += [(start, ("", format_bytes(start), format_bytes(size), "", "free")) for start, size in _free(plan)]
    found = [row for _, row in sorted(rows, key=lambda row: row[0])]
    numbers = {part.number for part in plan.partitions}
    for part in plan.lost:
        if part.partition not in numbers:
            what = f"removed ({part.filesystem or 'empty'}{', CACHE' if part.cache else ''})"
            found.append((str(part.partition), format_bytes(part.start), format_bytes(part.size), part.code, what))
    return found


def _row(table: TableKind, part: PlannedPartition) -> Sequence[str]:
    what = (_CONTAINER if is_extended(table, part.code) else _FATES)[part.fate]
    if part.filesystem:
        what += f"; {part.filesystem} is made" + (f", label {part.label}" if part.label else "")
    elif part.fate != "kept" and not is_extended(table, part.code):
        what += "; left empty"
    return (str(part.number), format_bytes(part.start), format_bytes(part.size), part.code, what)


def _free(plan: TablePlan) -> Iterator[tuple[int, int]]:
    """Start and size of what nobody has, where it is worth the name."""
    cursor = GRAIN
    own = (span_of(part) for part in plan.partitions if not is_extended(plan.table, part.code))
    for span in sorted(own, key=lambda span: span.start):
        if span.start - cursor > GRAIN:
            yield cursor, span.start - cursor
        cursor = max(cursor, span.end)
    if plan.size - cursor > 2 * GRAIN:
        yield cursor, plan.size - cursor


def _lines(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(_HEADINGS, *rows, strict=True)]
    for row in (_HEADINGS, *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
