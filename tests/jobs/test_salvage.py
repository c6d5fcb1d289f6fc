"""Rows of the journal that cannot be read cost themselves, and not the file."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ogagent.functions.table import KINDS
from ogagent.jobs.disks import MarkedDisks
from ogagent.jobs.journal import Journal
from ogagent.jobs.recovery import settle_unended
from ogagent.jobs.running import JournalBooks
from ogagent.jobs.steps import Step
from ogagent.model.disk import Inventory
from ogagent.model.job import Job, State
from ogagent.model.report import final_report
from tests.jobs.restoring import KIND, recoveries
from tests.jobs.test_journal import PLACE, REPORT, ended, job, reach
from tests.jobs.test_marks import Shown

NEWER: dict[str, Any] = msgspec.to_builtins(job(1)) | {
    "phase": "polishing", "bytes": "a lot", "request": {"ids": "7", "idi": "i", "dsk": "1", "par": "2", "ifs": "3"},
}  # fmt: skip
UNREADABLE = (b"", b"{", b"\xff\xfe", b"[]", b'"x"', b"[" * 100_000, b'{"job_id": 5}', msgspec.json.encode(NEWER))


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal.open(tmp_path)
    yield journal
    journal.close()


def spoil(journal: Journal, job_id: str, **columns: object) -> None:
    for name, value in columns.items():
        journal._connection.execute(f"UPDATE jobs SET {name} = ? WHERE job_id = ?", (value, job_id))


async def settled(journal: Journal) -> dict[str, tuple[Job, dict[str, Any]]]:
    """The jobs that were left running, and what is sent of each."""
    jobs = await settle_unended(journal, MarkedDisks(Shown(), journal), KINDS, recoveries(Shown()), report=True)
    reports = dict(journal.undelivered())
    assert journal.unended() == []
    return {each.job_id: (each, dict(reports[each.job_id])) for each in jobs}


@pytest.mark.parametrize("data", UNREADABLE, ids=range(len(UNREADABLE)))
async def test_a_job_that_has_ended(
    tmp_path: Path, journal: Journal, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    for number in (1, 2, 3):
        reach(journal, number, Step.TOUCHED)
        journal.end(ended(number), {**REPORT, "seq": number})
    spoil(journal, ended(2).job_id, job=data)
    journal.close()
    again = Journal.open(tmp_path)
    assert not (tmp_path / "journal.damaged").exists()
    assert [each.job_id for each in again.history()] == [ended(1).job_id, ended(3).job_id]
    assert [report["seq"] for _, report in again.undelivered()] == [1, 2, 3], "its report can be read"
    assert set(again.incomplete()) == {PLACE}
    assert [getattr(entry, "job_id", "") for entry in caplog.records if entry.levelno == logging.ERROR] == [
        ended(2).job_id
    ]
    again.close()


@pytest.mark.parametrize("data", UNREADABLE, ids=range(len(UNREADABLE)))
@pytest.mark.parametrize("step", [Step.ACCEPTED, Step.TOUCHED])
async def test_a_job_that_had_not_ended_is_reported_all_the_same(
    tmp_path: Path, journal: Journal, data: bytes, step: Step
) -> None:
    first = reach(journal, 1, *[step][: step is not Step.ACCEPTED])
    journal.sending(first, 17, 41)
    second = reach(journal, 2)
    spoil(journal, first, job=data)
    journal.close()
    again = Journal.open(tmp_path)
    found = await settled(again)
    assert set(found) == {first, second}
    shown, report = found[first]
    assert shown.target is not None
    assert (shown.state, shown.function, shown.target.partition, shown.progress) == (
        State.INTERRUPTED, "RestaurarImagen", 2, 41,
    )  # fmt: skip
    assert (report["res"], report["der"][:4], report["seq"]) == ("2", "093-", 18)
    assert [each.job_id for each in again.history()] == [first, second], "now it can be read"
    again.close()


async def test_what_ogcore_knows_it_by_is_said_as_far_as_it_is_there(journal: Journal) -> None:
    job_id = reach(journal, 1)
    spoil(journal, job_id, job=msgspec.json.encode(NEWER))
    (_, report) = (await settled(journal))[job_id]
    assert [report[name] for name in ("ids", "idi", "dsk", "par", "ifs")] == ["7", "i", "1", "2", "3"]
    whole = msgspec.convert(NEWER | {"phase": None, "bytes": {}}, Job)
    assert report["event_id"] == final_report(whole, KIND, Inventory(), {})["event_id"]


@pytest.mark.parametrize(
    ("step", "state"),
    [
        (Step.TOUCHED, State.INTERRUPTED),
        (Step.COMMITTING, State.INTERRUPTED),
        (Step.COMMITTED, State.SUCCEEDED),
    ],
)
async def test_a_target_that_cannot_be_read(journal: Journal, step: Step, state: State) -> None:
    """Nothing is opened; what was committed is on the disk all the same."""
    steps = [Step.TOUCHED, Step.COMMITTING, Step.COMMITTED]
    job_id = reach(journal, 1, *steps[: steps.index(step) + 1])
    spoil(journal, job_id, target=b'{"disk": "first"}')
    ((shown, report),) = (await settled(journal)).values()
    assert (shown.state, report["res"]) == (state, "1" if state is State.SUCCEEDED else "2")


async def test_nothing_of_it_can_be_read(journal: Journal) -> None:
    job_id = reach(journal, 1)
    spoil(journal, job_id, job=b"", target=b"", step="levitating")
    ((shown, report),) = (await settled(journal)).values()
    assert (shown.state, shown.target) == (State.INTERRUPTED, None)
    assert [report[name] for name in ("ids", "idi", "dsk", "par", "ifs")] == [""] * 5


async def test_a_report_that_cannot_be_read_does_not_keep_the_others(journal: Journal) -> None:
    for number in (1, 2):
        reach(journal, number)
        journal.end(ended(number), REPORT)
    spoil(journal, ended(1).job_id, report=b"{")
    assert journal.undelivered() == [(ended(2).job_id, REPORT)]
    found = journal.ended(ended(1).job_id)
    assert found is not None
    assert found.report is None


# --- books ---------------------------------------------------------------------------------------------------------


def books_closed(journal: Journal, job_id: str) -> None:
    journal.close()


def ended_by_another(journal: Journal, job_id: str) -> None:
    journal.end(ended(1, State.INTERRUPTED), REPORT)


@pytest.mark.parametrize("what", [books_closed, ended_by_another])
def test_no_book_can_make_a_commit_untrue(journal: Journal, what: Any, caplog: pytest.LogCaptureFixture) -> None:
    job_id = reach(journal, 1, Step.TOUCHED, Step.COMMITTING)
    what(journal, job_id)
    JournalBooks(journal, job_id).committed()
    (entry,) = [entry for entry in caplog.records if entry.levelno == logging.ERROR]
    assert getattr(entry, "job_id", "") == job_id
