"""Machines as data: what their kernels say, file by file."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path

import pytest

MACHINES = Path(__file__).parent / "machines"

Lay = Callable[[str], Path]


@pytest.fixture
def lay(tmp_path: Path) -> Lay:
    """Lays a captured machine down as a tree, and gives its root."""

    def make(name: str) -> Path:
        for place, text in json.loads((MACHINES / f"{name}.json").read_text("utf-8")).items():
            put(tmp_path, place, text)
        return tmp_path

    return make


def put(root: Path, place: str, text: str) -> None:
    file = root / place
    file.parent.mkdir(parents=True, exist_ok=True)
    coded = text.removeprefix("base64:")
    file.write_bytes(text.encode() if coded == text else base64.b64decode(coded))
