"""Restores that are cancelled, killed, or cut off from power, at every step that the disk is asked to take."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from msgspec import Struct
from msgspec.structs import replace

from ogagent.disk.content import probe
from ogagent.disk.machine import Device, Machine
from ogagent.disk.record import LENGTH, PLACE
from ogagent.functions.table import KINDS as FUNCTIONS
from ogagent.jobs.adoption import adopt_unknown
from ogagent.jobs.copies import Copies
from ogagent.jobs.disks import MarkedDisks
from ogagent.jobs.finals import FinalsInJournal
from ogagent.jobs.journal import Journal
from ogagent.model.plan import Target
from simulator.machine.file_machine import FileMachine
from tests.faults.bench import (
    CANCELLED,
    JOB_ID,
    PARTITION,
    WELL,
    Bench,
    Cell,
    Ending,
    Matrix,
    mounts,
    no_thread_left,
    run_cells,
)
from tests.faults.framed import REGION, framed_cell, over
from tests.faults.images import KINDS, MIB, SIZE, image
from tests.jobs.lost_power import MemoryShelf
from tests.records import record_in

IMAGES: Final = (("crc32", "zstd"), ("raw", "gzip"), ("crc32", "frames"))


def cell_of(pair: tuple[str, str], *, read_back: bool) -> Cell:
    ends = (CANCELLED, WELL)
    if pair[1] == "frames":
        return replace(framed_cell(pair[0], "half of it"), ends=ends, read_back=read_back)
    return Cell(data=image(*pair), restored=KINDS[pair[0]].restored, ends=ends, read_back=read_back, local=True)


class Steps:
    """A machine whose device calls ``before`` with the number of each operation, and keeps a list of them."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.inventory = machine.inventory
        self.taken: list[Step] = []
        self.lock = threading.Lock()

    def before(self, number: int) -> None: ...

    @contextmanager
    def open_target(self, target: Target) -> Iterator[Device]:
        with self._machine.open_target(target) as device:
            yield _Stepping(device, self)


class Step(Struct, frozen=True):
    """``data`` is None for a flush, and for what reads."""

    kind: str
    offset: int = 0
    data: bytes | None = None


class _Stepping:
    def __init__(self, device: Device, steps: Steps) -> None:
        self._device = device
        self._steps = steps
        self.size = device.size

    def _take(self, step: Step) -> None:
        with self._steps.lock:
            self._steps.before(len(self._steps.taken))
            self._steps.taken.append(step)

    def write(self, offset: int, data: memoryview) -> None:
        self._take(Step("write", offset, bytes(data)))
        self._device.write(offset, data)

    def zero(self, offset: int, length: int) -> None:
        self._take(Step("zero", offset, bytes(length)))
        self._device.zero(offset, length)

    def flush(self) -> None:
        self._take(Step("flush"))
        self._device.flush()

    def read_back(self, offset: int, into: memoryview) -> None:
        self._take(Step("read"))
        self._device.read_back(offset, into)


async def steps_of(matrix: Matrix, cell: Cell) -> list[Step]:
    with matrix.folder() as folder:
        bench = Bench(folder, cell)
        steps = Steps(bench.machine)
        bench.check(await bench.run(steps))
    return steps.taken


def chosen(count: int, every: int, *, ends: int = 12) -> list[int]:
    """Some of so many steps, and all at both ends, where the order matters."""
    return sorted({*range(0, count, every), *range(ends), *range(count - ends - 2, count)})


# --- cancel -------------------------------------------------------------------------------------------------------


class Cancelling(Steps):
    """Cancels the job when the device is about to take a step."""

    def __init__(self, machine: Machine, at: int) -> None:
        super().__init__(machine)
        self._at = at
        self.job: asyncio.Future[Ending]
        self._loop = asyncio.get_running_loop()

    def before(self, number: int) -> None:
        if number == self._at:
            asked = threading.Event()
            self._loop.call_soon_threadsafe(self.job.cancel)
            self._loop.call_soon_threadsafe(asked.set)
            assert asked.wait(300)


@pytest.mark.parametrize("read_back", [True, False])
@pytest.mark.parametrize("pair", IMAGES, ids="-".join)
async def test_cancelled(matrix: Matrix, pair: tuple[str, str], read_back: bool) -> None:
    await cancels(matrix, "cancel", str(pair), cell_of(pair, read_back=read_back))


async def cancels(matrix: Matrix, family: str, name: str, cell: Cell) -> None:
    """At some steps of a restore; what commits at that moment is done."""
    endings = set()
    for number in chosen(len(await steps_of(matrix, cell)), 5):
        with matrix.folder() as folder, matrix.cell(family, f"{name} at step {number}"):
            bench = Bench(folder, cell)
            steps = Cancelling(bench.machine, number)
            steps.job = asyncio.ensure_future(bench.run(steps))
            bench.check(ending := await steps.job)
            await no_thread_left()
            matrix.endings[ending.number] += 1
            endings.add(ending.number)
    assert CANCELLED in endings


@pytest.mark.parametrize("pair", IMAGES[:2], ids="-".join)
async def test_cancelled_while_nothing_comes(matrix: Matrix, pair: tuple[str, str]) -> None:
    """The repository stalls; the job hears of the cancel all the same."""
    cell = replace(cell_of(pair, read_back=True), local=False, ends=(CANCELLED,))
    for share in (0, 1, 10, 50, 99):
        with matrix.folder() as folder, matrix.cell("cancel", f"{pair} stalled at {share}%"):
            bench = Bench(folder, replace(cell, faults=(f"repository:stall@{share}%",)))
            job = asyncio.ensure_future(bench.run())
            async with asyncio.timeout(300):
                wanted = len(cell.data) * share // 100 - 1
                while bench.asked < 10 or bench.progress.received < wanted:  # noqa: ASYNC110 - counters
                    await asyncio.sleep(0.01)
            job.cancel()
            bench.check(ending := await job)
            await no_thread_left()
            matrix.endings[ending.number] += 1


# --- SIGKILL ------------------------------------------------------------------------------------------------------


class Dying(Steps):
    def __init__(self, machine: Machine, at: int) -> None:
        super().__init__(machine)
        self._at = at

    def before(self, number: int) -> None:
        if number == self._at:
            os.kill(os.getpid(), signal.SIGKILL)


def restore_and_die(folder: Path, cell: Cell, at: int) -> None:
    bench = Bench(folder, cell)
    asyncio.run(bench.run(Dying(FileMachine([bench.disk]), at)))


@pytest.mark.parametrize("pair", IMAGES, ids="-".join)
async def test_killed(matrix: Matrix, pair: tuple[str, str]) -> None:
    """A process of its own; the kernel keeps what it has written. Afterwards a restore succeeds."""
    cell = cell_of(pair, read_back=True)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "tests.faults.bench"])
    steps = await steps_of(matrix, cell)
    for number in chosen(len(steps) + 1, 40, ends=5):
        with matrix.folder() as folder, matrix.cell("kill", f"{pair} at step {number}"):
            process = context.Process(target=restore_and_die, args=(folder, cell, number))
            process.start()
            await asyncio.to_thread(process.join, 300)
            assert process.exitcode == (-signal.SIGKILL if number < len(steps) else 0)
            disk = folder / "disk"
            with disk.open("rb") as file:
                file.seek(PARTITION.start)
                found = file.read(PARTITION.size)
            assert found in (cell.before, cell.restored) or not mounts(disk)
            matrix.endings[WELL if found == cell.restored else CANCELLED] += 1
            if number in meanwhile(steps):
                assert record_in(found) is not None
            await _told_of(disk, found)
            if pair[1] == "frames" and found != cell.before:
                await _continued(matrix, cell, found)
    await run_cells(matrix, "kill", {f"{pair} afterwards": replace(cell, ends=(WELL,))})


async def _told_of(disk: Path, found: bytes) -> None:
    """The power was cut: the next agent, whose journal is empty, knows of the job what the partition says."""
    journal, machine = Journal.in_memory(), FileMachine([disk])
    copies = Copies(journal, machine, MemoryShelf(), FUNCTIONS)
    try:
        await adopt_unknown(journal, MarkedDisks(machine, journal), copies, FUNCTIONS, report=True)
        (shown,) = (await machine.inventory()).disks[0].partitions
        if record_in(found) is None:
            assert (journal.undelivered(), shown.incomplete) == ([], False)
            return
        ((job_id, report),) = journal.undelivered()
        assert (job_id, report["der"][:4], shown.incomplete) == (JOB_ID, "093-", True)
        await FinalsInJournal(journal, copies).delivered(job_id)
    finally:
        await copies.aclose()
        journal.close()
    with disk.open("r+b") as file:
        file.seek(PARTITION.start)
        noted = record_in(file.read(PARTITION.size))
        assert noted is not None
        assert noted.reported
        file.seek(PARTITION.start)
        file.write(found)


def meanwhile(steps: list[Step]) -> range:
    """From the flush of the wipe to the write with which the edges come back: the record is there."""
    page = range(PLACE, PLACE + LENGTH)
    wiped, written = (
        number
        for number, step in enumerate(steps)
        if step.data is not None and step.offset <= page.start and page.stop <= step.offset + len(step.data)
    )
    flushed = next(number for number in range(wiped, len(steps)) if steps[number].kind == "flush")
    return range(flushed + 1, written)


async def _continued(matrix: Matrix, cell: Cell, found: bytes) -> None:
    """What a job that was killed has left on the partition need not be fetched again."""
    again = replace(cell, before=found, restored=over(found, "crc32"), ends=(WELL,))
    with matrix.folder() as folder, matrix.cell("kill", "continued"):
        bench = Bench(folder, again)
        ending = await bench.run()
        bench.check(ending)
        assert ending.counts.reused >= sum(
            found[at : at + REGION] == cell.restored[at : at + REGION] for at in range(MIB, SIZE - MIB, REGION)
        ) * (REGION // 2)


# --- power cut ----------------------------------------------------------------------------------------------------

LEFT: Final = ("none", "all", "last", "odd", "even")
"""Which of the writes since the last flush have reached the medium."""


def survivors(pending: list[Step], left: str) -> list[Step]:
    return {"none": [], "all": pending, "last": pending[-1:], "odd": pending[1::2], "even": pending[::2]}[left]


@pytest.mark.parametrize("pair", IMAGES, ids="-".join)
async def test_a_power_cut(matrix: Matrix, pair: tuple[str, str]) -> None:
    """What has not been flushed may be on the medium or not, in any order."""
    await power_cuts(matrix, "power", str(pair), cell_of(pair, read_back=True))


async def power_cuts(matrix: Matrix, family: str, name: str, cell: Cell) -> None:
    """At each step of a restore."""
    steps = [step for step in await steps_of(matrix, cell) if step.kind != "read"]
    settled = bytearray(cell.before)
    pending: list[Step] = []
    with matrix.folder() as folder:
        bench = Bench(folder, cell)
        for number, step in enumerate(steps):
            if step.kind == "flush":
                _store(settled, pending)
                pending = []
            else:
                pending.append(step)
            for left in LEFT if pending else LEFT[:1]:
                medium = bytearray(settled)
                _store(medium, survivors(pending, left))
                whose = record_in(medium)
                if number in meanwhile(steps):
                    assert whose is not None
                    assert whose.job_id == JOB_ID
                with matrix.cell(family, f"{name} after step {number}, {left}"), bench.disk.open("r+b") as file:
                    file.seek(PARTITION.start)
                    file.write(medium)
                    file.flush()
                    whole = medium in (cell.before, cell.restored)
                    assert whole or not mounts(bench.disk)
                    if whose is not None:
                        assert probe(file.fileno(), PARTITION.start, PARTITION.size).incomplete
                    matrix.endings[WELL if medium == cell.restored else CANCELLED] += 1


def _store(medium: bytearray, steps: list[Step]) -> None:
    for step in steps:
        if step.data is not None:
            medium[step.offset : step.offset + len(step.data)] = step.data
