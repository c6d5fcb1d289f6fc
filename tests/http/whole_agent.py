"""An agent from its HTTP interface down to a disk that is a file, with a repository that has one image."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import socket
import struct
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from ogagent.functions.table import Functions
from ogagent.http.access import SecretAccess
from ogagent.http.app import make_app
from ogagent.jobs.disks import MarkedDisks
from ogagent.jobs.journal import Journal
from ogagent.jobs.manager import JobManager
from ogagent.jobs.numbers import ToldNumbers
from ogagent.model.job import Job
from ogagent.ogcore.outbox import NoOutbox
from ogagent.restore.caching import Caching
from ogagent.service import source_policy
from ogagent.settings import (
    CrowdSettings,
    MachineSettings,
    RepositorySettings,
    RestoreSettings,
    ScriptSettings,
    Settings,
)
from ogagent.system.metrics import Metrics
from simulator.machine.file_host import host_of
from simulator.machine.file_machine import FileMachine
from simulator.machine.gpt import LINUX_FILESYSTEM, Entry, write_table
from tests.as_restored import AS_RESTORED
from tests.power_twin import StillPower

MIB: Final = 1 << 20
SECRET: Final = "0123456789abcdef" * 4
SYSTEM: Final = Entry(number=2, start=MIB, size=2 * MIB, type=LINUX_FILESYSTEM)
CACHE: Final = Entry(number=4, start=3 * MIB, size=MIB, type=LINUX_FILESYSTEM, name="CACHE")
DISK_SIZE: Final = 5 * MIB
SUPERBLOCK: Final = struct.pack(">4sIQ", b"XFSB", 4096, SYSTEM.size // 4096)
IMAGE: Final = SUPERBLOCK + random.Random(1).randbytes(SYSTEM.size - len(SUPERBLOCK))
HTTP: Final = "http://{ipr}:%(port)s/{nci}.img"
HTTPS: Final = "https://{ipr}/{nci}.img"
"""Nobody answers there."""
FILE: Final = "file://%(folder)s/{nci}.img"


class Agent:
    """One disk, with a partition 2 for the image ``image-test`` and a CACHE."""

    def __init__(self, client: TestClient[Any, Any], jobs: JobManager, disk: Path) -> None:
        self.client, self.jobs, self.disk = client, jobs, disk

    async def post(self, path: str, body: object) -> tuple[int, dict[str, Any]]:
        async with self.client.post(path, data=json.dumps(body)) as response:
            return response.status, await response.json(content_type=None)

    async def plan(self, body: object) -> tuple[int, dict[str, Any]]:
        return await self.post("/plan", body)

    async def deploy(self, body: object) -> tuple[int, Job | dict[str, Any]]:
        """The job as it ended, or why there is none."""
        status, answer = await self.post("/CloningEngine/RestaurarImagen", body)
        return status, await self.ended(answer["job_id"]) if status == 200 else answer

    async def ended(self, job_id: str) -> Job:
        job = self.jobs.job(job_id)
        while not job.final:
            job = await self.jobs.changed(job_id, job)
        return job

    async def identity(self) -> str:
        return (await self.jobs.inventory()).disks[0].identity

    @property
    def content(self) -> bytes:
        return self.disk.read_bytes()[SYSTEM.start : SYSTEM.start + SYSTEM.size]


@asynccontextmanager
async def whole_agent(repository_url: str) -> AsyncIterator[Agent]:
    with _scratch() as folder, _no_name_server():
        disk, images = folder / "disk", folder / "images"
        with disk.open("wb") as file:
            file.truncate(DISK_SIZE)
            write_table(file, DISK_SIZE, (SYSTEM, CACHE))
        images.mkdir()
        (images / "image-test.img").write_bytes(IMAGE)
        full_sum = hashlib.md5(IMAGE, usedforsecurity=False).hexdigest()
        (images / "image-test.img.full.sum").write_text(full_sum, encoding="utf-8")
        repository = web.Application()
        repository.router.add_static("/", images)
        async with TestServer(repository, host="127.0.0.1") as server:
            url = repository_url % {"port": server.port, "folder": images}
            settings = Settings(
                repository=RepositorySettings(url=url, allow=("127.0.0.0/8", "::1/128")),
                restore=RestoreSettings(retry_for_s=0, stall_timeout_s=10),
                finish=AS_RESTORED,
                # Nobody sends anything here.
                crowd=CrowdSettings(join_timeout_s=0.2),
                # Whatever is generated for one would be run here, as root.
                machine=MachineSettings(script=ScriptSettings(enabled=False)),
            )
            async with _agent(settings, disk) as agent:
                yield agent


@asynccontextmanager
async def _agent(settings: Settings, disk: Path) -> AsyncIterator[Agent]:
    machine, policy = FileMachine([disk]), source_policy(settings)
    host = host_of(machine, power=StillPower())
    functions = Functions(host.equipment(settings, policy, Caching(host.store, "evict")))
    journal = Journal.in_memory()
    disks = MarkedDisks(machine, journal)
    numbers = ToldNumbers(journal)
    jobs = JobManager(disks=disks, reporter=NoOutbox(), journal=journal, metrics=Metrics(), numbers=numbers, going_s=0)
    minutes = itertools.count(0.0, 60.0)  # between any two wrong credentials: each call is tried with some
    app = make_app(jobs, functions, SecretAccess(SECRET, lambda: next(minutes)), Metrics())
    async with TestClient(TestServer(app, host="127.0.0.1"), headers={"Authorization": SECRET}) as client:
        yield Agent(client, jobs, disk)
        await jobs.aclose()


@contextmanager
def _scratch() -> Iterator[Path]:
    """In memory where there is such a directory: a thousand flushes are no fun on a disk."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="agent-", dir=memory if memory.is_dir() else None) as name:
        yield Path(name)


@contextmanager
def _no_name_server() -> Iterator[None]:
    """The system's own resolver, which reads addresses, fails on what it fails on, and asks nobody for a name."""
    asked = socket.getaddrinfo

    def numeric(host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> Any:  # noqa: A002
        return asked(host, port, family, type, proto, flags | socket.AI_NUMERICHOST)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", numeric)
        yield
