"""The measurement of deployments onto what is there already, on a partition so small that its seconds mean nothing."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from simulator.bench.redeploy import Result, bench_redeploy

SIZE = 48 << 20

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="mounts and loop devices need root"),
    pytest.mark.xdist_group("bench"),
]


def test_what_is_spared(tmp_path: Path) -> None:
    bench_redeploy(SIZE, tmp_path / "figures.json")
    result = msgspec.json.decode((tmp_path / "figures.json").read_bytes(), type=Result)
    rows = {(row.state, row.origin): row for row in result.rows}
    assert len(rows) == 12
    assert all(row.written + row.reused == result.rows[0].written for row in result.rows if "1 %" not in row.state)
    assert rows["unchanged", "indexed"].written == 0
    assert 0 < rows["used once", "indexed"].written < result.used
    assert rows["killed half-way", "indexed"].reused > result.used // 4
    assert rows["foreign", "indexed"].network > result.image
    assert rows["foreign", "indexed into CACHE"].network > result.image
    assert max(rows[state, "CACHE"].network for state, origin in rows if origin == "CACHE") < result.image // 50
    assert len(result.aims) == 7
