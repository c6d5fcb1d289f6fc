"""The journal on a real file: what was written is there after the process that wrote it has gone."""

from __future__ import annotations

import logging
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from ogagent.errors import InternalError, SettingsError
from ogagent.jobs.journal import MOST_JOBS, OLDEST, Journal
from ogagent.jobs.steps import IllegalStep, Step
from ogagent.model.job import ByteCounts, Job, JobTarget, State
from ogagent.model.plan import Target

IDENTITY = "wwn:0x5000c500a1b2c3d4;size:500107862016"
TARGET = Target(
    disk=1, partition=2, device="/dev/sda2", disk_device="/dev/sda", identity=IDENTITY,
    start=1 << 20, size=1 << 30, sector_size=512,
)  # fmt: skip
PLACE = (IDENTITY, 2)
REPORT = {"res": "1", "seq": 7, "event_id": "e"}
NOW = datetime(2026, 11, 24, tzinfo=UTC)


def job(number: int, state: State = State.RUNNING, finished: str | None = None) -> Job:
    return Job(
        job_id=f"RestaurarImagen-{number:08x}", function="RestaurarImagen", state=state, phase=None, progress=0,
        bytes=ByteCounts(), rate=0, eta_s=None, retries=0, request={"ids": "7"},
        target=JobTarget(disk=1, partition=2, device="/dev/sda2", identity=IDENTITY),
        created="2026-11-24T10:00:00.000Z", finished=finished,
    )  # fmt: skip


def ended(number: int, state: State = State.FAILED, finished: str = "2026-11-24T10:00:01.000Z") -> Job:
    return job(number, state, finished)


def reach(journal: Journal, number: int, *steps: Step) -> str:
    journal.accept(job(number), TARGET)
    job_id = job(number).job_id
    for step in steps:
        journal.advance(job_id, step, b"edges" if step is Step.COMMITTING else None)
    return job_id


def steps_of(journal: Journal, job_id: str) -> list[str]:
    query = "SELECT steps.step FROM steps JOIN jobs USING (number) WHERE job_id = ?"
    return [step for (step,) in journal._rows(query, (job_id,))]


# --- surviving ----------------------------------------------------------------------------------------------------


def test_every_step_survives_the_process(tmp_path: Path) -> None:
    script = """
import os, pathlib, sys
from ogagent.jobs.steps import Step
sys.path.insert(0, sys.argv[2])
from test_journal import Journal, REPORT, State, ended, reach
journal = Journal.open(pathlib.Path(sys.argv[1]))
reach(journal, 1)
reach(journal, 2, Step.TOUCHED)
reach(journal, 3, Step.TOUCHED, Step.COMMITTING)
reach(journal, 4, Step.TOUCHED, Step.COMMITTING, Step.COMMITTED)
journal.sending(reach(journal, 5), 17, 41)
journal.advance(reach(journal, 6), Step.TOUCHED)
journal.end(ended(6, State.FAILED), REPORT)
os.kill(os.getpid(), 9)
"""
    command = [sys.executable, "-c", script, str(tmp_path), str(Path(__file__).parent)]
    assert subprocess.run(command, check=False).returncode == -9
    journal = Journal.open(tmp_path)
    left = journal.unended()
    assert [each.step for each in left] == ["accepted", "touched", "committing", "committed", "accepted"]
    assert [each.note for each in left] == [None, None, b"edges", None, None]
    assert [(each.seq, each.progress) for each in left] == [(0, 0)] * 4 + [(17, 41)]
    assert {each.target for each in left} == {TARGET}
    assert left[0].job == job(1)
    assert journal.history() == [ended(6)]
    assert journal.undelivered() == [(ended(6).job_id, REPORT)]
    assert set(journal.incomplete()) == {PLACE}
    journal.close()


def test_the_end_and_its_report_are_written_together_or_not_at_all(journal: Journal) -> None:
    reach(journal, 1)
    with pytest.raises(TypeError):
        journal.end(ended(1), {"res": object()})
    assert [each.step for each in journal.unended()] == ["accepted"]
    assert journal.history() == []
    journal.end(ended(1), REPORT)
    assert journal.undelivered() == [(ended(1).job_id, REPORT)]


# --- steps --------------------------------------------------------------------------------------------------------


def test_a_partition_is_incomplete_from_the_first_write_to_the_commit(journal: Journal) -> None:
    job_id = reach(journal, 1)
    assert journal.incomplete() == {}
    journal.advance(job_id, Step.TOUCHED)
    assert set(journal.incomplete()) == {PLACE}
    journal.advance(job_id, Step.COMMITTING, b"edges")
    assert set(journal.incomplete()) == {PLACE}
    journal.advance(job_id, Step.COMMITTED)
    assert journal.incomplete() == {}
    journal.end(ended(1, State.SUCCEEDED), REPORT)
    assert steps_of(journal, job_id) == ["accepted", "committed", "committing", "succeeded", "touched"]


def test_a_success_after_a_lost_commit_completes_the_partition_too(journal: Journal) -> None:
    reach(journal, 1, Step.TOUCHED, Step.COMMITTING)
    journal.end(ended(1, State.SUCCEEDED), REPORT)
    assert journal.incomplete() == {}


@pytest.mark.parametrize(
    "act",
    [
        lambda journal, job_id: journal.advance(job_id, Step.ACCEPTED),
        lambda journal, job_id: journal.advance(job_id, Step.COMMITTING, b""),
        lambda journal, job_id: journal.advance(job_id, Step.COMMITTED),
        lambda journal, _: journal.end(ended(1, State.SUCCEEDED), REPORT),
        lambda journal, _: journal.advance("RestaurarImagen-ffffffff", Step.TOUCHED),
    ],
)
def test_an_illegal_step_changes_nothing(journal: Journal, act: Callable[[Journal, str], None]) -> None:
    job_id = reach(journal, 1)
    with pytest.raises(IllegalStep):
        act(journal, job_id)
    assert [each.step for each in journal.unended()] == ["accepted"]
    assert journal.incomplete() == {}


# --- reports ------------------------------------------------------------------------------------------------------


def test_a_report_waits_until_it_is_taken_or_refused(journal: Journal) -> None:
    for number in (1, 2, 3, 4):
        reach(journal, number)
        journal.end(ended(number), None if number == 4 else {**REPORT, "seq": number})
    assert [report["seq"] for _, report in journal.undelivered()] == [1, 2, 3]
    journal.delivered(ended(2).job_id)
    journal.refused(ended(1).job_id, "404 'no'")
    assert [report["seq"] for _, report in journal.undelivered()] == [3]
    ((kept, reason),) = journal._rows("SELECT report, refusal FROM jobs WHERE refusal IS NOT NULL")
    assert (b'"seq":1' in kept, reason) == (True, "404 'no'")


# --- bounds -------------------------------------------------------------------------------------------------------


def test_the_history_is_bounded(caplog: pytest.LogCaptureFixture) -> None:
    journal = Journal(":memory:", now=lambda: NOW)
    reach(journal, 0)
    for number in range(1, MOST_JOBS + 10):
        reach(journal, number)
        journal.end(ended(number), REPORT if number == 2 else None)
    assert journal.unended()[0].job == job(0), "what runs is never forgotten"
    assert [each.job_id for each in journal.history()] == [ended(n).job_id for n in range(10, MOST_JOBS + 10)]
    (lost,) = [entry for entry in caplog.records if entry.levelno == logging.ERROR]
    assert getattr(lost, "job_id", "") == ended(2).job_id
    assert journal._rows("SELECT count(*) FROM steps") == [(2 * MOST_JOBS + 1,)]
    journal.close()


def test_what_is_old_is_forgotten_unless_its_report_waits() -> None:
    journal = Journal(":memory:", now=lambda: NOW)
    for number, age in enumerate((OLDEST + timedelta(seconds=1), OLDEST - timedelta(seconds=1), 50 * OLDEST)):
        reach(journal, number)
        finished = (NOW - age).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        journal.end(ended(number, finished=finished), REPORT if number == 2 else None)
    reach(journal, 3)
    assert [each.job_id for each in journal.history()] == [ended(1).job_id, ended(2).job_id]
    journal.delivered(ended(2).job_id)
    reach(journal, 4)
    assert [each.job_id for each in journal.history()] == [ended(1).job_id]
    journal.close()


# --- other files than ours ----------------------------------------------------------------------------------------


def test_a_journal_of_the_first_version_is_migrated(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "journal.sqlite", isolation_level=None)
    old.execute("PRAGMA journal_mode = WAL")
    old.execute(
        "CREATE TABLE incomplete (identity TEXT NOT NULL, partition INTEGER NOT NULL, "
        "PRIMARY KEY (identity, partition)) WITHOUT ROWID"
    )
    old.execute("PRAGMA user_version = 1")
    old.execute("INSERT INTO incomplete VALUES (?, ?)", PLACE)
    old.close()
    for _ in range(2):
        journal = Journal.open(tmp_path)
        assert set(journal.incomplete()) == {PLACE}
        assert journal._rows("PRAGMA user_version") == [(6,)]
        journal.close()
    assert not (tmp_path / "journal.damaged").exists()


def test_what_a_restore_of_an_older_agent_has_left_is_found(tmp_path: Path) -> None:
    journal = Journal.open(tmp_path)
    job_id = reach(journal, 1, Step.TOUCHED)
    journal.advance(job_id, Step.COMMITTING, b"edges")
    journal.close()
    old = sqlite3.connect(tmp_path / "journal.sqlite", isolation_level=None)
    old.execute("ALTER TABLE jobs RENAME COLUMN note TO edges")
    old.execute("DROP TABLE told")
    old.execute("ALTER TABLE incomplete DROP COLUMN whole")
    old.execute("PRAGMA user_version = 3")
    old.close()
    journal = Journal.open(tmp_path)
    assert [(left.job.job_id, left.note) for left in journal.unended()] == [(job_id, b"edges")]
    journal.close()


def test_work_without_a_target_is_done_at_once(journal: Journal) -> None:
    journal.accept(job(1), None)
    journal.end(ended(1, State.SUCCEEDED), REPORT)
    assert [job.state for job in journal.history()] == [State.SUCCEEDED]
    assert journal.incomplete() == {}


def garbage(file: Path) -> None:
    file.write_bytes(b"no database " * 1000)


def damaged_pages(file: Path) -> None:
    journal = Journal(str(file))
    for number in range(100):
        reach(journal, number)
        journal.end(ended(number), REPORT)
    journal.close()
    pages = bytearray(file.read_bytes())
    pages[8192:40960] = bytes(32768)
    file.write_bytes(pages)


def with_text_that_is_none(file: Path) -> None:
    journal = Journal(str(file))
    reach(journal, 1)
    journal._connection.execute("UPDATE jobs SET step = CAST(? AS TEXT)", (b"\xff\xfe",))
    journal.close()


@pytest.mark.parametrize("damage", [garbage, damaged_pages, with_text_that_is_none])
def test_a_journal_that_cannot_be_read_is_set_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None]
) -> None:
    file = tmp_path / "journal.sqlite"
    damage(file)
    before = file.read_bytes()
    with caplog.at_level(logging.WARNING):
        journal = Journal.open(tmp_path)
    assert "set aside" in caplog.text
    assert (tmp_path / "journal.damaged").read_bytes() == before
    reach(journal, 1, Step.TOUCHED)
    assert set(journal.incomplete()) == {PLACE}
    assert len(journal.unended()) == 1
    journal.close()


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith("-shm")}


@contextmanager
def nothing_can_be_written() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_is_full_is_no_damage(tmp_path: Path) -> None:
    """The journal is whole, and is used as soon as there is room again; until then no agent starts."""
    killed = Journal.open(tmp_path / "killed")
    reach(killed, 1)
    for rest in ("", "-wal"):
        shutil.copy(tmp_path / "killed" / f"journal.sqlite{rest}", tmp_path)
    killed.close()
    shutil.rmtree(tmp_path / "killed")
    before = files_in(tmp_path)
    for _ in range(2):
        with nothing_can_be_written(), pytest.raises(InternalError, match="the journal cannot be used: disk I/O error"):
            Journal.open(tmp_path)
        assert files_in(tmp_path) == before
    journal = Journal.open(tmp_path)
    assert [each.job for each in journal.unended()] == [job(1)]
    journal.close()


def test_what_is_set_aside_keeps_what_was_written_last_and_is_not_overwritten(tmp_path: Path) -> None:
    """The first one stays, and of those that come later the newest."""
    Journal.open(tmp_path).close()
    aside = []
    for number in range(3):
        somebody = Journal.open(tmp_path)  # who looks at it, so that SQLite leaves its WAL where it is
        reach(somebody, number)
        garbage(tmp_path / "journal.sqlite")
        aside.append((tmp_path / "journal.sqlite-wal").read_bytes())
        Journal.open(tmp_path).close()
        somebody.close()
    found = files_in(tmp_path)
    assert found.keys() == {
        "journal.sqlite",
        "journal.damaged", "journal.damaged-wal", "journal.damaged-again", "journal.damaged-again-wal",
    }  # fmt: skip
    assert [found["journal.damaged-wal"], found["journal.damaged-again-wal"]] == [aside[0], aside[2]]


def test_a_journal_of_a_newer_agent_is_refused_and_stays(tmp_path: Path) -> None:
    file = tmp_path / "journal.sqlite"
    Journal(str(file)).close()
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = file.read_bytes()
    with pytest.raises(SettingsError, match="was made by a newer agent: its version is 99, this agent knows 6"):
        Journal.open(tmp_path)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["journal.sqlite"]


def test_a_job_keeps_its_values(journal: Journal) -> None:
    whole = replace(job(1), bytes=ByteCounts(image=5, received=4, total=None), created="x")
    journal.accept(whole, TARGET)
    assert journal.unended()[0].job == whole
