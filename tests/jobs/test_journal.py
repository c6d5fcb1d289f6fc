"""The journal on a real file: what was marked is there after the process that marked it has gone."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from ogagent.jobs.journal import Journal

PLACE = ("wwn:0x5000c500a1b2c3d4;size:500107862016", 2)


def test_a_mark_survives_the_process(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, sys; from ogagent.jobs.journal import Journal;"
        f"Journal.open(pathlib.Path(sys.argv[1])).mark_incomplete({PLACE!r}); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False).returncode == -9
    journal = Journal.open(tmp_path)
    assert journal.incomplete() == {PLACE}
    journal.mark_complete(PLACE)
    journal.close()
    again = Journal.open(tmp_path)
    assert again.incomplete() == frozenset()
    again.close()


def test_marking_twice_is_marking_once() -> None:
    journal = Journal.in_memory()
    journal.mark_incomplete(PLACE)
    journal.mark_incomplete(PLACE)
    journal.mark_incomplete((PLACE[0], 3))
    assert journal.incomplete() == {PLACE, (PLACE[0], 3)}
    journal.mark_complete(PLACE)
    assert journal.incomplete() == {(PLACE[0], 3)}
    journal.close()


def test_a_damaged_journal_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "journal.sqlite").write_bytes(b"no database " * 1000)
    with caplog.at_level(logging.WARNING):
        journal = Journal.open(tmp_path)
    assert "set aside" in caplog.text
    assert (tmp_path / "journal.damaged").read_bytes().startswith(b"no database")
    journal.mark_incomplete(PLACE)
    assert journal.incomplete() == {PLACE}
    journal.close()
