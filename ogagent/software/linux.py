"""The packages of a Linux system, from the databases that it keeps itself."""

from __future__ import annotations

from typing import Final

from ogagent.model.software import Package, Software
from ogagent.software.bundles import flatpaks, snaps
from ogagent.software.dpkg import dpkg
from ogagent.software.found import Unreadable
from ogagent.software.pacman import pacman
from ogagent.software.rpm import rpm
from ogagent.system import os_release
from ogagent.system.text import printable
from ogagent.system.tree import TooLarge, Tree

_READERS: Final = (dpkg, rpm, pacman, snaps, flatpaks)
_MOST_PACKAGES: Final = 20_000
_LARGEST: Final = 1 << 16


def read_linux(tree: Tree) -> Software | None:
    """None when no Linux system lies in there. Blocking. Raises OSError when the disk cannot be read."""
    for path in os_release.ROOTS:
        below = tree.below(path)
        if below is None:
            continue
        try:
            if name := _system(below):
                return _inventory(below, name)
        finally:
            below.close()
    return None


def _system(tree: Tree) -> str:
    for place in os_release.PLACES:
        try:
            text = tree.read(place, _LARGEST)
        except TooLarge:
            continue
        members = os_release.members((text or b"").decode("utf-8", "replace"))
        plain = f"{members.get('NAME', '')} {members.get('VERSION', '')}"
        if name := printable(members.get("PRETTY_NAME", "") or plain):
            return name
    return ""


def _inventory(tree: Tree, name: str) -> Software:
    """A database that cannot be read costs its own packages, and no others."""
    packages: set[Package] = set()
    notes: list[str] = []
    for reader in _READERS:
        try:
            for count, found in enumerate(reader(tree)):
                if count == _MOST_PACKAGES:
                    notes.append(f"{reader.__name__}: there are more packages than {_MOST_PACKAGES}")
                    break
                packages.add(found)
        except (TooLarge, Unreadable) as error:
            notes.append(printable(str(error)))
    return Software(system=name, packages=tuple(sorted(packages)), notes=tuple(notes))
