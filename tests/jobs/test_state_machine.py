"""Jobs against a model: whatever is done to them, and whenever the agent dies, the books say what is true."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ogagent.disk.machine import Device
from ogagent.errors import DiskBusy, ImageCorrupt, JobFinished
from ogagent.functions.table import KINDS
from ogagent.jobs.disks import MarkedDisks
from ogagent.jobs.journal import Journal
from ogagent.jobs.manager import JobManager
from ogagent.jobs.numbers import ToldNumbers
from ogagent.jobs.recovery import settle_unended
from ogagent.jobs.work import Order
from ogagent.model.disk import Disk, Inventory, Partition
from ogagent.model.plan import Target
from ogagent.ogcore.outbox import Backlog
from ogagent.restore.progress import Progress
from ogagent.restore.request import RestorePlan, RestoreRequest
from ogagent.system.metrics import Metrics
from tests.jobs.restoring import RULES, recoveries, restoring

DISKS: Final = (1, 2)
EDGES: Final = b"image " * 256
EMPTY: Final = bytes(len(EDGES))
OLD: Final = b"old   " * 256


class TwoDisks:
    """Implements ``Machine`` with two disks, whose partitions are so small that they are all edge."""

    def __init__(self) -> None:
        self.of = dict.fromkeys(DISKS, OLD)

    async def inventory(self, *, thorough: bool = True) -> Inventory:  # noqa: ARG002 - as Machine has it
        return Inventory(disks=tuple(_disk(number) for number in DISKS))

    @contextmanager
    def open_target(self, target: Target) -> Iterator[Device]:
        yield OneDisk(self, target.disk)


class OneDisk:
    def __init__(self, edges: TwoDisks, disk: int) -> None:
        self._edges = edges
        self._disk = disk
        self.size = len(EDGES)

    def flush(self) -> None: ...

    def read_back(self, offset: int, into: memoryview) -> None:
        into[:] = self._edges.of[self._disk][offset : offset + len(into)]

    def zero(self, offset: int, length: int) -> None:
        raise AssertionError(f"{length} bytes zeroed at {offset}")

    def write(self, offset: int, data: memoryview) -> None:
        assert (offset, bytes(data)) == (0, EMPTY), "nothing is done but wiped"
        self._edges.of[self._disk] = EMPTY


def _disk(number: int) -> Disk:
    part = Partition(partition=1, device=f"/dev/sd{number}1", start=1 << 20, size=len(EDGES), code="8300")
    return Disk(
        disk=number, device=f"/dev/sd{number}", identity=f"serial:{number}", model="M", size=1 << 30, sector_size=512,
        table="gpt", partitions=(part,),
    )  # fmt: skip


class Restores:
    """Each waits for the word of the test."""

    def __init__(self) -> None:
        self.running: dict[int, tuple[Progress, asyncio.Future[None]]] = {}

    async def __call__(self, plan: RestorePlan, progress: Progress) -> None:
        word: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.running[plan.target.disk] = (progress, word)
        try:
            await word
        finally:
            del self.running[plan.target.disk]


class OgCore:
    """Implements ``Reporter``; takes nothing before it is told to."""

    def __init__(self) -> None:
        self.heard: dict[str, set[str]] = {}

    def progress(self, job_id: str, report: Mapping[str, Any]) -> None: ...

    def conclude(self, job_id: str, report: Mapping[str, Any]) -> Mapping[str, Any]:
        assert job_id not in self.heard
        return {**report, "seq": 1}

    def final(self, job_id: str, report: Mapping[str, Any]) -> None:
        self.heard.setdefault(job_id, set()).add(f"{report['event_id']} {report['res']}")

    async def told(self, job_id: str, patience_s: float) -> bool:
        raise AssertionError(f"{job_id} does nothing afterwards, and waits for nothing {patience_s} s")

    def backlog(self) -> Backlog:
        return Backlog()

    async def aclose(self, grace_s: float) -> None: ...


class Deaf(OgCore):
    """Who a dead agent speaks to."""

    def final(self, job_id: str, report: Mapping[str, Any]) -> None: ...


@dataclass
class Model:
    """What must be true of one job."""

    disk: int
    step: str = "accepted"
    state: str = "running"
    waits: bool = False


class Jobs(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.edges, self.ogcore = TwoDisks(), OgCore()
        self.model: dict[str, Model] = {}
        self.incomplete: set[int] = set()
        self.start_agent()

    def start_agent(self) -> None:
        async def start() -> None:
            self.journal = Journal.open(Path(self.folder.name))
            disks = MarkedDisks(self.edges, self.journal)
            await settle_unended(self.journal, disks, KINDS, recoveries(self.edges), report=True)
            for job_id, report in self.journal.undelivered():
                self.ogcore.final(job_id, report)
            self.restores = Restores()
            self.jobs = self.manager(self.ogcore)

        self.runner.run(start())

    def manager(self, reporter: OgCore) -> JobManager:
        return JobManager(
            disks=MarkedDisks(self.edges, self.journal), reporter=reporter, journal=self.journal,
            metrics=Metrics(), numbers=ToldNumbers(self.journal), history=self.journal.history(),
        )  # fmt: skip

    def order(self, disk: int) -> Order:
        request = RestoreRequest(dsk=disk, par=1, idi="i", nci="n", ipr="r")
        return restoring(self.edges, RULES, self.restores).order_of(request)

    def holder(self, disk: int) -> str | None:
        return next((job_id for job_id, job in self.model.items() if job.state == "running" and job.disk == disk), None)

    def at(self, disk: int, *steps: str) -> Model | None:
        holder = self.holder(disk)
        return self.model[holder] if holder and self.model[holder].step in steps else None

    async def settled(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(300):
            while not condition():  # noqa: ASYNC110 - plain values
                await asyncio.sleep(0)

    def ended(self, job: Model, state: str) -> None:
        job.state, job.waits = state, True

    @rule(disk=st.sampled_from(DISKS))
    def start(self, disk: int) -> None:
        async def start() -> str:
            job = await self.jobs.start(self.order(disk))
            await self.settled(lambda: disk in self.restores.running)
            return job.job_id

        if holder := self.holder(disk):
            with pytest.raises(DiskBusy) as refusal:
                self.runner.run(start())
            assert refusal.value.job_id == holder
        else:
            self.model[self.runner.run(start())] = Model(disk)

    @rule(disk=st.sampled_from(DISKS))
    def touch(self, disk: int) -> None:
        if job := self.at(disk, "accepted"):
            self.restores.running[disk][0].change_begins()
            self.edges.of[disk], job.step = EMPTY, "touched"
            self.incomplete.add(disk)

    @rule(disk=st.sampled_from(DISKS), arrived=st.sampled_from([0, 512, 1024, len(EDGES)]))
    def begin_commit(self, disk: int, arrived: int) -> None:
        if job := self.at(disk, "touched"):
            self.restores.running[disk][0].books.committing(EDGES)
            self.edges.of[disk], job.step = EDGES[:arrived] + EMPTY[arrived:], "committing"

    @rule(disk=st.sampled_from(DISKS))
    def finish_commit(self, disk: int) -> None:
        if job := self.at(disk, "committing"):
            self.edges.of[disk], job.step = EDGES, "committed"
            self.restores.running[disk][0].commit()
            self.incomplete.discard(disk)

    @rule(disk=st.sampled_from(DISKS), error=st.sampled_from([None, ImageCorrupt("x"), RuntimeError("bug")]))
    def end(self, disk: int, error: Exception | None) -> None:
        job = self.at(disk, "accepted", "touched", "committing", "committed")
        if job is None or (error is None and job.step != "committed"):
            return
        if job.step == "committing":
            self.edges.of[disk] = EMPTY  # the writer's part

        async def end() -> None:
            word = self.restores.running[disk][1]
            if error:
                word.set_exception(error)
            else:
                word.set_result(None)
            await self.settled(lambda: disk not in {each.target.disk for each, _ in self.jobs.running if each.target})

        self.runner.run(end())
        self.ended(job, "succeeded" if job.step == "committed" else "failed")

    @rule(disk=st.sampled_from(DISKS))
    def cancel(self, disk: int) -> None:
        if job := self.at(disk, "accepted", "touched", "committed"):
            self.runner.run(self.jobs.cancel(self.holder(disk) or ""))
            self.ended(job, "succeeded" if job.step == "committed" else "cancelled")

    @precondition(lambda self: any(job.state != "running" for job in self.model.values()))
    @rule()
    def cancel_what_has_ended(self) -> None:
        for job_id, job in self.model.items():
            if job.state != "running":
                with pytest.raises(JobFinished):
                    self.runner.run(self.jobs.cancel(job_id))

    @rule()
    def acknowledge(self) -> None:
        for job_id, _ in self.journal.undelivered():
            self.journal.delivered(job_id)
            self.model[job_id].waits = False

    @rule()
    def die(self) -> None:
        """From one moment to the next nothing is written any more, and nobody hears the agent."""
        self.journal.close()
        self.jobs._reporter = Deaf()
        self.runner.run(self.jobs.aclose())
        for job in self.model.values():
            if job.state == "running":
                whole = job.step == "committed" or (job.step == "committing" and self.edges.of[job.disk] == EDGES)
                self.ended(job, "succeeded" if whole else "interrupted")
                if whole:
                    self.incomplete.discard(job.disk)
        self.start_agent()

    @invariant()
    def the_books_are_true(self) -> None:
        assert {job.job_id: job.state for job in self.jobs.jobs()} == {i: job.state for i, job in self.model.items()}
        assert [job.job_id for job in self.jobs.jobs()] == list(self.model)[::-1]
        assert self.jobs.busy == any(job.state == "running" for job in self.model.values())
        assert set(self.journal.incomplete()) == {(f"serial:{disk}", 1) for disk in self.incomplete}
        assert [job_id for job_id, _ in self.journal.undelivered()] == [i for i, job in self.model.items() if job.waits]

    @invariant()
    def each_end_is_said_once_and_is_true(self) -> None:
        for job_id, job in self.model.items():
            said = self.ogcore.heard.get(job_id, set())
            assert len(said) == (job.state != "running")
            assert all(each.endswith("1" if job.state == "succeeded" else "2") for each in said)

    @invariant()
    def what_is_incomplete_mounts_nowhere(self) -> None:
        for disk in self.incomplete:
            if self.holder(disk) is None:
                assert self.edges.of[disk] == EMPTY

    def teardown(self) -> None:
        self.runner.run(self.jobs.aclose())
        self.journal.close()
        self.runner.close()
        self.folder.cleanup()


TestJobs = Jobs.TestCase
TestJobs.settings = settings(max_examples=40, stateful_step_count=25, suppress_health_check=[HealthCheck.too_slow])
