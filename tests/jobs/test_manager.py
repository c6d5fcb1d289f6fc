"""The jobs, on a machine and with a restore that the test holds in its hands."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import msgspec
import pytest

from ogagent.disk.machine import Device
from ogagent.errors import (
    DiskBusy,
    ImageCorrupt,
    InternalError,
    JobFinished,
    JobNotFound,
    PartitionNotFound,
    Stopping,
    ToolFailed,
)
from ogagent.functions.restore import Engine, RestaurarImagen
from ogagent.jobs.disks import MarkedDisks
from ogagent.jobs.journal import Journal
from ogagent.jobs.manager import JobManager
from ogagent.jobs.numbers import ToldNumbers
from ogagent.jobs.running import now
from ogagent.model.disk import Disk, Inventory, Partition
from ogagent.model.job import Job, Phase, State
from ogagent.model.plan import RestorePlan, Target
from ogagent.model.request import RestoreRequest
from ogagent.ogcore.outbox import Backlog
from ogagent.restore.plan import Rules
from ogagent.restore.progress import Progress
from ogagent.system.metrics import Metrics
from tests.jobs.restoring import restoring

GIB = 1 << 30
RULES = Rules(repository_url="http://{ipr}/{nci}.img", repository_networks=(), cache_required=False)


def disk(number: int) -> Disk:
    node = f"/dev/sd{' ab'[number]}"
    partitions = tuple(
        Partition(partition=part, device=f"{node}{part}", start=part * GIB, size=GIB, code="8300") for part in (1, 2)
    )
    return Disk(
        disk=number, device=node, identity=f"serial:{number}", model="M", size=4 * GIB, sector_size=512,
        table="gpt", partitions=partitions,
    )  # fmt: skip


class TwoDisks:
    def __init__(self) -> None:
        self.broken = False

    async def inventory(self, *, thorough: bool = True) -> Inventory:  # noqa: ARG002 - as Machine has it
        await asyncio.sleep(0)
        if self.broken:
            raise ToolFailed("sfdisk failed")
        return Inventory(disks=(disk(1), disk(2)))

    def open_target(self, target: Target) -> AbstractContextManager[Device]:
        raise AssertionError(f"the jobs open no device themselves, not even {target.device}")


class Restores:
    """Each restore waits for the word of the test: ``end`` with a result, or with an error."""

    def __init__(self) -> None:
        self.running: dict[str, tuple[Progress, asyncio.Future[None]]] = {}
        self.tidy = asyncio.Event()
        self.tidy.set()
        self.left: list[str] = []

    async def __call__(self, plan: RestorePlan, progress: Progress) -> None:
        device = plan.target.device
        word: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.running[device] = (progress, word)
        try:
            await word
        finally:
            del self.running[device]
            await self.tidy.wait()
            self.left.append(device)

    def progress(self, device: str) -> Progress:
        return self.running[device][0]

    def end(self, device: str, error: Exception | None = None) -> None:
        progress, word = self.running[device]
        if error:
            word.set_exception(error)
        else:
            commit(progress)
            word.set_result(None)


def commit(progress: Progress) -> None:
    progress.touch()
    progress.books.committing(b"edges")
    progress.commit()


class Recorder:
    def __init__(self) -> None:
        self.reports: list[tuple[str, Mapping[str, Any]]] = []
        self.finals: dict[str, list[Mapping[str, Any]]] = {}

    def progress(self, job_id: str, report: Mapping[str, Any]) -> None:
        assert job_id not in self.finals, "nothing comes after the final report"
        self.reports.append((job_id, report))

    def conclude(self, job_id: str, report: Mapping[str, Any]) -> Mapping[str, Any]:
        assert job_id not in self.finals
        return {**report, "seq": 1 + len(self.reports)}

    def final(self, job_id: str, report: Mapping[str, Any]) -> None:
        self.finals.setdefault(job_id, []).append(report)

    async def told(self, job_id: str, patience_s: float) -> bool:
        assert patience_s <= 10
        return job_id in self.finals

    def backlog(self) -> Backlog:
        return Backlog()

    async def aclose(self, grace_s: float) -> None: ...


@pytest.fixture
def machine() -> TwoDisks:
    return TwoDisks()


@pytest.fixture
def restores() -> Restores:
    return Restores()


@pytest.fixture
def told() -> Recorder:
    return Recorder()


@pytest.fixture
def journal() -> Iterator[Journal]:
    journal = Journal.in_memory()
    yield journal
    journal.close()


class Jobs(JobManager):
    """With one function, which is asked for in short."""

    function: RestaurarImagen

    async def ask(self, dsk: int = 1, par: int = 1) -> Job:
        return await self.start(self.function.order_of(request(dsk, par)))


def manager(
    machine: TwoDisks, engine: Engine, told: Recorder, journal: Journal, now: Callable[[], datetime] = now
) -> Jobs:
    disks = MarkedDisks(machine, journal)
    numbers = ToldNumbers(journal)
    jobs = Jobs(disks=disks, reporter=told, journal=journal, metrics=Metrics(), numbers=numbers, now=now)
    jobs.function = restoring(machine, RULES, engine)
    return jobs


@pytest.fixture
async def jobs(machine: TwoDisks, restores: Restores, told: Recorder, journal: Journal) -> AsyncIterator[Jobs]:
    jobs = manager(machine, restores, told, journal)
    yield jobs
    restores.tidy.set()
    await jobs.aclose()


def cannot_be_written(journal: Journal) -> None:
    journal._connection.execute("PRAGMA query_only = ON")


def request(dsk: int = 1, par: int = 1) -> RestoreRequest:
    return RestoreRequest(dsk=dsk, par=par, idi="i", nci="image-test", ipr="repository", ids="7", ifs="3")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(300):
        while not condition():  # noqa: ASYNC110 - the conditions are plain values, nobody announces their change
            await asyncio.sleep(0.005)


def device_of(job: Job) -> str:
    assert job.target is not None
    return job.target.device


async def started(jobs: Jobs, restores: Restores, dsk: int = 1, par: int = 1) -> Job:
    job = await jobs.ask(dsk, par)
    await until(lambda: device_of(job) in restores.running)
    return job


async def ended(jobs: Jobs, job: Job) -> Job:
    await until(lambda: jobs.job(job.job_id).final)
    return jobs.job(job.job_id)


def heard_more(told: Recorder, before: int) -> bool:
    return len(told.reports) > before


def later_than(moment: str) -> bool:
    return datetime.now(UTC) - datetime.fromisoformat(moment) >= timedelta(milliseconds=1)


async def incomplete(jobs: Jobs) -> list[str]:
    inventory = await jobs.inventory()
    return [part.device for each in inventory.disks for part in each.partitions if part.incomplete]


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


async def test_cancelled(jobs: Jobs, restores: Restores, told: Recorder) -> None:
    job = await started(jobs, restores)
    done = await jobs.cancel(job.job_id)
    assert restores.left == ["/dev/sda1"]
    assert (done.state, done.progress) == (State.CANCELLED, 0)
    assert not jobs.busy
    (report,) = told.finals[job.job_id]
    assert (report["res"], report["der"]) == ("2", "000-Cancelled")


async def test_a_stop_while_a_job_is_being_accepted(machine: TwoDisks, restores: Restores, told: Recorder) -> None:
    class SlowJournal(Journal):
        gate = threading.Event()

        def accept(self, job: Job, target: Target | None) -> None:
            assert self.gate.wait(20)
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
        progress.touch()
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


async def test_cancelled_twice_at_once(jobs: Jobs, restores: Restores, told: Recorder) -> None:
    job = await started(jobs, restores)
    both = await asyncio.gather(jobs.cancel(job.job_id), jobs.cancel(job.job_id))
    assert [each.state for each in both] == [State.CANCELLED, State.CANCELLED]
    assert len(told.finals[job.job_id]) == 1


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


async def test_a_job_that_nobody_knows(jobs: Jobs) -> None:
    with pytest.raises(JobNotFound):
        await jobs.cancel("RestaurarImagen-00000000")
    with pytest.raises(JobNotFound):
        jobs.job("RestaurarImagen-00000000")


async def test_aclose_cancels_and_takes_nothing_new(jobs: Jobs, restores: Restores, told: Recorder) -> None:
    running = [await started(jobs, restores, dsk=number) for number in (1, 2)]
    await jobs.aclose()
    assert not jobs.busy
    assert [jobs.job(job.job_id).state for job in running] == [State.CANCELLED] * 2
    assert [len(told.finals[job.job_id]) for job in running] == [1, 1]
    with pytest.raises(Stopping):
        await jobs.ask()
    await jobs.aclose()


# --- the incomplete mark, progress, history -----------------------------------------------------------------------


async def test_a_touched_partition_is_incomplete_until_it_is_restored(
    jobs: Jobs, restores: Restores, told: Recorder
) -> None:
    job = await started(jobs, restores, par=2)
    restores.progress("/dev/sda2").touch()
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
    restores.progress("/dev/sda2").touch()
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
    restores.progress("/dev/sda1").touch()
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
