"""The Python packages that the agent needs, as wheels for each Python that it runs on."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from email.message import Message
from email.parser import BytesParser
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

ROOT: Final = Path(__file__).parents[2]
LOCK: Final = ROOT / "requirements.lock"
P2P_LOCK: Final = Path(__file__).parent / "p2p.lock"
_P2P: Final = "p2p"
PYTHONS: Final = ("3.11", "3.12", "3.13")
PLATFORMS: Final = ("manylinux2014_x86_64", "manylinux_2_17_x86_64", "manylinux_2_28_x86_64", "manylinux_2_34_x86_64")
"""What runs on Debian 12 and Ubuntu 22.04, and whatever is newer."""
COMMON: Final = "any"

Shelf = Mapping[str, Sequence[Path]]
"""By Python, or COMMON."""


def options(python: str, lock: Path = LOCK) -> list[str]:
    """Of pip: those wheels that a lock names, for that Python, and nothing that would have to be compiled."""
    common = ["-qq", "--disable-pip-version-check", "--no-deps", "--require-hashes", "--only-binary=:all:"]
    return [*common, "-r", str(lock), "--python-version", python, *(f"--platform={tag}" for tag in PLATFORMS)]


def fetch(place: Path) -> None:
    """All that the locks name, into a directory for each Python; what is p2p's apart from the rest."""
    for lock, below in ((LOCK, place), (P2P_LOCK, place / _P2P)):
        for python in PYTHONS:
            pip = [sys.executable, "-m", "pip", "download", *options(python, lock), "--dest", str(below / python)]
            subprocess.run(pip, check=True)


def needed(place: Path) -> Shelf:
    """Of what was fetched, without what builds the agent and is not needed where it runs."""
    found = {python: dict(_needed(place / python, python)) for python in PYTHONS}
    common = set.intersection(*(set(wheels) for wheels in found.values()))
    shelf = {COMMON: [found[PYTHONS[0]][name] for name in sorted(common)]}
    for python, wheels in found.items():
        shelf[python] = [wheels[name] for name in sorted(wheels.keys() - common)]
    return shelf


def of_p2p(place: Path) -> Shelf:
    return {python: sorted((place / _P2P / python).glob("*.whl")) for python in PYTHONS}


def papers(wheel: Path) -> Message:
    """METADATA. Raises ValueError for a wheel that has to be more than unpacked."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        if any(".data/" in name for name in names):
            raise ValueError(f"{wheel.name} has files that belong elsewhere than into site-packages")
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        return BytesParser().parsebytes(archive.read(metadata))


def _needed(folder: Path, python: str) -> Iterator[tuple[str, Path]]:
    """Names of files, and the files, of what the agent reaches in any number of steps."""
    there = {parse_wheel_filename(path.name)[0]: path for path in folder.glob("*.whl")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    ahead, seen = list(_wanted(project["dependencies"], python)), set[str]()
    while ahead:
        name = ahead.pop()
        if name not in seen:
            seen.add(name)
            wheel = there[canonicalize_name(name)]
            yield wheel.name, wheel
            ahead += _wanted(papers(wheel).get_all("Requires-Dist", []), python)


def _wanted(requirements: Iterable[str], python: str) -> Iterator[str]:
    here = {"python_version": python, "python_full_version": f"{python}.0", "extra": ""}
    for each in map(Requirement, requirements):
        if each.marker is None or each.marker.evaluate({**here, "platform_python_implementation": "CPython"}):
            yield canonicalize_name(each.name)
