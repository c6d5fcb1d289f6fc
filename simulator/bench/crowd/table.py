"""The rows for people."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import Final

from simulator.bench.crowd.room import Row
from simulator.bench.table import markdown
from simulator.tree import MIB

_IDLE: Final = 25.0
"""With less of it the processor sets the pace, and not the links."""
_COLUMNS: Final = (
    "method, clients", "first", "median", "last", "the odd one", "copies sent", "Range %, median", "most",
    "agent MiB", "engine MiB", "idle %", "",
)  # fmt: skip
_WIDTHS: Final = (48, 6, 6, 6, 11, 11, 15, 6, 9, 10, 6, 0)


def headings(*, plain: bool) -> str:
    return markdown(_COLUMNS, ()) if plain else _aligned(_COLUMNS)


def line(row: Row, alone: Row, image: int, *, plain: bool) -> str:
    """Times are told as multiples of the one that was alone, whose own is told in seconds."""
    cells = _cells(row, alone, image)
    return f"| {' | '.join(cells)} |" if plain else _aligned(cells)


def notes(rows: Sequence[Row]) -> Iterator[str]:
    """What clients said when they left a session."""
    for row in rows:
        for why, count in row.left.items():
            if not row.case.reckoned:
                yield f"{row.case.name}: {count} left {why}"


def is_void(row: Row) -> bool:
    return row.idle < _IDLE


def _cells(row: Row, alone: Row, image: int) -> Sequence[str]:
    unit = statistics.median(alone.seconds)
    times = [row.seconds[0], statistics.median(row.seconds), row.seconds[-1]] if row.seconds else []
    shares = sorted(100 * count / image for count in row.ranges)
    return (
        row.case.name,
        *([f"{seconds / unit:.2f}" for seconds in times] or ["", "", ""]),
        "" if row.odd_s is None else f"{row.odd_s / unit:.2f}",
        f"{row.sent / image:.2f}",
        f"{statistics.median(shares):.1f}" if shares else "",
        f"{shares[-1]:.1f}" if shares else "",
        f"{row.agent_rss / MIB:.0f}",
        f"{row.engine_rss / MIB:.0f}" if row.engine_rss else "",
        f"{row.idle:.0f}",
        _remark(row, alone),
    )


def _remark(row: Row, alone: Row) -> str:
    said = [f"1.00 is {statistics.median(alone.seconds):.1f} s"] if row is alone else []
    if row.case.reckoned:
        said.append("reckoned")
    if is_void(row):
        said.append("void: the processor was busy")
    if row.failed:
        said.append(f"{row.failed} failed")
    return "; ".join(said)


def _aligned(cells: Sequence[str]) -> str:
    first, *others = zip(cells, _WIDTHS, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]).rstrip()
