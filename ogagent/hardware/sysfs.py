"""What the kernel says in files of one line. Blocking; what cannot be read is empty."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Final

from ogagent.system.text import printable

_LINE: Final = 4096
_MOST_ENTRIES: Final = 1024


def content(path: Path, limit: int) -> bytes:
    """Its first ``limit`` bytes."""
    try:
        with path.open("rb", buffering=0) as file:
            return file.read(limit) or b""
    except OSError:
        return b""


def line(path: Path) -> str:
    return printable(content(path, _LINE).decode("utf-8", "replace"))


def number(path: Path, base: int = 10) -> int | None:
    try:
        return int(line(path), base)
    except ValueError:
        return None


def directories(path: Path) -> list[Path]:
    """In the order of their names, no more than anybody has."""
    try:
        return sorted(islice(path.iterdir(), _MOST_ENTRIES))
    except OSError:
        return []
