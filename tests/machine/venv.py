"""A virtual environment in the root of a system: it has the Python packages that the agent needs, and no agent."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from tests.machine import debian
from tests.machine.tools import run

ROOT: Final = Path(__file__).parents[2]
LOCK: Final = ROOT / "requirements.lock"
PLACE: Final = "opt/ogagent/venv"
_PLATFORMS: Final = (
    "manylinux2014_x86_64", "manylinux_2_17_x86_64", "manylinux_2_28_x86_64", "manylinux_2_34_x86_64",
)  # fmt: skip


def make(root: Path) -> None:
    debian.inside(root, "python3", "-m", "venv", "--without-pip", f"/{PLACE}")
    _install_wheels(site(root))
    compile_all(root)


def site(root: Path) -> Path:
    """Where its packages lie."""
    [found] = (root / PLACE).glob("lib/python3.*/site-packages")
    return found


def compile_all(root: Path) -> None:
    """What is compiled already stays."""
    debian.inside(root, f"/{PLACE}/bin/python3", "-m", "compileall", "-q", f"/{site(root).relative_to(root)}")


def _install_wheels(site: Path) -> None:
    """By the pip of the machine that runs the tests, for the Python of the root."""
    command = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--no-compile"]
    command += ["--require-hashes", "-r", f"{LOCK}", "--target", f"{site}", "--only-binary=:all:"]
    version = site.parent.name.removeprefix("python")
    command += ["--python-version", version, *(f"--platform={tag}" for tag in _PLATFORMS)]
    run(*command)
