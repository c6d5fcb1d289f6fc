"""One cell of the matrix: a restore with a fault, and what must be true afterwards, whatever the fault was."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import ssl
import tempfile
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Struct
from msgspec.structs import replace

from ogagent.disk import blkid
from ogagent.disk.machine import Machine
from ogagent.errors import AgentError
from ogagent.model.job import ByteCounts
from ogagent.model.method import Engine, Session
from ogagent.model.plan import Target
from ogagent.restore.caching import Caching
from ogagent.restore.crowd import Crowding
from ogagent.restore.job import restore
from ogagent.restore.progress import Progress
from ogagent.restore.request import RestorePlan, restore_request
from ogagent.source.source import SourcePolicy
from simulator.faults import Fault, parse_fault
from simulator.machine.file_machine import FileMachine
from simulator.machine.gpt import LINUX_FILESYSTEM, Entry, write_table
from simulator.repository.app import PREFIX, repository_app
from tests.faults.images import BEFORE, EDGES, MIB, SIZE
from tests.records import without_record

PARTITION: Final = Entry(number=2, start=2 * MIB, size=SIZE, type=LINUX_FILESYSTEM)
DISK_SIZE: Final = PARTITION.start + SIZE + 2 * MIB
JOB_ID: Final = "RestaurarImagen-dfa42888"
CREATED: Final = "2026-11-24T10:00:00.000Z"
CACHE: Final = Target(
    disk=1, partition=4, device="cache", disk_device="", identity="", start=0, size=0, sector_size=512
)
WELL: Final = 0
CANCELLED: Final = -1
_NEIGHBOURS: Final = random.Random(3).randbytes(MIB)
EDGE: Final = MIB
LOOPBACK: Final = SourcePolicy(tls=ssl.create_default_context(), networks=None, stall_timeout_s=30, retry_for_s=0)
_WAIT_S: Final = 300
_AT_ONCE: Final = 8
_ROOM: Final = 2 << 30


class Matrix:
    """How the cells of this run ended."""

    def __init__(self) -> None:
        self.cells: Counter[str] = Counter()
        self.endings: Counter[int] = Counter()
        self.violations: list[str] = []
        self._folders = ExitStack()
        self._free: list[Path] = []

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """For a disk and an image, used again and again: files that are there already are written faster."""
        folder = self._free.pop() if self._free else self._folders.enter_context(_scratch())
        yield folder
        for rest in folder.glob("x.img.*"):
            rest.unlink()
        self._free.append(folder)

    def close(self) -> None:
        self._folders.close()

    @contextmanager
    def cell(self, family: str, name: str) -> Iterator[None]:
        self.cells[family] += 1
        try:
            yield
        except Exception:
            self.violations.append(f"{family}: {name}")
            raise


class Cell(Struct, frozen=True, kw_only=True):
    """``data`` is the image file, ``restored`` what the partition must hold when all goes well.

    ``ends`` are the numbers that the job may end with; ``sidecars`` lie beside the image, by their suffix.
    """

    data: bytes
    restored: bytes
    faults: tuple[str, ...] = ()
    sidecars: dict[str, bytes] = {}
    ends: tuple[int, ...] = (WELL,)
    read_back: bool = True
    before: bytes = BEFORE
    stall_s: float = 30
    retry_s: float = 0
    local: bool = False
    """From a file, not through a socket."""
    url: str = ""
    """Where the image is looked for, when not in the repository."""
    keys: tuple[Ed25519PublicKey, ...] = ()
    """Of those who may sign images."""
    code: str = "83"
    """Of the partition, as ogCore has it."""
    honest: bool = True
    """The disk does what it says, or at least says what it does not do."""


class Ending(Struct, frozen=True, kw_only=True):
    number: int
    touched: bool
    retries: int
    message: str
    counts: ByteCounts
    warnings: tuple[str, ...]


@contextmanager
def _scratch() -> Iterator[Path]:
    """In memory where there is such a directory, and room: thousands of flushes are no fun on a disk."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > _ROOM
    with tempfile.TemporaryDirectory(prefix="faults-", dir=memory if roomy else None) as name:
        yield Path(name)


def make_disk(path: Path, before: bytes) -> None:
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT), "r+b") as file:
        file.truncate(DISK_SIZE)
        write_table(file, DISK_SIZE, (PARTITION,))
        file.seek(MIB)
        file.write(_NEIGHBOURS)
        file.seek(PARTITION.start)
        file.write(before)
        file.write(_NEIGHBOURS)


def target_of(disk: Path) -> Target:
    return Target(
        disk=1,
        partition=PARTITION.number,
        device=f"{disk}#2",
        disk_device=str(disk),
        identity=f"file:{disk.resolve()};size:{DISK_SIZE}",
        start=PARTITION.start,
        size=PARTITION.size,
        sector_size=512,
    )


def plan_for(disk: Path, source: str, cache: Target | None = None, code: str = "83") -> RestorePlan:
    call = {"dsk": "1", "par": "2", "idi": "1", "nci": "x", "ipr": "127.0.0.1", "cpt": code}
    return RestorePlan(request=restore_request(call), target=target_of(disk), source=source, cache=cache)


class Bench:
    """The disk and the repository of one cell, below ``folder``."""

    def __init__(self, folder: Path, cell: Cell) -> None:
        self.cell = cell
        self.disk = folder / "disk"
        self.image = folder / "x.img"
        self.progress = Progress(job_id=JOB_ID, created=CREATED, read_back_wanted=cell.read_back)
        self.faults: tuple[Fault, ...] = tuple(map(parse_fault, cell.faults))
        self.paths: list[str] = []
        """What the repository was asked for."""
        self.asked = 0
        """How often the repository has looked at them; again and again while it stalls."""
        make_disk(self.disk, cell.before)
        self._outside = self._neighbours()
        with os.fdopen(os.open(self.image, os.O_WRONLY | os.O_CREAT), "wb") as file:
            file.write(cell.data)
            file.truncate()
        for suffix, content in cell.sidecars.items():
            self.image.with_name(self.image.name + suffix).write_bytes(content)

    @property
    def machine(self) -> Machine:
        return FileMachine([self.disk], lambda: self.faults)

    @property
    def policy(self) -> SourcePolicy:
        return SourcePolicy(
            tls=LOOPBACK.tls,
            networks=None,
            stall_timeout_s=self.cell.stall_s,
            retry_for_s=self.cell.retry_s,
            public_keys=self.cell.keys,
        )

    @asynccontextmanager
    async def source(self) -> AsyncIterator[str]:
        if self.cell.url:
            yield self.cell.url
            return
        if self.cell.local:
            yield self.image.as_uri()
            return
        app = repository_app(self.image.parent, faults=self._asked)
        app.on_response_prepare.append(self._answers)
        async with TestServer(app) as server:
            yield str(server.make_url(f"{PREFIX}/{self.image.name}"))

    async def _answers(self, request: web.Request, _: web.StreamResponse) -> None:
        self.paths.append(request.path.removeprefix(f"{PREFIX}/"))

    def _asked(self) -> tuple[Fault, ...]:
        self.asked += 1
        return self.faults

    async def run(
        self,
        machine: Machine | None = None,
        caching: Caching | None = None,
        cache: Target = CACHE,
        crowding: Crowding | None = None,
        engine: Engine = "udpcast",
    ) -> Ending:
        async with self.source() as url:
            plan = plan_for(self.disk, url, cache if caching else None, self.cell.code)
            if crowding is not None:
                plan = replace(plan, session=Session(engine=engine, port=9000))
            job = restore(plan, machine or self.machine, self.policy, self.progress, caching, crowding)
            return await self.ending(asyncio.ensure_future(job))

    async def ending(self, job: asyncio.Future[None]) -> Ending:
        number, message = WELL, ""
        try:
            await job
        except AgentError as error:
            number, message = error.number, error.message
        except asyncio.CancelledError:
            number = CANCELLED
        progress = self.progress
        return Ending(
            number=number,
            touched=progress.touched,
            retries=progress.retries,
            message=message,
            counts=progress.counts,
            warnings=tuple(progress.warnings),
        )

    def partition(self) -> bytes:
        return self._read(PARTITION.start, SIZE)

    def _read(self, start: int, length: int) -> bytes:
        with self.disk.open("rb") as file:
            file.seek(start)
            return file.read(length)

    def _neighbours(self) -> tuple[bytes, bytes]:
        end = PARTITION.start + SIZE
        return self._read(0, PARTITION.start), self._read(end, DISK_SIZE - end)

    def check(self, ending: Ending) -> None:
        """The invariant, and what this cell must end in."""
        assert self._neighbours() == self._outside, "bytes outside the partition have changed"
        assert not _open_files(self.disk), "the disk is still open"
        found = self.partition()
        if ending.number == WELL:
            assert found == self.cell.restored, f"success, but byte {_first(found, self.cell.restored)} is wrong"
        elif found != self.cell.before:
            assert ending.touched, "written before everything was checked"
            assert not mounts(self.disk), f"failed ({ending.message}), but the partition mounts"
            rest = without_record(found)
            wiped = not any(any(rest[edge.start : edge.stop]) for edge in EDGES)
            assert wiped or not self.cell.honest, "the edges of the partition are not wiped"
        assert ending.number in self.cell.ends, f"ended with {ending.number} ({ending.message})"


def mounts(disk: Path) -> str:
    """The file system that libblkid finds on the partition."""
    with disk.open("rb") as file:
        return blkid.superblock(file.fileno(), PARTITION.start, PARTITION.size).get("TYPE", "")


def _open_files(path: Path) -> list[str]:
    links = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]  # noqa: PTH208 - names of links
    return [link for link in links if os.path.lexists(link) and _points_to(link, path)]


def _points_to(link: str, path: Path) -> bool:
    try:
        return Path(link).readlink() == path
    except OSError:  # closed meanwhile
        return False


def _first(found: bytes, wanted: bytes) -> int:
    return next(place for place, (one, other) in enumerate(zip(found, wanted, strict=True)) if one != other)


async def no_thread_left() -> None:
    """Idle threads of a pool that was shut down end by themselves; one that works on would not."""
    async with asyncio.timeout(_WAIT_S):
        while any(thread.name.startswith("restore") for thread in threading.enumerate()):  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.01)


async def run_cell(matrix: Matrix, family: str, name: str, cell: Cell) -> Ending:
    with matrix.folder() as folder, matrix.cell(family, name):
        bench = Bench(folder, cell)
        ending = await bench.run()
        bench.check(ending)
        matrix.endings[ending.number] += 1
        return ending


async def run_cells(matrix: Matrix, family: str, cells: dict[str, Cell]) -> list[Ending]:
    """Some at once: many of them wait for something, and each holds a disk. Raises what was wrong with all of them."""
    room = asyncio.Semaphore(_AT_ONCE)

    async def run(name: str, cell: Cell) -> Ending:
        async with room:
            return await run_cell(matrix, family, name, cell)

    found = await asyncio.gather(*(run(name, cell) for name, cell in cells.items()), return_exceptions=True)
    await no_thread_left()
    if failures := [each for each in found if isinstance(each, Exception)]:
        raise ExceptionGroup(f"{len(failures)} of {len(cells)} cells", failures)
    return [each for each in found if isinstance(each, Ending)]
