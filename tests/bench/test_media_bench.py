"""The measurement of what is asked of slow disks, on a partition so small that its seconds mean nothing."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from simulator.bench.media import Result, Row, aims, bench_media

MIB = 1 << 20
SIZE = 48 * MIB

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="mounts and loop devices need root"),
    pytest.mark.xdist_group("bench"),
]


def test_what_is_asked_of_the_disks(tmp_path: Path) -> None:
    bench_media(SIZE, tmp_path / "figures.json")
    result = msgspec.json.decode((tmp_path / "figures.json").read_bytes(), type=Result)
    rows = {(row.medium, row.partition): row for row in result.rows}
    assert list(rows) == [("ssd", "foreign"), ("ssd", "unchanged"), ("hdd", "foreign"), ("hdd", "unchanged")]
    blocks = result.used * 9 // 10  # what partclone adds is not laid down
    for medium in ("ssd", "hdd"):
        first, again = rows[medium, "foreign"], rows[medium, "unchanged"]
        assert min(first.written, first.read_back) > blocks
        assert result.image < first.cached < result.image * 1.1
        assert again.cached == 0
        assert again.read > blocks > again.written
        assert min(first.seeks, again.seeks) > 0
    assert len(result.aims) == 4


def test_what_was_aimed_at() -> None:
    good = Row("ssd", "foreign", 1.0, written=100 * MIB, cached=50 * MIB, read_back=100 * MIB, read=130 * MIB, seeks=1)
    bad = Row("hdd", "foreign", 9.0, written=101 * MIB, cached=50 * MIB, read_back=101 * MIB, read=130 * MIB, seeks=9)
    again = Row("hdd", "unchanged", 9.0, written=4 * MIB, cached=0, read_back=0, read=100 * MIB, seeks=9)
    assert [aim.reached for aim in aims([good, bad, again], 100 * MIB)] == [True, False, True, False]
