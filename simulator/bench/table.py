"""What the benchmarks found, for people."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import psutil

from simulator.bench.aims import Aim

_GIB: Final = 1 << 30
_CPUINFO: Final = Path("/proc/cpuinfo")


def markdown(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """The first column is text, the others are figures."""
    rule = ["---", *("---:" for _ in headings[1:])]
    return "\n".join(f"| {' | '.join(line)} |" for line in (headings, rule, *lines))


def aims_table(found: Sequence[Aim]) -> str:
    lines = []
    for aim in found:
        limit = f"{'≥' if aim.at_least else '≤'} {_figure(aim, aim.aimed)}"
        lines.append((aim.name, _figure(aim, aim.found), limit, "" if aim.reached else "missed"))
    return markdown(("", "found", "aimed at", ""), lines)


def _figure(aim: Aim, value: float) -> str:
    match aim.unit:
        case "":
            return f"{value:.2f}"
        case "%":
            return f"{value:.2f} %"
        case unit:
            return f"{value:.0f} {unit}"


def machine() -> str:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in _CPUINFO.read_text("utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory = psutil.virtual_memory().total / _GIB
    python, kernel = platform.python_version(), platform.release()
    return f"{psutil.cpu_count()} cores of {model}, {memory:.0f} GiB, Linux {kernel}, Python {python}"
