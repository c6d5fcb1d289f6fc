"""Figures as people read them, and disks as drawings to scale."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from msgspec import Struct

from simulator.ogcore.views import DiskView, JobView, PartitionView

_NOTHING: Final = "\N{EN DASH}"
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")
_FULL: Final = 1000.0
_LEAST: Final = 34.0
"""Drawings are 1000 wide; what is narrower than this cannot be pointed at, so it takes a little from the others."""

PHASES: Final = (
    "checking", "fetching", "flushing", "reading-back", "reducing", "capturing", "verifying", "partitioning",
    "formatting", "committing", "caching", "finishing", "growing", "running",
)  # fmt: skip
TITLES: Final = {
    "deploy-image": "Deploy image",
    "create-image": "Create image",
    "partition-and-format": "Partition and format",
    "hardware-inventory": "Hardware inventory",
    "software-inventory": "Software inventory",
    "run-script": "Run script",
    "login": "Boot partition",
    "reboot": "Restart",
    "shutdown": "Switch off",
    "refresh": "Refresh",
}
"""Of commands, for people."""
# What moves the cursor or rings the bell is shown as Unicode's pictures of it.
_PICTURES: Final = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"} | {0x7F: 0x2421}


class Segment(Struct, frozen=True, kw_only=True):
    """A piece of a drawing that is 1000 wide. ``partition`` is None for room that nobody uses."""

    x: float
    width: float
    partition: PartitionView | None = None


class Stage(Struct, frozen=True, kw_only=True):
    name: str
    seconds: float
    x: float
    width: float


def size(value: int | None) -> str:
    if value is None:
        return _NOTHING
    number = float(value)
    for unit in _UNITS:
        if number < 1024 or unit == _UNITS[-1]:
            break
        number /= 1024
    return f"{number:.0f} {unit}" if number >= 100 or unit == "B" or number == int(number) else f"{number:.1f} {unit}"


def rate(value: int) -> str:
    return f"{size(value)}/s"


def clock(text: str | None) -> str:
    """The time of day, in this machine's zone, of a time in ISO 8601."""
    return datetime.fromisoformat(text).astimezone().strftime("%H:%M:%S") if text else _NOTHING


def title(command: str) -> str:
    return TITLES.get(command, command)


def printed(text: str) -> str:
    """What a program has printed, so that it can be read and does nothing."""
    return text.replace("\r\n", "\n").translate(_PICTURES)


def day(text: str) -> str:
    """The same with the date, for what is not of today only."""
    return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M")


def segments(disk: DiskView) -> list[Segment]:
    pieces = list(_pieces(disk))
    widths = [max(length / max(disk.size, 1) * _FULL, _LEAST if part else 0.0) for length, part in pieces]
    scale = _FULL / sum(widths) if pieces else 1.0
    drawn, x = [], 0.0
    for (_, part), width in zip(pieces, widths, strict=True):
        drawn.append(Segment(x=round(x, 1), width=round(width * scale, 1), partition=part))
        x += width * scale
    return drawn


def stages(job: JobView) -> list[Stage]:
    """How long each phase of the job took, and the same as a drawing."""
    found = [(name, float(job.timings[name] or 0)) for name in PHASES if name in job.timings]
    whole = sum(seconds for _, seconds in found) or 1.0
    drawn, x = [], 0.0
    for name, seconds in found:
        width = seconds / whole * _FULL
        drawn.append(Stage(name=name, seconds=seconds, x=round(x, 1), width=round(width, 1)))
        x += width
    return drawn


def _pieces(disk: DiskView) -> Iterator[tuple[int, PartitionView | None]]:
    position = 0
    for part in sorted(disk.partitions, key=lambda part: part.start):
        if part.start > position:
            yield part.start - position, None
        yield max(min(part.size, disk.size - part.start), 0), part  # no more than there is
        position = max(position, part.start + part.size)
    if disk.size > position:
        yield disk.size - position, None
