"""Looks at a disk after a restore with e2fsprogs alone: nothing of the agent's code takes part."""

from __future__ import annotations

import hashlib
from pathlib import Path

from simulator.errors import LabError
from simulator.ext4 import check, read_tree
from simulator.machine.classroom import outside
from simulator.machine.gpt import Entry
from simulator.tree import Tree


def digest_of_neighbours(disk: Path, partition: Entry) -> str:
    """SHA-256 of everything on the disk that is not this partition."""
    digest = hashlib.sha256()
    for piece in outside(disk, partition):
        digest.update(piece)
    return digest.hexdigest()


def digest_of(disk: Path) -> str:
    """SHA-256 of all of it."""
    with disk.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def prove_contents(disk: Path, partition: Entry, expected: Tree) -> int:
    """The number of files, directories and links that are all as ``expected``. Raises LabError for any that is not."""
    check(disk, offset=partition.start)
    found = read_tree(disk, offset=partition.start)
    wrong = sorted(path for path in {*found, *expected} if found.get(path) != expected.get(path))
    if wrong:
        places = f"{len(wrong)} places: {', '.join(wrong[:3])}"
        raise LabError(f"partition {partition.number} differs from the image in {places}")
    return len(found)
