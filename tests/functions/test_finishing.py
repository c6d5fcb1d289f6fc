"""RestaurarImagen to its end on a PC whose disk is a file: the partition is ready, or the job says what is missing, and
whoever comes after a death goes on from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec.structs import replace

from ogagent.errors import NotReady
from ogagent.finish.machine import View
from ogagent.finish.place import Volume
from ogagent.finish.step import Step
from ogagent.functions.function import Equipment
from ogagent.functions.table import KINDS
from ogagent.jobs.disks import MarkedDisks
from ogagent.jobs.journal import Journal
from ogagent.jobs.recovery import settle_unended
from ogagent.jobs.steps import Step as JobStep
from ogagent.model.disk import Partition
from ogagent.model.job import State
from ogagent.settings import FinishSettings, Settings
from simulator.ext4 import check, read_tree, size_of
from simulator.machine.file_finisher import FileFinisher
from simulator.machine.file_machine import FileMachine
from tests.as_restored import AS_RESTORED
from tests.functions.running import Agent, running
from tests.functions.test_capture import ASKED, MIB, MODEL, OTHER, model_disk, settings
from tests.jobs.two_disks import until

CALL: Final = {**ASKED, "par": "2", "method": "unicast-direct"}
WANTED: Final = FinishSettings(boot=False, hostname="pc7")
NAMES: Final = ["grow", "host name", "machine id", "fstab", "resume"]


class Trouble(FileFinisher):
    """What is done before it grows the file system, or while that is mounted."""

    def __init__(self, machine: FileMachine) -> None:
        super().__init__(machine)
        self.before: Callable[[], Awaitable[None]] | None = None
        self.mounted: Callable[[], Awaitable[None]] | None = None

    def grow(self, volume: Volume) -> Step | None:
        if self.before is None:
            return super().grow(volume)
        return Doing(self.before)

    async def in_view(self, work: Callable[[View], Any]) -> Any:
        if self.mounted is not None:
            await self.mounted()
        return await super().in_view(work)


class Doing:
    name: Final = "grow"
    would: Final = "it is grown"
    warnings: Final = ()

    def __init__(self, act: Callable[[], Awaitable[None]]) -> None:
        self._act = act

    async def needed(self) -> bool:
        return True

    async def do(self) -> None:
        await self._act()

    async def proof(self) -> None: ...


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    return folder


@asynccontextmanager
async def room(
    folder: Path, images: Path, wanted: FinishSettings = WANTED, journal: Journal | None = None
) -> AsyncIterator[tuple[Agent, Trouble]]:
    """An agent whose model is captured already."""
    if not (folder / "disk").exists():
        model_disk(folder)
    all_settings: Settings = replace(settings(folder, images), finish=wanted)
    trouble = Trouble(FileMachine([folder / "disk"]))

    def equip(equipment: Equipment) -> Equipment:
        return replace(equipment, finisher=trouble)

    async with running(folder, all_settings, equip, journal=journal) as agent:
        if not (images / "base.img").exists():
            job, _ = await agent.run("CrearImagen", **ASKED)
            assert job.state is State.SUCCEEDED, job.error
        yield agent, trouble


async def target(agent: Agent) -> Partition:
    return (await agent.inventory()).partitions[1]


async def text(folder: Path, path: str) -> bytes:
    tree = await asyncio.to_thread(read_tree, folder / "disk", offset=OTHER.start)
    return tree[path].content


async def test_the_partition_is_ready_when_ogcore_is_told(tmp_path: Path, images: Path) -> None:
    async with room(tmp_path, images) as (agent, _):
        job, report = await agent.run("RestaurarImagen", **CALL)
        part = await target(agent)
    assert (job.state, job.error, job.warnings, report["res"]) == (State.SUCCEEDED, None, (), "1")
    assert [(step.name, step.state) for step in job.steps] == [
        ("grow", "done"),
        ("host name", "done"),
        ("machine id", "not-needed"),
        ("fstab", "not-needed"),
        ("resume", "not-needed"),
    ]
    assert job.timings.finishing
    assert (part.incomplete, part.unfinished) == (False, False)
    assert await text(tmp_path, "/etc/hostname") == b"pc7\n"
    assert await text(tmp_path, "/etc/hosts") == b"127.0.0.1 localhost\n127.0.1.1 pc7\n"
    await asyncio.to_thread(check, tmp_path / "disk", offset=OTHER.start)
    assert await asyncio.to_thread(size_of, tmp_path / "disk", offset=OTHER.start) == OTHER.size
    assert await asyncio.to_thread(size_of, tmp_path / "disk", offset=MODEL.start) == 64 * MIB


async def test_a_step_that_fails_is_named_and_the_partition_is_unfinished(tmp_path: Path, images: Path) -> None:
    async def fails() -> None:
        raise NotReady("there is no more room", hint="make some")

    async with room(tmp_path, images) as (agent, trouble):
        trouble.before = fails
        job, report = await agent.run("RestaurarImagen", **CALL)
        assert (job.state, report["res"], report["der"]) == (State.FAILED, "2", "094-grow: there is no more room")
        assert job.error is not None
        assert job.error.hint == "make some"
        assert [(step.name, step.state) for step in job.steps] == [("grow", "failed")]
        part = await target(agent)
        assert (part.incomplete, part.unfinished) == (False, True)
        assert report["cfg"][2]["fsi"] == "EXT4"
        trouble.before = None
        job, _ = await agent.run("RestaurarImagen", **CALL)
        assert job.state is State.SUCCEEDED
        assert not (await target(agent)).unfinished


async def test_a_failure_may_be_a_warning(tmp_path: Path, images: Path) -> None:
    async def fails() -> None:
        raise NotReady("there is no more room")

    async with room(tmp_path, images, replace(WANTED, on_failure="warn")) as (agent, trouble):
        trouble.before = fails
        job, report = await agent.run("RestaurarImagen", **CALL)
        assert (job.state, report["res"], report["der"]) == (State.SUCCEEDED, "1", "")
        assert job.warnings == ("094-grow: there is no more room",)
        assert not (await target(agent)).unfinished


async def test_nothing_is_finished_where_nothing_is_wanted(tmp_path: Path, images: Path) -> None:
    async with room(tmp_path, images, AS_RESTORED) as (agent, _):
        job, _ = await agent.run("RestaurarImagen", **CALL)
    assert (job.state, job.steps, job.timings.finishing) == (State.SUCCEEDED, (), 0.0)
    assert await text(tmp_path, "/etc/hostname") == b"modelo\n"


async def test_a_cancel_leaves_it_unfinished(tmp_path: Path, images: Path) -> None:
    begun = asyncio.Event()

    async def waits() -> None:
        begun.set()
        await asyncio.Event().wait()

    async with room(tmp_path, images) as (agent, trouble):
        trouble.mounted = waits
        job = await agent.start("RestaurarImagen", **CALL)
        await begun.wait()
        assert agent.jobs.job(job.job_id).progress <= 99
        done = await agent.jobs.cancel(job.job_id)
        assert done.state is State.CANCELLED
        assert (await target(agent)).unfinished


async def test_whoever_comes_after_a_death_goes_on(tmp_path: Path, images: Path) -> None:
    """The journal is looked at in the middle, as a death would leave it."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def waits() -> None:
        begun.set()
        await go_on.wait()
        raise NotReady("this agent is dead by now")

    journal = Journal.in_memory()
    async with room(tmp_path, images, journal=journal) as (agent, trouble):
        trouble.mounted = waits
        job = await agent.start("RestaurarImagen", **CALL)
        await begun.wait()
        (left,) = await asyncio.to_thread(journal.unended)
        assert (left.step, left.note) == (JobStep.FINISHING, b'{"done":["grow"]}')
        marked = MarkedDisks(FileMachine([tmp_path / "disk"]), journal)
        trouble.mounted = None
        (ended,) = await settle_unended(journal, marked, KINDS, agent.functions.recoveries, report=True)
        assert ended.state is State.SUCCEEDED
        assert await asyncio.to_thread(journal.incomplete) == {}
        go_on.set()
        await until(lambda: not agent.jobs.busy)
    assert await text(tmp_path, "/etc/hostname") == b"pc7\n"
    assert job.job_id == ended.job_id


async def test_what_cannot_be_taken_up_again_is_interrupted_and_unfinished(tmp_path: Path, images: Path) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def waits() -> None:
        if begun.is_set():
            raise NotReady("it cannot be mounted")
        begun.set()
        await go_on.wait()

    journal = Journal.in_memory()
    async with room(tmp_path, images, journal=journal) as (agent, trouble):
        trouble.mounted = waits
        await agent.start("RestaurarImagen", **CALL)
        await begun.wait()
        marked = MarkedDisks(FileMachine([tmp_path / "disk"]), journal)
        (ended,) = await settle_unended(journal, marked, KINDS, agent.functions.recoveries, report=True)
        assert (ended.state, ended.error and ended.error.number) == (State.INTERRUPTED, 93)
        assert (await marked.inventory()).disks[0].partitions[1].unfinished
        go_on.set()
        await until(lambda: not agent.jobs.busy)


async def test_a_plan_tells_what_will_be_done(tmp_path: Path, images: Path) -> None:
    async with room(tmp_path, images, replace(WANTED, hook="/etc/hook")) as (agent, _):
        work = await agent.jobs.plan(agent.functions["RestaurarImagen"].order(CALL))
        preview = await work.preview()
    assert preview.finish == (
        "grow: the file system fills its 100.0 MiB",
        "identity: it is called pc7; machine id, host keys and fstab are its own",
        "hook: /etc/hook is run",
    )
