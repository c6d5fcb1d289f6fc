"""A clock that is behind the agent's own making is wrong; nothing else can be said against one."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import ogagent
from ogagent.system.clock import built, doubt

MADE = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.mark.parametrize("now", [MADE, MADE - timedelta(hours=14), datetime(2199, 1, 1, tzinfo=UTC)])
def test_nothing_is_said_against_it(now: datetime) -> None:
    assert doubt(now, MADE) == ""


def test_a_battery_that_is_empty() -> None:
    said = doubt(datetime(2000, 1, 1, tzinfo=UTC), MADE)
    assert "it says 2000-01-01 00:00 UTC, and this agent was made on 2026-11-24" in said
    assert "set the clock" in said


def test_the_newest_file_tells_when_it_was_made(tmp_path: Path) -> None:
    for number, name in enumerate(("a.py", "b.py", "data.bin")):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (0, MADE.timestamp() + number))
    assert built(tmp_path) == MADE + timedelta(seconds=1)
    assert doubt(datetime.now(UTC), built(tmp_path / "nothing")) == ""


def test_this_machine_can_run_this_agent() -> None:
    assert doubt(datetime.now(UTC), built(Path(ogagent.__file__).parent)) == ""
