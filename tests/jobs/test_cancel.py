"""A job that is cancelled, by a call or because the agent stops."""

from __future__ import annotations

import asyncio
import threading

import pytest

from ogagent.errors import JobFinished, Stopping
from ogagent.jobs.journal import Journal
from ogagent.model.job import Job, State
from ogagent.model.plan import Target
from tests.jobs.two_disks import Jobs, Recorder, Restores, TwoDisks, ended, manager, started, until


async def test_cancelled(jobs: Jobs, restores: Restores, told: Recorder) -> None:
    job = await started(jobs, restores)
    done = await jobs.cancel(job.job_id)
    assert restores.left == ["/dev/sda1"]
    assert (done.state, done.progress) == (State.CANCELLED, 0)
    assert not jobs.busy
    (report,) = told.finals[job.job_id]
    assert (report["res"], report["der"]) == ("2", "000-Cancelled")


async def test_cancelled_twice_at_once(jobs: Jobs, restores: Restores, told: Recorder) -> None:
    job = await started(jobs, restores)
    both = await asyncio.gather(jobs.cancel(job.job_id), jobs.cancel(job.job_id))
    assert [each.state for each in both] == [State.CANCELLED, State.CANCELLED]
    assert len(told.finals[job.job_id]) == 1


async def test_a_second_cancel_waits_for_the_first(jobs: Jobs, restores: Restores) -> None:
    restores.tidy.clear()
    job = await started(jobs, restores)
    first = asyncio.create_task(jobs.cancel(job.job_id))
    await until(lambda: not restores.running)
    second = asyncio.create_task(jobs.cancel(job.job_id))
    await until(lambda: second.get_stack() != [])
    assert restores.left == []
    assert jobs.busy
    restores.tidy.set()
    assert (await first).state is (await second).state is State.CANCELLED
    assert restores.left == ["/dev/sda1"]


async def test_cancel_returns_when_nothing_of_the_job_is_left(jobs: Jobs, restores: Restores) -> None:
    restores.tidy.clear()
    job = await started(jobs, restores)
    cancel = asyncio.create_task(jobs.cancel(job.job_id))
    await until(lambda: not restores.running)
    assert not cancel.done()
    assert jobs.busy
    restores.tidy.set()
    assert (await cancel).state is State.CANCELLED
    assert restores.left == ["/dev/sda1"]


async def test_a_caller_that_goes_away_cancels_all_the_same(jobs: Jobs, restores: Restores) -> None:
    restores.tidy.clear()
    job = await started(jobs, restores)
    cancel = asyncio.create_task(jobs.cancel(job.job_id))
    await until(lambda: not restores.running)
    cancel.cancel()
    restores.tidy.set()
    assert (await ended(jobs, job)).state is State.CANCELLED
    assert not jobs.busy


async def test_cancel_after_the_end(jobs: Jobs, restores: Restores) -> None:
    job = await started(jobs, restores)
    restores.end("/dev/sda1")
    await ended(jobs, job)
    with pytest.raises(JobFinished) as refusal:
        await jobs.cancel(job.job_id)
    assert refusal.value.job_id == job.job_id
    assert jobs.job(job.job_id).state is State.SUCCEEDED


async def test_a_stop_while_a_job_is_being_accepted(machine: TwoDisks, restores: Restores, told: Recorder) -> None:
    class SlowJournal(Journal):
        gate = threading.Event()

        def accept(self, job: Job, target: Target | None) -> None:
            assert self.gate.wait(300)
            super().accept(job, target)

    journal = SlowJournal(":memory:")
    jobs = manager(machine, restores, told, journal)
    starting = asyncio.create_task(jobs.ask())
    await until(lambda: jobs.busy)
    closing = asyncio.create_task(jobs.aclose())
    await asyncio.sleep(0)
    journal.gate.set()
    job = await starting
    await closing
    assert jobs.job(job.job_id).state is State.CANCELLED
    assert not restores.left
    assert not jobs.busy
    assert len(told.finals[job.job_id]) == 1
    journal.close()


async def test_aclose_cancels_and_takes_nothing_new(jobs: Jobs, restores: Restores, told: Recorder) -> None:
    running = [await started(jobs, restores, dsk=number) for number in (1, 2)]
    await jobs.aclose()
    assert not jobs.busy
    assert [jobs.job(job.job_id).state for job in running] == [State.CANCELLED] * 2
    assert [len(told.finals[job.job_id]) for job in running] == [1, 1]
    with pytest.raises(Stopping):
        await jobs.ask()
    await jobs.aclose()
