"""Files that hold what the real tools make."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Tool = Callable[..., str]
"""Runs a program and gives its standard output; skips the test when there is no such program."""


def _run(program: str, *arguments: str | Path, stdin: str = "") -> str:
    found = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{program} is not installed")
    command = [found, *map(str, arguments)]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def tool() -> Tool:
    return _run


@pytest.fixture
def sparse(tmp_path: Path) -> Callable[[int], Path]:
    """A new file of so many bytes that takes no room."""

    def make(size: int) -> Path:
        path = tmp_path / f"disk{len(list(tmp_path.iterdir()))}.img"
        with path.open("xb") as file:
            file.truncate(size)
        return path

    return make
