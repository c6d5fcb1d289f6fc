"""A Linux that sleeps on another disk: nothing is written to the partition as long as it would wake."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace

from ogagent.disk.machine import Device, Machine
from ogagent.model.plan import Target
from ogagent.restore.job import restore
from simulator.faults import parse_fault
from simulator.machine.file_machine import FileMachine
from simulator.machine.gpt import LINUX_FILESYSTEM, Entry, write_table
from tests.faults.bench import CANCELLED, WELL, Bench, Cell, Ending, Matrix, no_thread_left, plan_for
from tests.faults.framed import framed_cell
from tests.faults.images import KINDS, MIB, image
from tests.faults.test_interrupted import Cancelling

FAMILY: Final = "hibernated"
SWAP: Final = Entry(number=5, start=MIB, size=MIB, type=LINUX_FILESYSTEM)
SLEEPING: Final = bytes(1024) + b"\1\0\0\0\xff\0\0\0" + bytes(3054) + b"S1SUSPEND\0" + bytes(MIB - 4096)
PLAIN: Final = SLEEPING.replace(b"S1SUSPEND\0", b"SWAPSPACE2")
CELLS: Final = {
    "stream": Cell(data=image("crc32", "zstd"), restored=KINDS["crc32"].restored, local=True),
    "index": framed_cell("crc32", "half of it"),
}


class TwoDisks:
    """Implements ``ogagent.disk.machine.Machine``: faults are those of the disk with the swap space."""

    def __init__(self, bench: Bench, machine: Machine, *faults: str) -> None:
        self._machine = machine
        self.inventory = machine.inventory
        self.disk = bench.disk.with_name("second")
        with self.disk.open("wb") as file:
            file.truncate(3 * MIB)
            write_table(file, 3 * MIB, (SWAP,))
            file.seek(SWAP.start)
            file.write(SLEEPING)
        present = tuple(map(parse_fault, faults))
        self._second = FileMachine([self.disk], lambda: present)
        self.place = Target(
            disk=2,
            partition=SWAP.number,
            device=f"{self.disk}#5",
            disk_device=str(self.disk),
            identity=f"file:{self.disk.resolve()};size:{3 * MIB}",
            start=SWAP.start,
            size=SWAP.size,
            sector_size=512,
        )

    def open_target(self, target: Target) -> AbstractContextManager[Device]:
        machine = self._second if target.disk == self.place.disk else self._machine
        return machine.open_target(target)

    def swap(self) -> bytes:
        with self.disk.open("rb") as file:
            file.seek(SWAP.start)
            return file.read(SWAP.size)


async def run(matrix: Matrix, name: str, cell: Cell, *faults: str, busy: bool = False) -> tuple[Ending, bytes]:
    with matrix.folder() as folder, matrix.cell(FAMILY, name):
        bench = Bench(folder, cell)
        machine = TwoDisks(bench, bench.machine, *faults)
        with held(machine) if busy else no_one():
            ending = await _ended(bench, machine)
        check(bench, machine, ending)
        matrix.endings[ending.number] += 1
        return ending, machine.swap()


async def _ended(bench: Bench, machine: TwoDisks) -> Ending:
    async with bench.source() as url:
        plan = replace(plan_for(bench.disk, url), suspended=(machine.place,))
        return await bench.ending(asyncio.ensure_future(restore(plan, machine, bench.policy, bench.progress)))


def check(bench: Bench, machine: TwoDisks, ending: Ending) -> None:
    bench.check(ending)
    swap = machine.swap()
    assert swap[:4086] == SLEEPING[:4086]
    assert swap[4096:] == SLEEPING[4096:]
    if ending.touched:
        assert swap == PLAIN, "written while somebody would wake and overwrite it"
    if ending.number == WELL:
        (warning,) = ending.warnings
        assert warning.startswith("032-the Linux that is hibernated on partition 5 of disk 2")


@contextmanager
def held(machine: TwoDisks) -> Iterator[None]:
    with machine.open_target(machine.place):
        yield


@contextmanager
def no_one() -> Iterator[None]:
    yield


@pytest.mark.parametrize("way", CELLS)
async def test_it_does_not_wake_again(matrix: Matrix, way: str) -> None:
    ending, swap = await run(matrix, way, CELLS[way])
    assert ending.number == WELL
    assert swap == PLAIN


FAULTS: Final = {
    "eio@4090": 14,
    "gone@4090": 14,
    "readonly": 14,
    "flush": 14,
    "flip@4090": 91,
    "lost@4090": 91,
    "unreadable@0": 14,
    "unreadable@65530": 14,
}


@pytest.mark.parametrize("way", CELLS)
@pytest.mark.parametrize("fault", FAULTS)
async def test_it_cannot_be_kept_from_waking(matrix: Matrix, fault: str, way: str) -> None:
    ending, _ = await run(matrix, f"{fault}, {way}", replace(CELLS[way], ends=(FAULTS[fault],)), f"disk:{fault}")
    assert not ending.touched
    assert ending.message.startswith("the Linux that is hibernated on partition 5 of disk 2")


@pytest.mark.parametrize("way", CELLS)
async def test_somebody_holds_it(matrix: Matrix, way: str) -> None:
    ending, swap = await run(matrix, f"held, {way}", replace(CELLS[way], ends=(3,)), busy=True)
    assert not ending.touched
    assert swap == SLEEPING


@pytest.mark.parametrize("way", CELLS)
async def test_cancelled(matrix: Matrix, way: str) -> None:
    """At each step on the swap space, and at the first ones on the partition."""
    endings = set()
    for at in range(24):
        with matrix.folder() as folder, matrix.cell(FAMILY, f"cancel {at}, {way}"):
            bench = Bench(folder, replace(CELLS[way], ends=(CANCELLED, WELL)))
            machine = TwoDisks(bench, bench.machine)
            steps = Cancelling(machine, at)
            async with bench.source() as url:
                plan = replace(plan_for(bench.disk, url), suspended=(machine.place,))
                work = restore(plan, steps, bench.policy, bench.progress)
                steps.job = asyncio.ensure_future(bench.ending(asyncio.ensure_future(work)))
                ending = await steps.job
            check(bench, machine, ending)
            matrix.endings[ending.number] += 1
            endings.add(ending.number)
    assert CANCELLED in endings
    await no_thread_left()


def test_libblkid_takes_it_for_what_it_is(tmp_path: Path) -> None:
    program = shutil.which("blkid", path="/usr/sbin:/sbin:/usr/bin")
    if program is None:
        pytest.skip("blkid is not installed")
    for content, kind in ((SLEEPING, "swsuspend"), (PLAIN, "swap")):
        path = tmp_path / kind
        path.write_bytes(content)
        command = [program, "--probe", "--output", "value", "--match-tag", "TYPE", str(path)]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == kind
