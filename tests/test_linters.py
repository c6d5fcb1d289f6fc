"""What linters say is held like any other promise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent

COMMANDS = {
    "ruff check": [BIN / "ruff", "check", "."],
    "ruff format": [BIN / "ruff", "format", "--check", "."],
    "mypy": [BIN / "mypy"],
    "import-linter": [BIN / "lint-imports"],
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())
def test_linter_is_silent(command: list[str | Path]) -> None:
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_no_file_is_longer_than_300_lines() -> None:
    sources = [path for package in ("ogagent", "simulator") for path in (ROOT / package).rglob("*.py")]
    assert sources
    assert not [str(path) for path in sources if len(path.read_text().splitlines()) > 300]


def test_processes_start_in_one_module_only() -> None:
    words = ("create_subprocess", "subprocess.", "os.system", "shell=True")
    sources = [path for path in (ROOT / "ogagent").rglob("*.py") if path != ROOT / "ogagent/system/process.py"]
    assert not [str(path) for path in sources if any(word in path.read_text() for word in words)]
