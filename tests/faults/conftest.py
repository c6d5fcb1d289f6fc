"""The size of the matrix, and how its cells ended, in the summary of every run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from simulator.certificates import Authority
from tests.counted import MATRICES
from tests.faults.bench import CANCELLED, WELL, Matrix
from tests.faults.capturing import Studios

_WORDS: Final = {WELL: "whole", CANCELLED: "cancelled"}


@pytest.fixture(scope="session")
def matrix(pytestconfig: pytest.Config) -> Iterator[Matrix]:
    matrix = Matrix()
    yield matrix
    matrix.close()
    endings = {_WORDS.get(number, str(number)): count for number, count in matrix.endings.items()}
    pytestconfig.stash.setdefault(MATRICES, []).append((dict(matrix.cells), endings, matrix.violations))


@pytest.fixture(scope="session")
def studios(matrix: Matrix, tmp_path_factory: pytest.TempPathFactory) -> Studios:
    return Studios(matrix, Authority(tmp_path_factory.mktemp("ca")))
