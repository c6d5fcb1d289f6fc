"""Roots that the package is installed into, and the wheels that it is made of: what needs a network.

``python -m tests.machine.prepare`` makes them; with ``--ubuntu`` also the one that is not of Debian.
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

SUITES: Final[Mapping[str, str]] = MappingProxyType({"bookworm": "3.11", "trixie": "3.13", "noble": "3.12"})
"""And their Python."""
DEBIAN: Final = ("bookworm", "trixie")
UBUNTU: Final = "noble"
_UBUNTU_MIRROR: Final = "http://archive.ubuntu.com/ubuntu"
_UBUNTU_KEYS: Final = "usr/share/keyrings/ubuntu-archive-keyring.gpg"
_HERE: Final = Path(__file__)
_DEPENDS: Final = (
    *("python3", "python3-venv", "e2fsprogs", "fdisk", "mount"),
    *("libblkid1", "libgcc-s1", "libstdc++6", "libudev1", "libzstd1"),
)


def recipe(suite: str) -> kept.Recipe:
    return kept.Recipe(f"package-{suite}", tuple(kept.words_of([_HERE])))


def recipe_of_wheels() -> kept.Recipe:
    return kept.Recipe("wheels", tuple(kept.words_of([*wheels.LOCKS.values(), Path(wheels.__file__)])))


def root(suite: str) -> Path:
    """A system with what the package depends on, and nothing else. Nobody writes to it."""
    return kept.kept(recipe(suite), lambda folder: _make(folder, suite)) / "root"


def fetched() -> Path:
    return kept.kept(recipe_of_wheels(), wheels.fetch)


def present() -> list[str]:
    """The suites of Debian, which every run needs, and that of Ubuntu once somebody has made its root."""
    return [*DEBIAN, *([UBUNTU] if kept.is_kept(recipe(UBUNTU)) else [])]


def _make(folder: Path, suite: str) -> None:
    command = ["mmdebstrap", "--quiet", "--mode=root", "--format=directory"]
    source: tuple[str | Path, ...] = (MIRROR,)
    if suite == UBUNTU:  # Debian vouches for Ubuntu's keys
        run(*command, "--variant=extract", "--include=ubuntu-keyring", "trixie", folder / "keys", MIRROR)
        command += [f"--keyring={folder / 'keys' / _UBUNTU_KEYS}", "--components=main,universe"]
        source = (_UBUNTU_MIRROR,)
    run(*command, "--variant=minbase", f"--include={','.join(_DEPENDS)}", suite, folder / "root", *source)
