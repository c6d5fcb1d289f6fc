"""requirements.lock: what README's production install takes is what pyproject.toml asks for, each file by its hash."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]


def locked() -> dict[str, tuple[str, list[str]]]:
    """Version and hashes by name."""
    text = "\n".join(line for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.startswith("#"))
    entries = re.split(r"^(?=\S)", text, flags=re.MULTILINE)
    found: dict[str, tuple[str, list[str]]] = {}
    for entry in filter(None, map(str.strip, entries)):
        name, version = re.match(r"([A-Za-z0-9._-]+)==(\S+)", entry).groups()  # type: ignore[union-attr]
        found[canonicalize_name(name)] = (version, re.findall(r"--hash=sha256:[0-9a-f]{64}", entry))
    return found


def test_every_dependency_is_locked_to_a_version_that_it_allows() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lock = locked()
    for text in [*project["project"]["dependencies"], *project["build-system"]["requires"]]:
        wanted = Requirement(text)
        version, _ = lock[canonicalize_name(wanted.name)]
        assert wanted.specifier.contains(version), f"{text} is locked to {version}"


def test_every_entry_has_hashes() -> None:
    assert [name for name, (_, hashes) in locked().items() if not hashes] == []


def test_the_readme_installs_from_it() -> None:
    readme = (ROOT / "README.md").read_text()
    assert "pip install --require-hashes -r requirements.lock" in readme
    assert "pip install --no-deps --no-build-isolation ." in readme
