"""Who reads disks, when, and for how long: a disk that hangs costs its own row, and no thread but its own."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from shlex import quote

import pytest
from msgspec.structs import replace

from ogagent.disk.inventory import read_disk
from ogagent.disk.kernel import KernelDisk
from ogagent.disk.readings import Reading, Readings, Unread
from ogagent.errors import InternalError, ToolMissing
from ogagent.model.disk import UNREADABLE, Disk, Inventory
from tests.disk.test_cache_thread import Gate

_WAIT_S = 300
SILENT = f"{UNREADABLE}: it does not answer"
LISTED = "the list of disks"


class Held:
    """A disk whose readings pass the gate in turn; all gates are open at the end."""

    def __init__(self, number: int, *, hangs: bool = False) -> None:
        self.row = Disk(
            disk=number, device=f"/dev/sd{number}", identity=f"serial:{number}", model="M", size=1 << 30,
            sector_size=512, table=None,
        )  # fmt: skip
        self.gate = Gate()
        self.begun = 0
        self.thorough = False
        if not hangs:
            self.gate.open.set()

    async def read(self, reading: Reading) -> Disk:
        self.thorough = reading.thorough
        await asyncio.get_running_loop().run_in_executor(reading.executor, self._pass)
        return replace(self.row, model=f"read {self.begun}")

    def _pass(self) -> None:
        self.begun += 1
        self.gate.pass_through()

    async def is_reached(self) -> None:
        assert await asyncio.to_thread(self.gate.reached.wait, _WAIT_S)


class ByHand:
    """Limits that end when the test says so."""

    def __init__(self) -> None:
        self.last: dict[str, asyncio.Timeout] = {}

    def __call__(self, device: str) -> asyncio.Timeout:
        self.last[device] = asyncio.timeout(None)
        return self.last[device]

    def strike(self, device: str) -> None:
        self.last[device].reschedule(asyncio.get_running_loop().time())


@pytest.fixture
def limit() -> ByHand:
    return ByHand()


@pytest.fixture
def good() -> Held:
    return Held(1)


@pytest.fixture
def hanging() -> Iterator[list[Held]]:
    hanging = [Held(number, hangs=True) for number in (2, 3, 4)]
    yield hanging
    for each in hanging:
        each.gate.open.set()


@pytest.fixture
def sick(hanging: list[Held]) -> Held:
    return hanging[0]


def readings_of(*disks: Held, limit: ByHand) -> Readings:
    return Readings(lambda: [Unread(each.row, each.read) for each in disks], limit)


async def gives_up(readings: Readings, sick: Held, limit: ByHand) -> Inventory:
    asked = asyncio.create_task(readings.inventory())
    await sick.is_reached()
    limit.strike(sick.row.device)
    return await asked


async def test_a_disk_that_hangs_costs_its_own_row(good: Held, sick: Held, limit: ByHand) -> None:
    found = await gives_up(readings_of(good, sick, limit=limit), sick, limit)
    assert found.disks == (replace(good.row, model="read 1"), replace(sick.row, problem=SILENT))


async def test_it_is_not_read_again_until_it_has_come_back(good: Held, sick: Held, limit: ByHand) -> None:
    readings = readings_of(good, sick, limit=limit)
    await gives_up(readings, sick, limit)
    for count in (2, 3, 4):
        healthy, silent = (await readings.inventory()).disks
        assert (healthy.model, healthy.problem, silent.problem) == (f"read {count}", "", SILENT)
    assert sick.begun == 1
    sick.gate.open.set()
    while (await readings.inventory()).disks[1].problem:  # noqa: ASYNC110 - no event
        await asyncio.sleep(0)
    assert sick.begun == 2


async def test_disks_are_read_side_by_side(hanging: list[Held], limit: ByHand) -> None:
    asked = asyncio.create_task(readings_of(*hanging, limit=limit).inventory())
    for each in hanging:
        await each.is_reached()
    for each in hanging:
        each.gate.open.set()
    assert [disk.problem for disk in (await asked).disks] == ["", "", ""]


async def test_all_who_ask_at_the_same_time_share_a_reading(good: Held, limit: ByHand) -> None:
    readings = readings_of(good, limit=limit)
    first, *others = await asyncio.gather(*(readings.inventory() for _ in range(20)))
    assert all(each is first for each in others)
    assert good.begun == 1


async def test_no_answer_is_older_than_its_question(sick: Held, limit: ByHand) -> None:
    readings = readings_of(sick, limit=limit)
    early = asyncio.create_task(readings.inventory())
    await sick.is_reached()
    late = [asyncio.create_task(readings.inventory()) for _ in range(20)]
    await asyncio.sleep(0)
    sick.gate.open.set()
    assert (await early).disks[0].model == "read 1"
    assert [(await each).disks[0].model for each in late] == ["read 2"] * 20
    assert sick.begun == 2


async def test_a_reading_is_as_thorough_as_any_who_share_it_want_it(good: Held, limit: ByHand) -> None:
    readings = readings_of(good, limit=limit)
    for wanted in ([False, False], [False, True, False], [False], [True]):
        await asyncio.gather(*(readings.inventory(thorough=each) for each in wanted))
        assert good.thorough is any(wanted)


async def test_who_gives_up_asking_takes_nothing_from_the_others(sick: Held, limit: ByHand) -> None:
    readings = readings_of(sick, limit=limit)
    impatient, patient = (asyncio.create_task(readings.inventory()) for _ in range(2))
    await sick.is_reached()
    impatient.cancel()
    sick.gate.open.set()
    assert (await patient).disks[0].problem == ""


async def test_a_failure_is_everybodys_and_the_next_reading_is_another(good: Held, limit: ByHand) -> None:
    missing = True

    def find() -> list[Unread]:
        if missing:
            raise ToolMissing("libudev.so.1 is not installed")
        return [Unread(good.row, good.read)]

    readings = Readings(find, limit)
    answers = await asyncio.gather(*(readings.inventory() for _ in range(3)), return_exceptions=True)
    assert [type(each) for each in answers] == [ToolMissing] * 3
    missing = False
    assert len((await readings.inventory()).disks) == 1


async def test_a_kernel_that_does_not_even_list_its_disks(limit: ByHand) -> None:
    gate = Gate()

    def find() -> list[Unread]:
        gate.pass_through()
        return []

    readings = Readings(find, limit)
    asked = asyncio.create_task(readings.inventory())
    assert await asyncio.to_thread(gate.reached.wait, _WAIT_S)
    limit.strike(LISTED)
    for question in (asked, readings.inventory()):
        with pytest.raises(InternalError, match="does not say which disks"):
            await question
    gate.open.set()
    while True:
        try:
            assert (await readings.inventory()).disks == ()
            break
        except InternalError:
            await asyncio.sleep(0)


# --- as the agent reads them --------------------------------------------------------------------------------------


class Silent:
    """What opens but never answers, until it is released: a pipe that nobody writes to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)

    def unread(self, number: int = 1) -> Unread:
        disk = KernelDisk(device=str(self.path), identity="serial:S", model="M", size=1 << 20, sector_size=512)
        row = Disk(disk=number, device=disk.device, identity="serial:S", model="M", size=1 << 20, sector_size=512,
                   table=None)  # fmt: skip
        return Unread(row, partial(read_disk, number, disk))

    async def is_reached(self) -> None:
        """A thread waits in open(2) for somebody to write."""
        async with asyncio.timeout(_WAIT_S):
            while not any(thread.name == f"read {self.path}" for thread in threading.enumerate()):  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    def release(self) -> None:
        try:
            os.close(os.open(self.path, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            return  # nobody waits


@pytest.fixture
async def silent(tmp_path: Path) -> AsyncIterator[Silent]:
    silent = Silent(tmp_path / "silent")
    yield silent
    silent.release()


async def test_it_takes_no_thread_from_the_others(silent: Silent, limit: ByHand) -> None:
    with ThreadPoolExecutor(1) as pool:
        asyncio.get_running_loop().set_default_executor(pool)
        readings = Readings(lambda: [silent.unread()], limit)
        asked = asyncio.create_task(readings.inventory())
        await silent.is_reached()
        assert await asyncio.to_thread(lambda: "done") == "done"
        limit.strike(str(silent.path))
        assert [disk.problem for disk in (await asked).disks] == [SILENT]


async def test_its_tools_are_killed(
    tmp_path: Path, sparse: Callable[[int], Path], tool: Callable[..., str], limit: ByHand,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    path, said = sparse(16 << 20), tmp_path / "said"
    tool("sfdisk", "-q", path, stdin="label: gpt\nsize=1M\n")
    os.mkfifo(said)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/sfdisk").write_text(f"#!/bin/sh\necho $$ >{quote(str(said))}\nexec sleep 1000\n")
    (tmp_path / "bin/sfdisk").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    disk = KernelDisk(device=str(path), identity="serial:S", model="M", size=16 << 20, sector_size=512)
    row = replace(Held(1).row, device=str(path))
    readings = Readings(lambda: [Unread(row, partial(read_disk, 1, disk))], limit)
    asked = asyncio.create_task(readings.inventory())
    pid = int(await asyncio.wait_for(asyncio.to_thread(said.read_text), _WAIT_S))
    limit.strike(str(path))
    assert (await asked).disks == (replace(row, problem=SILENT),)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_nobody_waits_for_it_when_the_agent_ends(tmp_path: Path) -> None:
    silent = Silent(tmp_path / "silent")
    script = """
        import asyncio, sys
        from pathlib import Path
        from simulator.machine.file_machine import FileMachine
        limit = lambda device: asyncio.timeout(0.1 if device == sys.argv[1] else None)
        machine = FileMachine([Path(sys.argv[1])], limit=limit)
        (disk,) = asyncio.run(machine.inventory()).disks
        print(disk.problem)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(silent.path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_WAIT_S, check=True)
    assert done.stdout == f"{SILENT}\n"
