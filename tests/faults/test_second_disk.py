"""While one disk is restored another one hangs, or answers with errors: nothing of the first is withheld."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp.test_utils import TestClient, TestServer

from ogagent.functions.table import Functions
from ogagent.http.access import SecretAccess
from ogagent.http.app import make_app
from ogagent.jobs.disks import MarkedDisks
from ogagent.jobs.journal import Journal
from ogagent.jobs.manager import JobManager
from ogagent.jobs.numbers import ToldNumbers
from ogagent.model.job import Job, State
from ogagent.settings import CacheSettings, RepositorySettings, Settings
from ogagent.system.metrics import Metrics
from simulator.machine.file_host import host_of
from simulator.machine.file_machine import FileMachine
from tests.as_restored import AS_RESTORED
from tests.faults.bench import DISK_SIZE, WELL, Bench, Cell, Matrix
from tests.faults.images import KINDS, image
from tests.jobs.two_disks import Recorder

CELL: Final = Cell(data=image("crc32", "zstd"), restored=KINDS["crc32"].restored, faults=("repository:stall@50%",))
CALL: Final = {"dsk": "1", "par": "2", "idi": "1", "nci": "x", "ipr": "127.0.0.1", "method": "unicast-direct"}
SECRET: Final = "0123456789abcdef" * 4
_WAIT_S: Final = 300


def sound(disk: Path) -> None:
    with disk.open("wb") as file:
        file.truncate(DISK_SIZE)


def hangs(disk: Path) -> None:
    """Whoever opens it waits until somebody writes."""
    disk.unlink(missing_ok=True)
    os.mkfifo(disk)


def fails(disk: Path) -> None:
    """The first page of memory is nobody's: reading it is EIO."""
    disk.unlink(missing_ok=True)
    disk.symlink_to("/proc/self/mem")


def let_go(disk: Path) -> None:
    try:
        os.close(os.open(disk, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return  # nobody waits


class Agent:
    def __init__(self, client: TestClient[Any, Any], jobs: JobManager, told: Recorder) -> None:
        self.client, self.jobs, self.told = client, jobs, told

    async def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        async with self.client.request(method, path, json=body) as response:
            return response.status, await response.json(content_type=None)

    async def problem(self) -> str:
        """Of the second disk, while the first shows what it has."""
        status, inventory = await self.call("GET", "/disks")
        first, second = inventory["disks"]
        assert (status, first["problem"], len(first["partitions"]), second["partitions"]) == (200, "", 1, [])
        return str(second["problem"])

    async def changed_until(self, job_id: str, condition: Callable[[Job], bool]) -> Job:
        job = self.jobs.job(job_id)
        async with asyncio.timeout(_WAIT_S):
            while not condition(job):
                job = await self.jobs.changed(job_id, job)
        return job


@asynccontextmanager
async def running(bench: Bench, second: Path) -> AsyncIterator[Agent]:
    """Who answers has all the time that it needs."""
    machine = FileMachine(
        [bench.disk, second],
        lambda: bench.faults,
        limit=lambda device: asyncio.timeout(0.2 if Path(device).is_fifo() else None),
    )

    async with bench.source() as url:
        settings = Settings(
            repository=RepositorySettings(url=url, allow=("127.0.0.0/8",)),
            cache=CacheSettings(required=False),
            finish=AS_RESTORED,
        )
        functions = Functions(host_of(machine).equipment(settings, bench.policy))
        told, journal = Recorder(), Journal.in_memory()
        disks = MarkedDisks(machine, journal)
        jobs = JobManager(disks=disks, reporter=told, journal=journal, metrics=Metrics(), numbers=ToldNumbers(journal))
        app = make_app(jobs, functions, SecretAccess(SECRET), Metrics())
        async with TestClient(TestServer(app, host="127.0.0.1"), headers={"Authorization": SECRET}) as client:
            yield Agent(client, jobs, told)
            await jobs.aclose()
        journal.close()


@pytest.mark.parametrize("begins", ["before", "meanwhile"])
@pytest.mark.parametrize(
    ("sick", "problem"),
    [(hangs, "it cannot be read: it does not answer"), (fails, "it cannot be read: Input/output error")],
)
async def test_a_second_disk(matrix: Matrix, sick: Callable[[Path], None], problem: str, begins: str) -> None:
    with matrix.folder() as folder, matrix.cell("second disk", f"{sick.__name__} {begins}"):
        second = folder / "second"
        bench = Bench(folder, CELL)
        try:
            (sick if begins == "before" else sound)(second)
            async with running(bench, second) as agent:
                status, accepted = await agent.call("POST", "/CloningEngine/RestaurarImagen", CALL)
                assert status == 200, accepted
                job_id = accepted["job_id"]
                await agent.changed_until(job_id, lambda job: job.bytes.received > 0)
                if begins == "meanwhile":
                    sick(second)
                for path in ("/plan", "/CloningEngine/RestaurarImagen"):
                    assert await agent.problem() == problem
                    assert (await agent.call("POST", path, CALL))[1]["code"] == "disk-busy"
                    status, refusal = await agent.call("POST", path, CALL | {"dsk": "2"})
                    assert (status, refusal["code"]) == (422, "disk-not-partitioned")
                    assert problem in refusal["error"]
                bench.faults = ()
                job = await agent.changed_until(job_id, lambda job: job.final)
                assert job.state is State.SUCCEEDED, job.error
                async with asyncio.timeout(_WAIT_S):
                    while agent.jobs.busy:  # noqa: ASYNC110 - the report is on its way
                        await asyncio.sleep(0)
                (report,) = agent.told.finals[job_id]
                assert [(row["disk"], row["par"]) for row in report["cfg"]] == [("1", "0"), ("1", "2")]
                status, plan = await agent.call("POST", "/plan", CALL)
                assert (status, plan["target"]["disk"]) == (200, 1)
            assert bench.partition() == CELL.restored
            matrix.endings[WELL] += 1
        finally:
            let_go(second)
            second.unlink()
