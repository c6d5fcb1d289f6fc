"""What is brought for a Python that no root here has, Ubuntu 24.04's 3.12 among them, suits it all the same."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from packaging import tags
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name, parse_wheel_filename

from systemd.packaging.wheels import COMMON, LOCKS, PYTHONS, papers, shelf

GLIBC: Final = 34
"""2.34 is the oldest that the package says it runs on."""
PLATFORMS: Final = (
    *(f"manylinux_2_{minor}_x86_64" for minor in range(5, GLIBC + 1)),
    *("manylinux1_x86_64", "manylinux2010_x86_64", "manylinux2014_x86_64"),
)


def brought(place: Path, python: str) -> list[Path]:
    return [file for name in LOCKS for part in (COMMON, python) for file in shelf(place, name).get(part, ())]


def tags_of(python: str) -> set[tags.Tag]:
    version = tuple(map(int, python.split(".")))
    own = tags.cpython_tags(version, platforms=PLATFORMS)
    return {*own, *tags.compatible_tags(version, f"cp{python.replace('.', '')}", PLATFORMS)}


def needs(wheel: Path, python: str) -> Iterator[Requirement]:
    here = {"python_version": python, "python_full_version": f"{python}.0", "extra": ""}
    for each in map(Requirement, papers(wheel).get_all("Requires-Dist", [])):
        if each.marker is None or each.marker.evaluate({**here, "platform_python_implementation": "CPython"}):
            yield each


def newest_glibc(wheel: Path) -> int:
    """The minor version that its libraries ask for."""
    with zipfile.ZipFile(wheel) as archive:
        code = b"".join(archive.read(name) for name in archive.namelist() if ".so" in Path(name).suffixes)
    return max((int(minor) for minor in re.findall(rb"\0GLIBC_2\.(\d+)", code)), default=0)


@pytest.mark.parametrize("python", PYTHONS)
def test_all_that_is_brought_suits_it(wheels: Path, python: str) -> None:
    found = {parse_wheel_filename(file.name)[0]: file for file in brought(wheels, python)}
    assert {"aiohttp", "cryptography", "jinja2", "libtorrent"} <= found.keys()
    fitting = tags_of(python)
    for name, file in found.items():
        assert parse_wheel_filename(file.name)[3] & fitting, file.name
        assert SpecifierSet(papers(file)["Requires-Python"] or "").contains(f"{python}.0"), file.name
        assert newest_glibc(file) <= GLIBC, file.name
        for need in needs(file, python):
            other = found[canonicalize_name(need.name)]
            assert need.specifier.contains(parse_wheel_filename(other.name)[1]), f"{name} needs {need}"
