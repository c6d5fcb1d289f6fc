"""The table of steps at the end of a run."""

from __future__ import annotations

import pytest

from tests.steps import Step, Steps, table


def test_a_step_is_told_also_when_it_fails() -> None:
    taken: list[Step] = []
    with Steps(taken).step("pc1", "starts"):
        pass
    with pytest.raises(AssertionError), Steps(taken).step("pc1", "has its day"):
        raise AssertionError
    assert [step[:2] for step in taken] == [("pc1", "starts"), ("pc1", "has its day: not finished")]


def test_columns_are_aligned() -> None:
    assert table([("pc1", "starts", 61.4), ("model-12", "starts", 7.0)]) == [
        "machine   what    seconds",
        "pc1       starts       61",
        "model-12  starts        7",
    ]
