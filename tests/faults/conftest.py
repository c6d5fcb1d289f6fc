"""The size of the matrix, and how its cells ended, in the summary of every run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.faults.bench import CANCELLED, WELL, Matrix

_MATRIX: Final = pytest.StashKey[Matrix]()
_WORDS: Final = {WELL: "whole", CANCELLED: "cancelled"}


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_MATRIX] = Matrix()


@pytest.fixture(scope="session")
def matrix(pytestconfig: pytest.Config) -> Iterator[Matrix]:
    yield pytestconfig.stash[_MATRIX]
    pytestconfig.stash[_MATRIX].close()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A process that runs a part of the tests hands over what it has counted."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["matrix"] = session.config.stash[_MATRIX].counted()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    if counted := getattr(node, "workeroutput", {}).get("matrix"):
        node.config.stash[_MATRIX].add(counted)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    matrix = config.stash[_MATRIX]
    if not matrix.cells:
        return
    families = ", ".join(f"{count} {family}" for family, count in sorted(matrix.cells.items()))
    endings = ", ".join(f"{_WORDS.get(number, number)}: {count}" for number, count in sorted(matrix.endings.items()))
    terminalreporter.section("fault matrix")
    terminalreporter.line(f"{matrix.cells.total()} cells ({families})")
    terminalreporter.line(f"ended with {endings}; violations: {len(matrix.violations)}")
    for violation in matrix.violations[:20]:
        terminalreporter.line(f"  {violation}")
