"""The agent of an installed system, from its HTTP interface down to a seat where somebody may sit."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from aiohttp.test_utils import TestClient, TestServer

from ogagent.functions.installed import InstalledFunctions, InstalledHost
from ogagent.http.access import SecretAccess
from ogagent.http.app import make_app
from ogagent.installed.ledger import Surroundings
from ogagent.installed.people import Nobody, People
from ogagent.jobs.disks import MarkedDisks
from ogagent.jobs.journal import Journal
from ogagent.jobs.manager import JobManager
from ogagent.jobs.numbers import ToldNumbers
from ogagent.model.disk import Disk, Inventory, Partition
from ogagent.model.hardware import Component, Hardware
from ogagent.model.job import Job
from ogagent.model.software import Package, Software
from ogagent.settings import MachineSettings, ScriptSettings, Settings
from ogagent.settings_state import StateSettings
from ogagent.system.logind import Session
from ogagent.system.metrics import Metrics
from simulator.machine.seat import Seat, SeatDesktop
from tests.jobs.two_disks import Recorder
from tests.power_twin import StillPower

SECRET: Final = "0123456789abcdef" * 4
MIB: Final = 1 << 20


def _row(number: int, mounted: str | None) -> Partition:
    return Partition(
        partition=number,
        device=f"/dev/sda{number}",
        start=number * MIB,
        size=MIB,
        code="8300",
        filesystem="ext4",
        mounted=mounted,
    )


DISK: Final = Disk(
    disk=1, device="/dev/sda", identity="wwn:1;size:8388608", model="M", size=8 * MIB, sector_size=512, table="gpt",
    partitions=(_row(1, "/boot"), _row(2, "/"), _row(3, None)),
)  # fmt: skip


class Disks:
    """Implements ``Inventoried``, and nothing else: there is nothing that could be opened."""

    async def inventory(self, *, thorough: bool = True) -> Inventory:  # noqa: ARG002 - there is no more to it
        return Inventory(disks=(DISK,))


class Insight:
    async def hardware(self) -> Hardware:
        return Hardware(components=(Component(code="cpu", name="a processor"),))

    async def software_here(self) -> Software:
        return Software(system="Debian GNU/Linux 12 (bookworm)", packages=(Package(name="bash", version="5.2"),))


class Agent:
    def __init__(self, client: TestClient[Any, Any], jobs: JobManager, people: People, host: InstalledHost) -> None:
        self.client, self.jobs, self.people = client, jobs, people
        assert isinstance(host.desktop, SeatDesktop)
        assert isinstance(host.logind, Seat)
        assert isinstance(host.power, StillPower)
        self.desktop, self.seat, self.power = host.desktop, host.logind, host.power
        self.told: Recorder

    async def get(self, path: str) -> tuple[int, Any]:
        async with self.client.get(path) as response:
            return response.status, await response.json(content_type=None)

    async def post(self, path: str, body: object = None) -> tuple[int, Any]:
        async with self.client.post(path, data=json.dumps({} if body is None else body)) as response:
            return response.status, await response.json(content_type=None)

    async def sees(self, *sessions: Session) -> None:
        await self.people.present(sessions)

    def final(self) -> Mapping[str, Any]:
        """The report that ends the one job there was."""
        ((report,),) = self.told.finals.values()
        return report

    async def last_job(self) -> Job:
        """As it ended."""
        job = self.jobs.jobs()[0]
        while not job.final:
            job = await self.jobs.changed(job.job_id, job)
        return job


@asynccontextmanager
async def installed_agent(folder: Path, *, scripts: bool = True) -> AsyncIterator[Agent]:
    settings = Settings(
        state=StateSettings(dir=str(folder)), machine=MachineSettings(script=ScriptSettings(enabled=scripts))
    )
    host = InstalledHost(
        disks=Disks(),
        insight=Insight(),
        power=StillPower(),
        logind=Seat(),
        desktop=SeatDesktop(),
        here=Surroundings(boot="first", language="es_ES.UTF-8", osversion="Debian GNU/Linux 12 (bookworm)"),
    )
    journal, told = Journal.in_memory(), Recorder()
    disks, numbers = MarkedDisks(host.disks, journal), ToldNumbers(journal)
    jobs = JobManager(disks=disks, reporter=told, journal=journal, metrics=Metrics(), numbers=numbers, going_s=0)

    async def farewell(_: float) -> None: ...

    people = People(host.logind, host.desktop, Nobody(), farewell, lambda: None)
    app = make_app(jobs, InstalledFunctions(host, settings), SecretAccess(SECRET), Metrics(), people)
    async with TestClient(TestServer(app, host="127.0.0.1"), headers={"Authorization": SECRET}) as client:
        agent = Agent(client, jobs, people, host)
        agent.told = told
        yield agent
        await jobs.aclose()
