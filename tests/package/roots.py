"""Roots of Debian that the package is installed into, and the wheels that it is made of: what needs a network.

``python -m tests.machine.prepare`` makes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from systemd.packaging import wheels
from tests.machine import kept
from tests.machine.debian import MIRROR
from tests.machine.tools import run

SUITES: Final[Mapping[str, str]] = MappingProxyType({"bookworm": "3.11", "trixie": "3.13"})
"""And their Python."""
_HERE: Final = Path(__file__)
_DEPENDS: Final = ("python3", "python3-venv", "e2fsprogs", "fdisk", "libblkid1", "libudev1", "libzstd1", "mount")


def recipe(suite: str) -> kept.Recipe:
    return kept.Recipe(f"package-{suite}", tuple(kept.words_of([_HERE])))


def recipe_of_wheels() -> kept.Recipe:
    return kept.Recipe("wheels", tuple(kept.words_of([*wheels.LOCKS.values(), Path(wheels.__file__)])))


def root(suite: str) -> Path:
    """A system with what the package depends on, and nothing else. Nobody writes to it."""
    return kept.kept(recipe(suite), lambda folder: _make(folder, suite)) / "root"


def fetched() -> Path:
    return kept.kept(recipe_of_wheels(), wheels.fetch)


def _make(folder: Path, suite: str) -> None:
    command = ["mmdebstrap", "--quiet", "--mode=root", "--format=directory", "--variant=minbase"]
    run(*command, f"--include={','.join(_DEPENDS)}", suite, folder / "root", MIRROR)
