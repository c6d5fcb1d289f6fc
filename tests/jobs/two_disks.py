"""A job manager on a machine with two disks, and with restores that the test holds in its hands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

from ogagent.disk.machine import Device, Machine
from ogagent.errors import ToolFailed
from ogagent.functions.restore import Engine, RestaurarImagen
from ogagent.jobs.copies import Copies
from ogagent.jobs.disks import MarkedDisks
from ogagent.jobs.journal import Journal
from ogagent.jobs.manager import JobManager
from ogagent.jobs.numbers import ToldNumbers
from ogagent.jobs.running import now
from ogagent.model.disk import Disk, Inventory, Partition
from ogagent.model.job import Job
from ogagent.model.plan import Target
from ogagent.ogcore.outbox import Backlog, Reporter
from ogagent.restore.progress import Progress
from ogagent.restore.request import RestorePlan, RestoreRequest
from ogagent.system.metrics import Metrics
from tests.jobs.restoring import RULES, restoring

GIB = 1 << 30


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
    progress.change_begins()
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


class Jobs(JobManager):
    """With one function, which is asked for in short."""

    function: RestaurarImagen

    async def ask(self, dsk: int = 1, par: int = 1) -> Job:
        return await self.start(self.function.order_of(request(dsk, par)))


def manager(
    machine: Machine,
    engine: Engine,
    told: Reporter,
    journal: Journal,
    now: Callable[[], datetime] = now,
    copies: Copies | None = None,
) -> Jobs:
    disks = MarkedDisks(machine, journal)
    numbers = ToldNumbers(journal)
    jobs = Jobs(disks=disks, reporter=told, journal=journal, metrics=Metrics(), numbers=numbers, copies=copies, now=now)
    jobs.function = restoring(machine, RULES, engine)
    return jobs


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
