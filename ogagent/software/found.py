"""What the readers of package databases have in common.

Each takes a tree and gives its packages one by one. It raises Unreadable or TooLarge, after those that it could read,
and OSError when the disk cannot be read.
"""

from __future__ import annotations

from typing import Final

from ogagent.model.software import Package
from ogagent.system.text import printable

SMALL: Final = 1 << 18
"""Bytes of a file that tells of one package; those that are larger tell something else."""


class Unreadable(Exception):
    """For people: which database cannot be read, and why."""


def package(name: str, version: str) -> Package | None:
    """None for what has no name."""
    name, version = printable(name), printable(version)
    return Package(name, version) if name else None
