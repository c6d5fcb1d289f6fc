"""What tests have counted: handed over by each process that runs a part of them, told once at the end of the run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests import steps
from tests.steps import Step

Matrix = tuple[dict[str, int], dict[str, int], list[str]]
"""Cells of the fault matrix by family, by how they ended, and those that broke a promise."""

FIGURES: Final = pytest.StashKey[list[str]]()
MATRICES: Final = pytest.StashKey[list[Matrix]]()
TABLES: Final = pytest.StashKey[list[tuple[str, list[str]]]]()
"""Title and lines of what stands for itself."""
STEPS: Final = pytest.StashKey[list[Step]]()
_MOST_VIOLATIONS: Final = 20


def hand_over(config: pytest.Config) -> None:
    """In a process that works for another one."""
    if hasattr(config, "workeroutput"):
        config.workeroutput["counted"] = (
            config.stash.get(FIGURES, []),
            config.stash.get(MATRICES, []),
            config.stash.get(TABLES, []),
            config.stash.get(STEPS, []),
        )


def take_over(config: pytest.Config, output: dict[str, Any]) -> None:
    """From a process that has ended; one that died has counted for nothing."""
    figures, matrices, tables, taken = output.get("counted", ([], [], [], []))
    config.stash.setdefault(FIGURES, []).extend(figures)
    config.stash.setdefault(MATRICES, []).extend(matrices)
    config.stash.setdefault(TABLES, []).extend(tables)
    config.stash.setdefault(STEPS, []).extend(taken)


def sections(config: pytest.Config) -> Iterator[tuple[str, list[str]]]:
    if figures := config.stash.get(FIGURES, []):
        yield "figures", figures
    if matrices := config.stash.get(MATRICES, []):
        yield "fault matrix", list(_lines(matrices))
    yield from config.stash.get(TABLES, [])
    if taken := config.stash.get(STEPS, []):
        yield "machines and packages, step by step", steps.table(taken)


def _lines(matrices: list[Matrix]) -> Iterator[str]:
    cells, endings, violations = Counter[str](), Counter[str](), list[str]()
    for matrix in matrices:
        cells.update(matrix[0])
        endings.update(matrix[1])
        violations += matrix[2]
    families = ", ".join(f"{count} {family}" for family, count in sorted(cells.items()))
    yield f"{cells.total()} cells ({families})"
    words = sorted(endings.items(), key=lambda item: (item[0].isdecimal(), item[0].zfill(3)))
    yield f"ended with {', '.join(f'{word}: {count}' for word, count in words)}; violations: {len(violations)}"
    yield from (f"  {violation}" for violation in violations[:_MOST_VIOLATIONS])
