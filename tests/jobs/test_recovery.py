"""What the next agent says of the jobs that a dead one has left, on a device that holds what the test puts there."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from threading import Event
from typing import Any, Final

import pytest

from ogagent.disk.machine import Device
from ogagent.disk.record import LENGTH, PLACE, record_of
from ogagent.errors import DeviceBusy, DiskChanged, WriteFailed
from ogagent.functions.table import KINDS
from ogagent.jobs.disks import MarkedDisks
from ogagent.jobs.journal import Journal
from ogagent.jobs.recovery import settle_unended
from ogagent.jobs.steps import Step
from ogagent.model.disk import Disk, Inventory, Partition
from ogagent.model.job import ByteCounts, Job, JobTarget, State
from ogagent.model.plan import Target
from tests.jobs.restoring import recoveries

MIB: Final = 1 << 20
SIZE: Final = 7 * MIB
PAGE: Final = 4096
SPANS: Final = [
    range(MIB),
    *(range(page, page + PAGE) for page in (MIB, 2 * MIB, 4 * MIB, SIZE - 386 * PAGE)),
    range(SIZE - MIB, SIZE),
]
"""The edges of the partition."""
EDGES: Final = random.Random(1).randbytes(sum(map(len, SPANS)))
REST: Final = b"rest" * (SIZE // 4)
SECTORS: Final = len(EDGES) // 512
PAGES: Final = range(2048, 2048 + 4 * 8)
"""The sectors of ``EDGES`` that lie between the first and the last MiB."""
TARGET: Final = Target(
    disk=1, partition=2, device="/dev/sda2", disk_device="/dev/sda", identity="serial:1",
    start=MIB, size=SIZE, sector_size=512,
)  # fmt: skip
JOB: Final = Job(
    job_id="RestaurarImagen-00000001", function="RestaurarImagen", state=State.RUNNING, phase=None, progress=0,
    bytes=ByteCounts(), rate=0, eta_s=None, retries=0,
    request={"ids": "7", "idi": "i", "dsk": "1", "par": "2", "ifs": "3"},
    target=JobTarget(disk=1, partition=2, device="/dev/sda2", identity="serial:1"), created="2026-11-24T10:00:00.000Z",
)  # fmt: skip
RECORD: Final = record_of(TARGET.identity, TARGET.size, JOB.request, job_id=JOB.job_id, started=JOB.created)
EMPTY: Final = bytes(PLACE) + RECORD + bytes(len(EDGES) - PLACE - LENGTH)
"""As an agent has left it: wiped, but for the record."""
BLANK: Final = bytes(len(EDGES))


class OnePartition:
    """Implements both ``Machine`` and ``Device``."""

    def __init__(self, edges: bytes) -> None:
        self.content = bytearray(REST)
        self.size = SIZE
        self.lay(edges)
        self.opened: list[Target] = []
        self.written = False
        self.refuses: Exception | None = None
        self.waits: Callable[[], object] = lambda: None
        self.breaks = False

    async def inventory(self, *, thorough: bool = True) -> Inventory:  # noqa: ARG002 - as Machine has it
        part = Partition(partition=2, device="/dev/sda2", start=MIB, size=self.size, code="8300", filesystem="ext4")
        disk = Disk(
            disk=1, device="/dev/sda", identity="serial:1", model="M", size=1 << 31, sector_size=512, table="gpt",
            partitions=(part,),
        )  # fmt: skip
        return Inventory(disks=(disk,))

    @contextmanager
    def open_target(self, target: Target) -> Iterator[Device]:
        self.opened.append(target)
        self.waits()
        if self.refuses:
            raise self.refuses
        yield self

    def flush(self) -> None:
        if self.breaks:
            raise WriteFailed("flushing failed")

    def read_back(self, offset: int, into: memoryview) -> None:
        into[:] = self.content[offset : offset + len(into)]

    def zero(self, offset: int, length: int) -> None:
        raise AssertionError(f"{length} bytes zeroed at {offset}")

    def write(self, offset: int, data: memoryview) -> None:
        self.written = True
        self.content[offset : offset + len(data)] = data

    def lay(self, edges: bytes) -> None:
        for span in SPANS:
            self.content[span.start : span.stop], edges = edges[: len(span)], edges[len(span) :]

    @property
    def edges(self) -> bytes:
        return b"".join(bytes(self.content[span.start : span.stop]) for span in SPANS)

    @property
    def rest(self) -> bytes:
        return b"".join(bytes(self.content[one.stop : other.start]) for one, other in pairwise(SPANS))


def left_at(journal: Journal, last: Step, edges: bytes = EDGES) -> None:
    journal.accept(JOB, TARGET)
    for step in (Step.TOUCHED, Step.COMMITTING, Step.COMMITTED):
        if last is Step.ACCEPTED:
            break
        journal.advance(JOB.job_id, step, edges if step is Step.COMMITTING else None)
        if step is last:
            break
    journal.sending(JOB.job_id, 17, 41)


async def settle(journal: Journal, machine: OnePartition, *, report: bool, settle_s: float = 60) -> Job:
    disks, found = MarkedDisks(machine, journal), recoveries(machine, settle_s)
    (job,) = await settle_unended(
        journal, disks, KINDS, found, report=report, now=lambda: datetime(2026, 11, 25, tzinfo=UTC)
    )
    return job


async def settled(journal: Journal, machine: OnePartition, settle_s: float = 60) -> tuple[Job, dict[str, Any]]:
    job = await settle(journal, machine, report=True, settle_s=settle_s)
    assert journal.unended() == []
    assert journal.history() == [job]
    ((job_id, report),) = journal.undelivered()
    assert job_id == JOB.job_id == report["job_id"]
    assert report["seq"] == 18
    assert machine.rest == REST[: len(machine.rest)]
    return job, dict(report)


def fsi(report: dict[str, Any]) -> str:
    (row,) = [row for row in report["cfg"] if row["par"] == "2"]
    return str(row["fsi"])


@pytest.mark.parametrize(("step", "shown"), [(Step.ACCEPTED, "EXT4"), (Step.TOUCHED, "INCOMPLETE")])
@pytest.mark.parametrize("edges", [EDGES, EMPTY, BLANK])
async def test_before_the_commit_it_is_interrupted_and_the_disk_left_alone(
    journal: Journal, step: Step, shown: str, edges: bytes
) -> None:
    left_at(journal, step)
    machine = OnePartition(edges)
    job, report = await settled(journal, machine)
    assert (job.state, job.progress, job.finished) == (State.INTERRUPTED, 41, "2026-11-25T00:00:00.000Z")
    assert job.error is not None
    assert (job.error.number, job.error.code) == (93, "interrupted")
    assert (report["res"], report["der"], report["progress"], fsi(report)) == ("2", job.error.der, 41, shown)
    assert job.error.der.startswith("093-")
    assert machine.opened == []


async def test_after_the_commit_it_has_succeeded(journal: Journal) -> None:
    left_at(journal, Step.COMMITTED)
    machine = OnePartition(EMPTY)
    job, report = await settled(journal, machine)
    assert (job.state, job.progress, job.error) == (State.SUCCEEDED, 100, None)
    assert (report["res"], report["der"], report["progress"], fsi(report)) == ("1", "", 100, "EXT4")
    assert machine.opened == []


async def test_within_the_commit_whole_edges_are_success(journal: Journal) -> None:
    left_at(journal, Step.COMMITTING)
    machine = OnePartition(EDGES)
    job, report = await settled(journal, machine)
    assert (job.state, job.progress) == (State.SUCCEEDED, 100)
    assert (report["res"], fsi(report)) == ("1", "EXT4")
    assert (machine.opened, machine.written) == ([TARGET], False)
    assert journal.incomplete() == {}


@pytest.mark.parametrize(
    "arrived",
    [range(1), range(8, SECTORS), range(1, SECTORS), range(0, SECTORS, 2), range(SECTORS // 2), PAGES, range(0)],
)
@pytest.mark.parametrize("before", [EMPTY, BLANK], ids=["record", "blank"])
async def test_within_the_commit_a_part_of_the_edges_is_wiped(journal: Journal, arrived: range, before: bytes) -> None:
    """Also where some sectors of the record are there still, and others are not."""
    left_at(journal, Step.COMMITTING)
    edges = bytearray(before)
    for sector in arrived:
        edges[sector * 512 : sector * 512 + 512] = EDGES[sector * 512 : sector * 512 + 512]
    machine = OnePartition(bytes(edges))
    job, report = await settled(journal, machine)
    assert job.state is State.INTERRUPTED
    assert machine.edges == EMPTY
    assert (report["res"], fsi(report)) == ("2", "INCOMPLETE")


@pytest.mark.parametrize(
    "place", [1024, PLACE + 700, MIB - 512, MIB + 600, MIB + 2 * PAGE, 2 * MIB - 6, len(EDGES) - 6]
)
async def test_what_somebody_else_put_there_is_left_alone(journal: Journal, place: int) -> None:
    left_at(journal, Step.COMMITTING)
    edges = bytearray(EDGES)
    edges[place : place + 6] = b"theirs"
    machine = OnePartition(bytes(edges))
    job, report = await settled(journal, machine)
    assert job.state is State.INTERRUPTED
    assert not machine.written
    assert (report["res"], fsi(report)) == ("2", "INCOMPLETE")


OLDER: Final = EDGES[:MIB] + EDGES[-MIB:]
"""What an older agent wrote last; the pages in between came with all else."""


async def test_whole_edges_of_an_older_agent_are_success(journal: Journal) -> None:
    left_at(journal, Step.COMMITTING, OLDER)
    machine = OnePartition(EDGES)
    job, report = await settled(journal, machine)
    assert (job.state, machine.written) == (State.SUCCEEDED, False)
    assert (report["res"], fsi(report)) == ("1", "EXT4")


@pytest.mark.parametrize("arrived", [range(1), range(8, 2048), range(0)])
async def test_a_part_of_the_edges_of_an_older_agent_is_wiped(journal: Journal, arrived: range) -> None:
    left_at(journal, Step.COMMITTING, OLDER)
    edges = bytearray(EDGES[:MIB] + EDGES[MIB:-MIB] + bytes(MIB))
    for sector in {*range(2048)} - {*arrived}:
        edges[sector * 512 : sector * 512 + 512] = bytes(512)
    machine = OnePartition(bytes(edges))
    job, report = await settled(journal, machine)
    assert job.state is State.INTERRUPTED
    assert machine.edges == EMPTY
    assert (report["res"], fsi(report)) == ("2", "INCOMPLETE")


@pytest.mark.parametrize("length", [0, 1, MIB, len(OLDER) - 1, len(EDGES) - 1, len(EDGES) + 1])
async def test_edges_of_another_partition_are_not_believed(journal: Journal, length: int) -> None:
    left_at(journal, Step.COMMITTING, (EDGES + b"more")[:length])
    machine = OnePartition(EDGES)
    job, _ = await settled(journal, machine)
    assert (job.state, machine.written) == (State.INTERRUPTED, False)


@pytest.mark.parametrize("refusal", [DiskChanged("another disk"), DeviceBusy("mounted"), ValueError("a bug"), None])
async def test_a_disk_that_cannot_be_looked_at(journal: Journal, refusal: Exception | None) -> None:
    left_at(journal, Step.COMMITTING)
    machine = OnePartition(EDGES)
    machine.refuses, machine.breaks = refusal, refusal is None
    job, report = await settled(journal, machine)
    assert (job.state, report["res"], fsi(report)) == (State.INTERRUPTED, "2", "INCOMPLETE")
    assert not machine.written


async def test_a_disk_that_hangs(journal: Journal) -> None:
    """The agent starts all the same, for the other disks."""
    left_at(journal, Step.COMMITTING)
    machine, answers = OnePartition(EDGES), Event()
    machine.waits = answers.wait
    try:
        job, report = await settled(journal, machine, settle_s=0.1)
        assert not answers.is_set()
    finally:
        answers.set()
    assert (job.state, report["res"], fsi(report)) == (State.INTERRUPTED, "2", "INCOMPLETE")


async def test_without_ogcore_nothing_waits_to_be_sent(journal: Journal) -> None:
    left_at(journal, Step.TOUCHED)
    job = await settle(journal, OnePartition(EMPTY), report=False)
    assert job.state is State.INTERRUPTED
    assert journal.undelivered() == []
