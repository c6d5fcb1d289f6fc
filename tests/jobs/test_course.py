"""What is seen of a job on its course and afterwards: the mark of its partition, progress, history."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from ogagent.errors import ImageCorrupt, JobNotFound
from ogagent.jobs.journal import Journal
from ogagent.model.job import Phase
from ogagent.restore.progress import Progress
from ogagent.restore.request import RestorePlan
from tests.jobs.two_disks import (
    Jobs,
    Recorder,
    Restores,
    TwoDisks,
    commit,
    ended,
    heard_more,
    incomplete,
    manager,
    started,
    until,
)


async def test_a_touched_partition_is_incomplete_until_it_is_restored(
    jobs: Jobs, restores: Restores, told: Recorder
) -> None:
    job = await started(jobs, restores, par=2)
    restores.progress("/dev/sda2").change_begins()
    restores.end("/dev/sda2", ImageCorrupt("x"))
    await ended(jobs, job)
    assert await incomplete(jobs) == ["/dev/sda2"]
    rows = {(row["disk"], row["par"]): row["fsi"] for row in told.finals[job.job_id][0]["cfg"]}
    assert rows["1", "2"] == "INCOMPLETE"
    assert rows["1", "1"] == "EMPTY"

    untouched = await started(jobs, restores, par=2)
    restores.end("/dev/sda2", ImageCorrupt("x"))
    await ended(jobs, untouched)
    assert await incomplete(jobs) == ["/dev/sda2"]

    again = await started(jobs, restores, par=2)
    restores.progress("/dev/sda2").change_begins()
    restores.end("/dev/sda2")
    await ended(jobs, again)
    assert await incomplete(jobs) == []


async def test_a_failure_that_wrote_nothing_marks_nothing(jobs: Jobs, restores: Restores) -> None:
    job = await started(jobs, restores)
    restores.end("/dev/sda1", ImageCorrupt("x"))
    await ended(jobs, job)
    assert await incomplete(jobs) == []


async def test_a_cancelled_job_leaves_an_incomplete_partition(jobs: Jobs, restores: Restores) -> None:
    job = await started(jobs, restores)
    restores.progress("/dev/sda1").change_begins()
    await jobs.cancel(job.job_id)
    assert await incomplete(jobs) == ["/dev/sda1"]


async def test_progress_only_rises_and_100_is_success(jobs: Jobs, restores: Restores, told: Recorder) -> None:
    job = await started(jobs, restores)
    progress = restores.progress("/dev/sda1")
    progress.total = 1000
    for phase, written, read_back in (
        (Phase.FETCHING, 500, 0), (Phase.FETCHING, 100, 0), (Phase.FETCHING, 1000, 0), (Phase.FLUSHING, 1000, 0),
        (Phase.READING_BACK, 1000, 500), (Phase.READING_BACK, 1000, 1000), (Phase.COMMITTING, 1000, 1000),
    ):  # fmt: skip
        progress.enter(phase)
        progress.written, progress.read_back = written, read_back
        await until(partial(heard_more, told, len(told.reports)))
    shown = [report["progress"] for _, report in told.reports]
    assert shown == sorted(shown)
    assert 0 < shown[-1] < 100
    restores.end("/dev/sda1")
    assert (await ended(jobs, job)).progress == 100
    assert {report["nfn"] for _, report in told.reports} == {"RestaurarImagen"}
    assert {report["ids"] for _, report in told.reports} == {"7"}


async def test_the_history_is_bounded(machine: TwoDisks, told: Recorder, journal: Journal) -> None:
    async def instant(plan: RestorePlan, progress: Progress) -> None:
        commit(progress)

    jobs = manager(machine, instant, told, journal)
    made = []
    for _ in range(1005):
        made.append((await jobs.ask()).job_id)
        async with asyncio.timeout(300):
            while jobs.busy:  # noqa: ASYNC110 - as in until, without its pause
                await asyncio.sleep(0)
    assert [job.job_id for job in jobs.jobs()] == made[:4:-1]
    assert [job.job_id for job in journal.history()] == made[5:]
    with pytest.raises(JobNotFound):
        jobs.job(made[0])
    await jobs.aclose()
