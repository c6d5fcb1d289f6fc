"""Jobs that are a value in the test, for the calls to ask."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from functools import partial

import msgspec

from ogagent.errors import DiskBusy, ImageTooLarge, JobFinished, JobNotFound
from ogagent.http.telling import Heard
from ogagent.jobs.work import Order, Work
from ogagent.model.disk import Disk, Inventory, Partition
from ogagent.model.job import ByteCounts, Job, JobTarget, Phase, State
from ogagent.model.plan import ImageHeader, Preview, Target
from ogagent.restore.progress import Progress
from ogagent.restore.request import RestoreRequest
from tests.http.asked import planned, request_of

PARTITION = Partition(partition=2, device="/dev/sda2", start=1 << 20, size=1 << 30, code="8300", filesystem="ext4")
DISK = Disk(
    disk=1, device="/dev/sda", identity="wwn-1", model="M", size=1 << 31, sector_size=512, table="gpt",
    partitions=(PARTITION,),
)  # fmt: skip

TARGET = Target(
    disk=1, partition=2, device="/dev/sda2", disk_device="/dev/sda", identity="wwn-1", start=1 << 20, size=1 << 30,
    sector_size=512,
)  # fmt: skip
HEADER = ImageHeader(
    container="zstd", format="partclone 0002", filesystem="EXTFS", block_size=4096, device_size=1, used_bytes=1
)


def make_job(job_id: str, request: dict[str, str]) -> Job:
    return Job(
        job_id=job_id,
        function="RestaurarImagen",
        state=State.RUNNING,
        phase=Phase.FETCHING,
        progress=41,
        bytes=ByteCounts(image=10),
        rate=5,
        eta_s=1,
        retries=0,
        request=request,
        target=JobTarget(disk=1, partition=2, device="/dev/sda2", identity="wwn-1"),
        created="2026-11-24T10:00:00.000Z",
        timings=Progress().timings,
    )


class FakeJobs:
    def __init__(self) -> None:
        self.known: dict[str, Job] = {}
        self.asked: list[RestoreRequest] = []

    @property
    def busy(self) -> bool:
        return any(not job.final for job in self.known.values())

    async def plan(self, order: Order) -> Work:
        request = request_of(order)
        if self.busy:
            raise DiskBusy("disk 1 is held", job_id=next(iter(self.known)))

        async def preview() -> Preview:
            if request.nci == "too-large":
                raise ImageTooLarge("The image needs 2 bytes", hint="a larger partition")
            return Preview(target=TARGET, source=f"https://repository/{request.nci}.img", image=HEADER)

        return planned(preview)

    async def start(self, order: Order) -> Job:
        request = request_of(order)
        self.asked.append(request)
        if self.busy:
            raise DiskBusy("disk 1 is held", job_id=next(iter(self.known)))
        job = make_job(f"RestaurarImagen-{len(self.known):08x}", request.echo())
        self.known[job.job_id] = job
        return job

    def jobs(self) -> list[Job]:
        return list(reversed(self.known.values()))

    def job(self, job_id: str) -> Job:
        if job_id not in self.known:
            raise JobNotFound(f"there is no job {job_id}", job_id=job_id)
        return self.known[job_id]

    async def changed(self, job_id: str, seen: Job | None) -> Job:
        raise AssertionError(f"nobody follows {job_id} here, nor has seen {seen}")

    async def cancel(self, job_id: str) -> Job:
        if self.job(job_id).final:
            raise JobFinished(f"job {job_id} has finished", job_id=job_id)
        await asyncio.sleep(0)
        self.known[job_id] = msgspec.structs.replace(self.known[job_id], state=State.CANCELLED, phase=None)
        return self.known[job_id]

    def holding(self, order: Order) -> AbstractAsyncContextManager[Work]:
        raise NotImplementedError(order)

    async def inventory(self) -> Inventory:
        return Inventory(disks=(DISK,))

    async def telling(self, _: Inventory) -> Heard:
        return partial(asyncio.sleep, 0)
