"""Functions on a machine whose disk is a file: a job of each, and what ogCore is told of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace

from ogagent.functions.function import Equipment
from ogagent.functions.table import Functions
from ogagent.jobs.copies import Copies
from ogagent.jobs.disks import MarkedDisks
from ogagent.jobs.journal import Journal
from ogagent.jobs.manager import JobManager
from ogagent.jobs.numbers import ToldNumbers
from ogagent.model.disk import Disk
from ogagent.model.job import Job
from ogagent.service import source_policy
from ogagent.settings import OgCoreSettings, Settings
from ogagent.settings_state import StateSettings
from ogagent.system.metrics import Metrics
from simulator.machine.file_host import host_of
from simulator.machine.file_machine import FileMachine
from simulator.machine.gpt import LINUX_FILESYSTEM, Entry, write_table
from tests.jobs.two_disks import Recorder, until
from tests.power_twin import StillPower

MIB: Final = 1 << 20
SIZE: Final = 16 * MIB
ENTRY: Final = Entry(number=1, start=MIB, size=8 * MIB, type=LINUX_FILESYSTEM, name="Linux")


class Agent:
    """``told`` is what ogCore has been told."""

    def __init__(self, functions: Functions, jobs: JobManager, told: Recorder, journal: Journal) -> None:
        self.functions, self.jobs, self.told, self.journal = functions, jobs, told, journal

    async def inventory(self) -> Disk:
        (disk,) = (await self.jobs.inventory()).disks
        return disk

    async def start(self, name: str, **members: object) -> Job:
        return await self.jobs.start(self.functions[name].order(members))

    async def ended(self, job: Job) -> tuple[Job, Mapping[str, Any]]:
        await until(lambda: job.job_id in self.told.finals and self.jobs.job(job.job_id).final)
        (report,) = self.told.finals[job.job_id]
        return self.jobs.job(job.job_id), report

    async def run(self, name: str, **members: object) -> tuple[Job, Mapping[str, Any]]:
        return await self.ended(await self.start(name, **members))


def settings_in(folder: Path) -> Settings:
    return Settings(state=StateSettings(dir=str(folder / "state")))


def settings_of_a_room(folder: Path) -> Settings:
    """With an ogCore."""
    return replace(settings_in(folder), ogcore=OgCoreSettings(url="https://192.0.2.1"))


@asynccontextmanager
async def running(
    folder: Path,
    settings: Settings | None = None,
    equip: Callable[[Equipment], Equipment] = lambda each: each,
    journal: Journal | None = None,
    going_s: float = 3600,
    copies: Copies | None = None,
) -> AsyncIterator[Agent]:
    disk = folder / "disk"
    if not disk.exists():
        with disk.open("wb") as file:
            file.truncate(SIZE)
            write_table(file, SIZE, (ENTRY,))
    settings = settings or settings_in(folder)
    machine, journal, told = FileMachine([disk]), journal or Journal.in_memory(), Recorder()
    functions = Functions(equip(host_of(machine, power=StillPower()).equipment(settings, source_policy(settings))))
    disks, numbers = MarkedDisks(machine, journal), ToldNumbers(journal)
    jobs = JobManager(
        disks=disks,
        reporter=told,
        journal=journal,
        metrics=Metrics(),
        numbers=numbers,
        copies=copies,
        going_s=going_s,
    )
    try:
        yield Agent(functions, jobs, told, journal)
    finally:
        await jobs.aclose()
        if copies is not None:
            await copies.aclose()
        journal.close()
