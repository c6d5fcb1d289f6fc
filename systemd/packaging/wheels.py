"""The Python packages that each package brings, as wheels for each Python that the agent runs on."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from email.message import Message
from email.parser import BytesParser
from pathlib import Path
from types import MappingProxyType
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

ROOT: Final = Path(__file__).parents[2]
_HERE: Final = Path(__file__).parent
AGENT: Final = "ogagent"
P2P: Final = "ogagent-p2p"
SIM: Final = "ogsim"
LOCKS: Final[Mapping[str, Path]] = MappingProxyType(
    {
        AGENT: ROOT / "requirements.lock",
        P2P: _HERE / "p2p.lock",
        SIM: _HERE / "sim.lock",
    }
)
"""By package. No wheel is in two of them: all lie in one directory when they are installed."""
PYTHONS: Final = ("3.11", "3.12", "3.13")
PLATFORMS: Final = ("manylinux2014_x86_64", "manylinux_2_17_x86_64", "manylinux_2_28_x86_64", "manylinux_2_34_x86_64")
"""What runs on Debian 12 and Ubuntu 22.04, and whatever is newer."""
COMMON: Final = "any"

Shelf = Mapping[str, Sequence[Path]]
"""By Python, or COMMON."""


def options(python: str, lock: Path = LOCKS[AGENT]) -> list[str]:
    """Of pip: those wheels that a lock names, for that Python, and nothing that would have to be compiled."""
    common = ["-qq", "--disable-pip-version-check", "--no-deps", "--require-hashes", "--only-binary=:all:"]
    return [*common, "-r", str(lock), "--python-version", python, *(f"--platform={tag}" for tag in PLATFORMS)]


def fetch(place: Path) -> None:
    """All that the locks name, into a directory for each package and Python."""
    for name, lock in LOCKS.items():
        for python in PYTHONS:
            pip = [
                sys.executable,
                "-m",
                "pip",
                "download",
                *options(python, lock),
                "--dest",
                str(place / name / python),
            ]
            subprocess.run(pip, check=True)


def shelf(place: Path, name: str) -> Shelf:
    """Of what was fetched for the package of that name: what is in it."""
    found = {python: dict(_within(place / name / python, name, python)) for python in PYTHONS}
    common = set.intersection(*(set(wheels) for wheels in found.values()))
    every = {COMMON: [found[PYTHONS[0]][file] for file in sorted(common)]} if common else {}
    for python, wheels in found.items():
        every[python] = [wheels[file] for file in sorted(wheels.keys() - common)]
    return every


def papers(wheel: Path) -> Message:
    """METADATA. Raises ValueError for a wheel that has to be more than unpacked."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        if any(".data/" in name for name in names):
            raise ValueError(f"{wheel.name} has files that belong elsewhere than into site-packages")
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        return BytesParser().parsebytes(archive.read(metadata))


def _within(folder: Path, name: str, python: str) -> Iterator[tuple[str, Path]]:
    """By the names of the files. The agent's lock also has what builds the agent and is not needed where it runs."""
    files = sorted(folder.glob("*.whl"))
    needed = set(_needed(files, python)) if name == AGENT else files
    return ((file.name, file) for file in files if file in needed)


def _needed(files: Iterable[Path], python: str) -> Iterator[Path]:
    """What the agent reaches in any number of steps."""
    there = {parse_wheel_filename(path.name)[0]: path for path in files}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    ahead, seen = list(_wanted(project["dependencies"], python)), set[str]()
    while ahead:
        name = ahead.pop()
        if name not in seen:
            seen.add(name)
            wheel = there[canonicalize_name(name)]
            yield wheel
            ahead += _wanted(papers(wheel).get_all("Requires-Dist", []), python)


def _wanted(requirements: Iterable[str], python: str) -> Iterator[str]:
    here = {"python_version": python, "python_full_version": f"{python}.0", "extra": ""}
    for each in map(Requirement, requirements):
        if each.marker is None or each.marker.evaluate({**here, "platform_python_implementation": "CPython"}):
            yield canonicalize_name(each.name)
