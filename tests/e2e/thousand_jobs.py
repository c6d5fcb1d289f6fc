"""A thousand jobs in a row, restored for real from file to file and reported over a socket.

A program of its own, so that what it measures of itself is its own: memory, files and threads. It prints JSON.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import random
import struct
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import psutil
from aiohttp import ClientSession, web

from ogagent.functions.restore import RestaurarImagen
from ogagent.jobs.disks import MarkedDisks
from ogagent.jobs.finals import FinalsInJournal
from ogagent.jobs.journal import MOST_JOBS, Journal
from ogagent.jobs.manager import JobManager
from ogagent.jobs.numbers import ToldNumbers
from ogagent.jobs.running import ended_job, moment
from ogagent.model.job import ByteCounts, Job, State
from ogagent.model.plan import Target
from ogagent.ogcore.address import LocalAddress
from ogagent.ogcore.outbox import Outbox
from ogagent.ogcore.webhook import Webhook
from ogagent.restore.job import restore
from ogagent.restore.plan import Rules
from ogagent.restore.progress import Progress
from ogagent.restore.request import RestorePlan, RestoreRequest
from ogagent.source.source import SourcePolicy
from ogagent.system.metrics import Metrics
from ogagent.system.tls import client_context
from simulator.machine.file_machine import FileMachine
from simulator.machine.gpt import LINUX_FILESYSTEM, Entry, write_table
from tests.jobs.restoring import restoring

MIB: Final = 1 << 20
SIZE: Final = 256 << 10
"""Small, since it is all edge, and the journal keeps the edges of each job for a moment."""
SYSTEM: Final = Entry(number=1, start=MIB, size=SIZE, type=LINUX_FILESYSTEM, name="Linux")
TARGET: Final = Target(
    disk=1, partition=1, device="/disk#1", disk_device="/disk", identity="file:/disk", start=MIB, size=SIZE,
    sector_size=512,
)  # fmt: skip
JOBS: Final = 1000
WARM_UP: Final = 200


class OgCore:
    def __init__(self) -> None:
        self.ends: Counter[str] = Counter()
        self.failures: list[str] = []

    async def take(self, request: web.Request) -> web.Response:
        report = json.loads(await request.read())
        if "res" in report:
            self.ends[report["job_id"]] += 1
            if report["res"] != "1":
                self.failures.append(report["der"])
        return web.Response()


def request(idi: str) -> RestoreRequest:
    return RestoreRequest(dsk=1, par=1, idi=idi, nci="image-test", ipr="repository")


def earlier(number: int) -> Job:
    return Job(
        job_id=f"RestaurarImagen-{number:08x}", function="RestaurarImagen", state=State.RUNNING, phase=None,
        progress=0, bytes=ByteCounts(), rate=0, eta_s=None, retries=0,
        request=request(str(number)).echo(), target=TARGET.named, created=moment(datetime.now(UTC)),
    )  # fmt: skip


class Size:
    """To be taken when the last job has left no thread."""

    def __init__(self) -> None:
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        self.memory = psutil.Process().memory_info().rss
        self.files = len(list(Path("/proc/self/fd").iterdir()))
        # Those of the event loop's own pool come as they are needed, up to a few.
        self.threads = sum(not thread.name.startswith("asyncio") for thread in threading.enumerate())


async def no_thread_left() -> None:
    """Idle threads of a pool that was shut down end by themselves."""
    while any(thread.name.startswith(("restore", "read ")) for thread in threading.enumerate()):  # noqa: ASYNC110 - no event
        await asyncio.sleep(0.01)


@asynccontextmanager
async def agent(folder: Path, hook: str) -> AsyncIterator[tuple[JobManager, RestaurarImagen]]:
    """What ``service.run`` puts together, without its own face."""
    journal = Journal.open(folder / "state")
    for number in range(MOST_JOBS):  # the history is full before anything is measured
        job = earlier(number)
        journal.accept(job, TARGET)
        journal.end(ended_job(job, State.FAILED, None, datetime.now(UTC)), None)
    policy = SourcePolicy(tls=client_context("", "ca"), networks=(), stall_timeout_s=30, retry_for_s=30)
    machine = FileMachine([folder / "disk"])
    known = asyncio.Event()
    known.set()

    async def here() -> LocalAddress:
        return LocalAddress("127.0.0.1", "")

    async def run(plan: RestorePlan, progress: Progress) -> None:
        await restore(plan, machine, policy, progress)

    numbers = ToldNumbers(journal)
    async with ClientSession() as session:
        outbox = Outbox(Webhook(session, hook, "secret"), here, FinalsInJournal(journal, numbers=numbers), known)
        rules = Rules(repository_url=f"file://{folder}/{{nci}}.img", repository_networks=(), cache_required=False)
        disks, history = MarkedDisks(machine, journal), journal.history()
        jobs = JobManager(
            disks=disks, reporter=outbox, journal=journal, metrics=Metrics(), numbers=numbers, history=history
        )
        yield jobs, restoring(machine, rules, run)
        await jobs.aclose()
        await outbox.aclose(10)
        assert journal.undelivered() == []
        journal.close()


@asynccontextmanager
async def served(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    finally:
        await runner.cleanup()


def prepare(folder: Path) -> bytes:
    superblock = struct.pack(">4sIQ", b"XFSB", 4096, SYSTEM.size // 4096)  # as much as makes a raw image of it
    image = superblock + random.Random(1).randbytes(SYSTEM.size - len(superblock))
    (folder / "image-test.img").write_bytes(image)
    with (folder / "disk").open("wb") as file:
        file.truncate(4 * MIB)
        write_table(file, 4 * MIB, (SYSTEM,))
    return image


async def run_all(folder: Path) -> dict[str, Any]:
    image, ogcore, sizes = prepare(folder), OgCore(), list[Size]()
    app = web.Application()
    app.router.add_post("/hook", ogcore.take)
    async with served(app) as hook, agent(folder, hook) as (jobs, function):
        for number in range(JOBS):
            if number % 50 == 0:
                gc.collect()  # when Python would do so is its own affair
            if number == WARM_UP:
                await no_thread_left()
                sizes.append(Size())
            job = await jobs.start(function.order_of(request("1")))
            while not job.final:
                job = await jobs.changed(job.job_id, job)
            while jobs.busy:  # noqa: ASYNC110 - the last lines of a job that has been shown as ended
                await asyncio.sleep(0)
        async with asyncio.timeout(300):
            while len(ogcore.ends) < JOBS:  # noqa: ASYNC110 - ogCore announces nothing
                await asyncio.sleep(0.01)
        await no_thread_left()
        sizes.append(Size())
        shown = len(jobs.jobs())
    first, last = sizes
    disk = (folder / "disk").read_bytes()[SYSTEM.start : SYSTEM.start + SYSTEM.size]
    return {
        "jobs": JOBS,
        "measured": JOBS - WARM_UP,
        "shown": shown,
        "lost": JOBS - len(ogcore.ends),
        "doubled": sum(count > 1 for count in ogcore.ends.values()),
        "failures": ogcore.failures,
        "memory": last.memory - first.memory,
        "files": last.files - first.files,
        "threads": last.threads - first.threads,
        "true": disk == image,
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run_all(Path(sys.argv[1])))))
