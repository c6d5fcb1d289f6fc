"""A machine whose disk is a file, a partition on it that says whose restore it is, and a shelf in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace

from ogagent.disk.record import LENGTH, PLACE, JobRecord, decode, disk_mark, encode
from ogagent.errors import CacheError
from ogagent.functions.restore import KIND
from ogagent.jobs.entry import Ended
from ogagent.jobs.journal import Journal
from ogagent.jobs.running import as_value, ended_job, now
from ogagent.jobs.steps import Step
from ogagent.model.disk import Inventory
from ogagent.model.job import ByteCounts, Job, JobTarget, State
from ogagent.model.plan import Target
from ogagent.model.report import final_report
from simulator.machine.file_machine import FileMachine
from simulator.machine.gpt import LINUX_FILESYSTEM, Entry, write_table

MIB: Final = 1 << 20
JOB_ID: Final = "RestaurarImagen-dfa42888"
CREATED: Final = "2026-11-24T10:00:00.000Z"
REQUEST: Final = {"nfn": "RestaurarImagen", "dsk": "1", "par": "1", "idi": "i", "nci": "x", "ifs": "3", "ids": "7"}
CONFIGURING: Final[dict[str, Any]] = {
    "job_id": "Configurar-00000001", "function": "Configurar", "image": "",
    "request": {"nfn": "Configurar", "dsk": "1", "ids": "9"},
}  # fmt: skip
FIRST: Final = Entry(number=1, start=MIB, size=8 * MIB, type=LINUX_FILESYSTEM)
SECOND: Final = Entry(number=2, start=9 * MIB, size=8 * MIB, type=LINUX_FILESYSTEM)


class Lost:
    """What is there when the power is back: the disk. ``record`` is that of a job which has died on it."""

    def __init__(self, folder: Path) -> None:
        self.disk = folder / "disk"
        with self.disk.open("wb") as file:
            file.truncate(18 * MIB)
            write_table(file, 18 * MIB, (FIRST, SECOND))
        self.machine = FileMachine([self.disk])
        self.identity = f"file:{self.disk};size:{18 * MIB}"
        self.record = JobRecord(
            job_id=JOB_ID, function="RestaurarImagen", request=REQUEST, image="x", started=CREATED,
            disk=disk_mark(self.identity), size=FIRST.size,
        )  # fmt: skip

    def write(self, record: JobRecord | None = None, entry: Entry = FIRST, **changes: Any) -> None:
        with self.disk.open("r+b") as file:
            file.seek(entry.start + PLACE)
            file.write(encode(replace(record or self.record, **changes)))

    def read(self, entry: Entry = FIRST) -> JobRecord | None:
        with self.disk.open("rb") as file:
            file.seek(entry.start + PLACE)
            return decode(file.read(LENGTH))

    def write_on_disk(self, **changes: Any) -> None:
        """The record of one that changed the table, in the gap before the partitions."""
        page = encode(replace(self.record, **{**CONFIGURING, "size": 18 * MIB, **changes}))
        with self.disk.open("r+b") as file:
            file.seek(PLACE)
            file.write(page)

    def read_on_disk(self) -> JobRecord | None:
        with self.disk.open("rb") as file:
            file.seek(PLACE)
            return decode(file.read(LENGTH))

    def target(self, entry: Entry = FIRST) -> Target:
        return Target(
            disk=1, partition=entry.number, device=f"{self.disk}#{entry.number}", disk_device=str(self.disk),
            identity=self.identity, start=entry.start, size=entry.size, sector_size=512,
        )  # fmt: skip

    def job(self, job_id: str = JOB_ID) -> Job:
        return Job(
            job_id=job_id, function="RestaurarImagen", state=State.RUNNING, phase=None, progress=41,
            bytes=ByteCounts(), rate=0, eta_s=None, retries=0, request=REQUEST,
            target=JobTarget(disk=1, partition=1, device=f"{self.disk}#1", identity=self.identity), created=CREATED,
        )  # fmt: skip

    def ended(self, error: Exception | None, job_id: str = JOB_ID) -> Ended:
        """A job that this agent's predecessor has seen end, with ``error`` or well."""
        failure = None if error is None else as_value(error)  # type: ignore[arg-type] # of the agent's own
        state = State.SUCCEEDED if error is None else State.FAILED
        job = ended_job(self.job(job_id), state, failure, now())
        return Ended(job=job, target=self.target(), report={**final_report(job, KIND, Inventory(), {}), "seq": 17})

    def in_journal(self, journal: Journal, error: Exception | None) -> None:
        """The same, by its steps."""
        ended = self.ended(error)
        journal.accept(self.job(), self.target())
        journal.advance(JOB_ID, Step.TOUCHED)
        if error is None:
            journal.advance(JOB_ID, Step.COMMITTING, b"edges")
        journal.end(ended.job, ended.report)


class MemoryShelf:
    """Implements ``ogagent.disk.machine.ReportShelf``. ``broken``: the CACHE cannot be used."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.broken = False

    async def put(self, name: str, content: bytes) -> None:
        self._use()
        self.files[name] = content

    async def list(self, most: int, largest: int) -> dict[str, bytes]:
        self._use()
        small = {name: content for name, content in self.files.items() if len(content) <= largest}
        return dict(list(small.items())[:most])

    async def remove(self, name: str) -> None:
        self._use()
        self.files.pop(name, None)

    def _use(self) -> None:
        if self.broken:
            raise CacheError("the CACHE is full")
