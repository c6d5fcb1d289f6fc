"""How a job begins, and how it ends when nobody cancels it."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from functools import partial

import msgspec
import pytest

from ogagent.errors import DiskBusy, ImageCorrupt, InternalError, JobNotFound, PartitionNotFound
from ogagent.jobs.journal import Journal
from ogagent.model.job import Job, Phase, State
from ogagent.restore.progress import Progress
from ogagent.restore.request import RestorePlan
from tests.jobs.two_disks import (
    Jobs,
    Recorder,
    Restores,
    TwoDisks,
    cannot_be_written,
    commit,
    ended,
    incomplete,
    later_than,
    manager,
    started,
    until,
)

# --- beginning ----------------------------------------------------------------------------------------------------


async def test_a_job_is_named_and_bound(jobs: Jobs, restores: Restores) -> None:
    job = await started(jobs, restores, dsk=2, par=1)
    assert re.fullmatch(r"RestaurarImagen-[0-9a-f]{8}", job.job_id)
    assert (job.state, job.progress, job.finished, job.error) == (State.RUNNING, 0, None, None)
    assert job.target is not None
    assert (job.target.disk, job.target.partition, job.target.device) == (2, 1, "/dev/sdb1")
    assert job.target.identity == "serial:2"
    assert job.request["nci"] == "image-test"
    assert jobs.busy


async def test_a_refusal_leaves_nothing_behind(jobs: Jobs, told: Recorder) -> None:
    with pytest.raises(PartitionNotFound):
        await jobs.ask(par=9)
    assert not jobs.busy
    assert not jobs.jobs()
    assert not told.finals


async def test_newest_first(jobs: Jobs, restores: Restores) -> None:
    made = []
    for _ in range(3):
        job = await started(jobs, restores)
        restores.end("/dev/sda1")
        made.append((await ended(jobs, job)).job_id)
        await until(partial(later_than, job.created))  # times have milliseconds: the next job shall have another one
    assert [job.job_id for job in jobs.jobs()] == made[::-1]


async def test_a_disk_belongs_to_one_job(jobs: Jobs, restores: Restores) -> None:
    first = await started(jobs, restores, par=1)
    with pytest.raises(DiskBusy) as refusal:
        await jobs.ask(par=2)
    assert refusal.value.job_id == first.job_id
    restores.end("/dev/sda1")
    await ended(jobs, first)
    await started(jobs, restores, par=2)


async def test_of_calls_at_the_same_moment_one_wins(jobs: Jobs, restores: Restores) -> None:
    answers = await asyncio.gather(*(jobs.ask() for _ in range(20)), return_exceptions=True)
    (winner,) = [answer for answer in answers if isinstance(answer, Job)]
    losers = [answer for answer in answers if isinstance(answer, DiskBusy)]
    assert len(losers) == 19
    assert {loser.job_id for loser in losers} == {winner.job_id}


async def test_two_disks_side_by_side(jobs: Jobs, restores: Restores, told: Recorder) -> None:
    first, second = await started(jobs, restores, dsk=1), await started(jobs, restores, dsk=2)
    restores.end("/dev/sdb1")
    assert (await ended(jobs, second)).state is State.SUCCEEDED
    assert jobs.job(first.job_id).state is State.RUNNING
    assert jobs.busy
    restores.end("/dev/sda1", ImageCorrupt("x"))
    assert (await ended(jobs, first)).state is State.FAILED
    assert not jobs.busy
    assert {job_id: len(reports) for job_id, reports in told.finals.items()} == {first.job_id: 1, second.job_id: 1}


# --- ending -------------------------------------------------------------------------------------------------------


async def test_success(jobs: Jobs, restores: Restores, told: Recorder) -> None:
    job = await started(jobs, restores)
    restores.end("/dev/sda1")
    done = await ended(jobs, job)
    assert (done.state, done.progress, done.phase, done.error) == (State.SUCCEEDED, 100, None, None)
    assert done.finished is not None
    assert done.finished >= done.created
    assert not jobs.busy
    (report,) = told.finals[job.job_id]
    cfg = report["cfg"]
    assert {key: report[key] for key in ("nfn", "res", "der", "progress", "ids", "idi", "dsk", "par", "ifs")} == {
        "nfn": "RESPUESTA_RestaurarImagen", "res": "1", "der": "", "progress": 100,
        "ids": "7", "idi": "i", "dsk": "1", "par": "1", "ifs": "3",
    }  # fmt: skip
    assert [(row["disk"], row["par"]) for row in cfg] == [(d, p) for d in "12" for p in "012"]


@pytest.mark.parametrize(
    ("error", "der"),
    [
        (ImageCorrupt("block 7 is damaged"), "033-block 7 is damaged"),
        (RuntimeError("secret details"), "040-an unexpected error, see the agent's log"),
    ],
)
async def test_failure(jobs: Jobs, restores: Restores, told: Recorder, error: Exception, der: str) -> None:
    job = await started(jobs, restores)
    restores.end("/dev/sda1", error)
    done = await ended(jobs, job)
    assert done.state is State.FAILED
    assert done.error is not None
    assert done.error.der == der
    assert done.progress < 100
    assert not jobs.busy
    (report,) = told.finals[job.job_id]
    assert (report["res"], report["der"]) == ("2", der)


async def test_the_report_goes_out_without_the_disks(
    jobs: Jobs, restores: Restores, told: Recorder, machine: TwoDisks
) -> None:
    job = await started(jobs, restores)
    machine.broken = True
    restores.end("/dev/sda1")
    assert (await ended(jobs, job)).state is State.SUCCEEDED
    (report,) = told.finals[job.job_id]
    assert report["res"] == "1"
    assert "cfg" not in report
    assert not jobs.busy


async def test_without_a_journal_nothing_is_accepted(
    jobs: Jobs, restores: Restores, told: Recorder, journal: Journal
) -> None:
    cannot_be_written(journal)
    with pytest.raises(InternalError, match="journal cannot be written: attempt to write a readonly database"):
        await jobs.ask()
    assert not jobs.busy
    assert not jobs.jobs()
    assert not restores.running
    assert not told.finals


async def test_an_end_that_cannot_be_written_is_said_all_the_same(
    machine: TwoDisks, told: Recorder, journal: Journal
) -> None:
    async def restore(plan: RestorePlan, progress: Progress) -> None:
        progress.change_begins()
        progress.books.committing(b"edges")
        cannot_be_written(journal)
        progress.commit()

    jobs = manager(machine, restore, told, journal)
    job = await ended(jobs, await jobs.ask())
    assert job.state is State.SUCCEEDED
    await until(lambda: not jobs.busy)
    assert [report["res"] for report in told.finals[job.job_id]] == ["1"]


@pytest.mark.parametrize("late", [OSError("closing failed"), None])
async def test_what_comes_after_the_commit_does_not_change_the_truth(
    machine: TwoDisks, told: Recorder, journal: Journal, late: Exception | None
) -> None:
    """The disk holds the image: an error, or a cancel, while the device is closed is no failure of the restore."""
    closing = asyncio.Event()

    async def restore(plan: RestorePlan, progress: Progress) -> None:
        commit(progress)
        closing.set()
        if late:
            raise late
        await asyncio.Event().wait()

    jobs = manager(machine, restore, told, journal)
    job = await jobs.ask()
    await closing.wait()
    if late is None:
        await jobs.cancel(job.job_id)
    done = await ended(jobs, job)
    assert (done.state, done.progress, done.error) == (State.SUCCEEDED, 100, None)
    assert [report["res"] for report in told.finals[job.job_id]] == ["1"]
    assert await incomplete(jobs) == []


async def test_a_restore_that_returns_without_a_commit_has_failed(
    machine: TwoDisks, told: Recorder, journal: Journal
) -> None:
    async def restore(plan: RestorePlan, progress: Progress) -> None: ...

    jobs = manager(machine, restore, told, journal)
    done = await ended(jobs, await jobs.ask())
    assert done.state is State.FAILED
    assert done.error is not None
    assert done.error.number == 40


async def test_a_clock_that_jumps_back(machine: TwoDisks, restores: Restores, told: Recorder, journal: Journal) -> None:
    year = 2026

    def clock() -> datetime:
        nonlocal year
        year -= 1
        return datetime(year, 1, 1, tzinfo=UTC)

    jobs = manager(machine, restores, told, journal, now=clock)
    made = []
    for _ in range(3):
        job = await started(jobs, restores)
        restores.progress("/dev/sda1").enter(Phase.FETCHING)
        restores.end("/dev/sda1")
        done = await ended(jobs, job)
        assert min(value for value in msgspec.to_builtins(done.timings).values() if value is not None) >= 0
        made.append(job.job_id)
        await until(lambda: not jobs.busy)
    assert [job.job_id for job in jobs.jobs()] == made[::-1]
    assert [job.job_id for job in journal.history()] == made
    assert [job_id for job_id, _ in journal.undelivered()] == made


async def test_a_job_that_nobody_knows(jobs: Jobs) -> None:
    with pytest.raises(JobNotFound):
        await jobs.cancel("RestaurarImagen-00000000")
    with pytest.raises(JobNotFound):
        jobs.job("RestaurarImagen-00000000")
