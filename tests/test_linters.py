"""What linters say is held like any other promise."""

from __future__ import annotations

import ast
import re
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
ROOMS_OF_JOBS = ("restore", "source", "capture", "partition", "finish", "resize", "functions")
WITHOUT_ENCODING = re.compile(
    r"""\.read_text\((\)|errors) | (\.write_text\(|open\(([^)]*,\ )?"[rwax]t?"|\.open\(\)) (?!.*encoding=)""",
    re.VERBOSE,
)


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())
def test_linter_is_silent(command: list[str | Path]) -> None:
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(("package", "most"), [("ogagent", 300), ("simulator", 300), ("tests", 350)])
def test_no_file_is_longer_than_it_may_be(package: str, most: int) -> None:
    sources = list((ROOT / package).rglob("*.py"))
    assert sources
    assert not [str(path) for path in sources if len(path.read_text("utf-8").splitlines()) > most]


def test_text_is_read_and_written_in_an_encoding_of_our_choice() -> None:
    """Not in that of the locale of whoever starts it."""
    sources = [path for package in ("ogagent", "simulator") for path in (ROOT / package).rglob("*.py")]
    lines = [(path, line) for path in sources for line in path.read_text("utf-8").splitlines()]
    assert [f"{path}: {line.strip()}" for path, line in lines if WITHOUT_ENCODING.search(line)] == []


def test_processes_start_in_one_module_only() -> None:
    words = ("create_subprocess", "subprocess.", "os.system", "shell=True")
    sources = [path for path in (ROOT / "ogagent").rglob("*.py") if path != ROOT / "ogagent/system/process.py"]
    assert not [str(path) for path in sources if any(word in path.read_text() for word in words)]


def test_no_thread_of_a_job_is_left_behind() -> None:
    """A cancel waits for those that ``in_thread`` has started, or that run in an executor of the job's own; ``aside``
    leaves nobody behind but whom the kernel keeps, and that one has all it needs.
    """
    sources = [path for room in ROOMS_OF_JOBS for path in (ROOT / "ogagent" / room).glob("*.py")]
    assert not [str(path) for path in sources if starts_loose_threads(path.read_text())]


def starts_loose_threads(source: str) -> bool:
    for node in ast.walk(ast.parse(source)):
        if "to_thread" in {getattr(node, "attr", ""), getattr(node, "id", "")}:
            return True
        called = node.func if isinstance(node, ast.Call) else None
        if isinstance(called, ast.Attribute) and called.attr == "run_in_executor":
            executor = node.args[0] if isinstance(node, ast.Call) and node.args else None
            if executor is None or (isinstance(executor, ast.Constant) and executor.value is None):
                return True
    return False


@pytest.mark.parametrize(
    ("source", "loose"),
    [
        ("await asyncio.to_thread(work)", True),
        ("from asyncio import to_thread\nto_thread(work)", True),
        ("partial(asyncio.to_thread, work)", True),
        ("loop.run_in_executor(None, work)", True),
        ("loop.run_in_executor(executor=None, func=work)", True),
        ("loop.run_in_executor(executor, work)", False),
        ("await interruptible(None, stop, work)", False),
    ],
)
def test_what_a_loose_thread_is(source: str, loose: bool) -> None:
    assert starts_loose_threads(source) is loose
