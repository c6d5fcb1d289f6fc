"""Pipelines that are measured: their result, their cost, and what becomes of one that fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.errors import ToolFailed, ToolMissing
from simulator.processes import measure


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(bytes(range(256)) * 4096)
    used = measure([["cat", source], ["gzip", "-1"], ["gzip", "-d"]], stdout=target)
    assert target.read_bytes() == source.read_bytes()
    assert used.wall_s > 0
    assert used.cpu_s > 0
    assert used.peak_rss > 1 << 20
    assert used.said == ""


def test_the_end_of_what_it_said() -> None:
    assert measure([["seq", "10000"]]).said.endswith("\n9999\n10000")


@pytest.mark.parametrize(
    "pipeline",
    [[["cat", "/nowhere"], ["cat"]], [["echo"], ["cat", "/nowhere"]], [["echo"], ["cat", "/nowhere"], ["cat"]]],
)
def test_one_that_fails_fails_all(pipeline: list[list[str | Path]]) -> None:
    with pytest.raises(ToolFailed, match=r"cat failed with status 1: .*/nowhere"):
        measure(pipeline)


def test_a_program_that_is_missing() -> None:
    with pytest.raises(ToolMissing, match="no-such-program"):
        measure([["yes"], ["no-such-program"]])


def test_one_that_never_ends_is_killed() -> None:
    with pytest.raises(ToolFailed, match="status -9"):
        measure([["sleep", "1000"]], timeout_s=0.1)
