"""One cell of the matrix: a capture with a fault, and what must be true afterwards, whatever the fault was."""

from __future__ import annotations

import asyncio
import shutil
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Container, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from ogagent.capture.machine import ModelMachine
from ogagent.capture.progress import CaptureProgress
from ogagent.disk.machine import Machine
from ogagent.functions.capture import CrearImagen, making_of, rules_of
from ogagent.functions.function import Equipment
from ogagent.imagefile.check import verify
from ogagent.jobs.journal import Journal
from ogagent.jobs.work import Claims, Order, Work
from ogagent.model.disk import Inventory
from ogagent.model.job import Job, State
from ogagent.settings import (
    CacheSettings,
    CaptureSettings,
    RepositorySettings,
    RestoreSettings,
    Settings,
)
from ogagent.settings_state import StateSettings
from simulator.certificates import Authority
from simulator.faults import Fault, parse_fault
from simulator.machine.file_machine import FileMachine
from simulator.machine.file_models import FileModels
from tests.as_restored import AS_RESTORED
from tests.faults.bench import CANCELLED, WELL, Matrix
from tests.faults.gate import ALWAYS, TOKEN, Gate, Spell
from tests.faults.models import OLD, OLDER, OTHERS, SIDECARS, Files, the_model
from tests.functions.running import Agent, running

HERE: Final = "127.0.0.1"
ASKED: Final = {"dsk": "1", "par": "1", "idi": "7", "nci": "x", "ipr": HERE, "ids": "3"}
_AT_ONCE: Final = 6
_THREADS: Final = 64
_JOIN_S: Final = 300
_MEMORY: Final = 1 << 27
_MARK: Final = b"CrearImagen-"


class Capture(Struct, frozen=True, kw_only=True):
    """``faults`` of the repository are there for the requests of ``spell``, those of the disk all the time.

    ``ends`` are the numbers that the job may end with. ``away``: the repository may be so at the end, and then keeps
    the lock. ``web``: it is a web server; a directory otherwise.
    """

    faults: tuple[str, ...] = ()
    spell: Spell = ALWAYS
    loses: bool = False
    ends: tuple[int, ...] = (WELL,)
    away: bool = False
    web: bool = True
    retry_s: float = 0
    stall_s: float = 30
    cancelled_s: float = 60
    """A repository beside a busy machine needs more than the two seconds of a cancel for all that it removes."""
    reduce: bool = False
    large: bool = False
    keep: bool = True
    says: str = ""
    """A part of the message."""


class Ended(Struct, frozen=True, kw_only=True):
    number: int
    job: Job
    progress: CaptureProgress


class Watched:
    """An order whose work can be looked at."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self.looks = order.looks
        self.work: Work

    def claims(self, inventory: Inventory) -> Claims:
        return self._order.claims(inventory)

    def plan(self, inventory: Inventory) -> Work:
        self.work = self._order.plan(inventory)
        return self.work

    @property
    def progress(self) -> CaptureProgress:
        assert isinstance(self.work.progress, CaptureProgress)
        return self.work.progress


class Studio:
    """One PC with its model, and its repository, below ``folder``. ``shown`` is the model as its disk shows it."""

    def __init__(self, folder: Path, capture: Capture, authority: Authority, *, fresh: bool = True) -> None:
        """Not ``fresh``: all is left as it is."""
        self.folder = folder
        self.capture = capture
        self.model = self.shown = the_model(large=capture.large)
        self.disk, self.images, self.state = folder / "disk", folder / "images", folder / "state"
        if fresh:
            shutil.rmtree(self.state, ignore_errors=True)
            self.disk.unlink(missing_ok=True)  # whoever still holds the one before holds another file
            self.disk.write_bytes(self.model.disk)
            self.put({**OLD, **OLDER, **OTHERS})
        self._authority = authority
        self._token = folder / "token"
        self._token.write_text(TOKEN)
        at_repository = tuple(text for text in capture.faults if text.startswith("repository:"))
        self._at_disk: tuple[Fault, ...] = tuple(map(parse_fault, set(capture.faults) - set(at_repository)))
        self.gate = Gate(self.images, at_repository, capture.spell, loses=capture.loses)
        self.machine: Machine = FileMachine([self.disk], lambda: self._at_disk)
        self.models: ModelMachine = FileModels()
        self.url: str
        self.agent: Agent
        self.order: Watched
        self.job: Job

    def put(self, files: Files) -> None:
        """These are in the repository, and nothing else."""
        shutil.rmtree(self.images, ignore_errors=True)
        self.images.mkdir()
        for name, content in files.items():
            (self.images / name).write_bytes(content)

    @asynccontextmanager
    async def repository(self) -> AsyncIterator[Settings]:
        if not self.capture.web:
            self.url = f"file://{self.images}"
            yield self.settings(self.url)
            return
        async with self.gate.open(server_tls(self._authority)) as self.url:
            yield self.settings(self.url)

    def settings(self, url: str) -> Settings:
        return Settings(
            repository=RepositorySettings(url=f"{url}/{{nci}}.img", ca=str(self._authority.certificate)),
            cache=CacheSettings(required=False),
            restore=RestoreSettings(stall_timeout_s=self.capture.stall_s, retry_for_s=self.capture.retry_s),
            capture=CaptureSettings(
                level=1,
                credential_file=str(self._token),
                reduce=self.capture.reduce,
                keep_previous=self.capture.keep,
            ),
            state=StateSettings(dir=str(self.state)),
            finish=AS_RESTORED,
        )

    def equipped(self, equipment: Equipment) -> Equipment:
        self.equipment = replace(equipment, machine=self.machine, models=self.models)
        return self.equipment

    def function(self, settings: Settings) -> CrearImagen:
        making = replace(making_of(settings, self.equipment.policy), cancelled_s=self.capture.cancelled_s)
        return CrearImagen(self.equipment.machine, self.equipment.models, making, rules_of(settings))

    async def run(self, meanwhile: Callable[[], Awaitable[object]] | None = None) -> Ended:
        """``meanwhile`` is awaited when the job runs."""
        async with self.repository() as settings:
            return await self.run_at(settings, meanwhile=meanwhile)

    async def run_at(
        self,
        settings: Settings,
        journal: Journal | None = None,
        meanwhile: Callable[[], Awaitable[object]] | None = None,
    ) -> Ended:
        async with running(self.folder, settings, self.equipped, journal) as self.agent:
            self.order = Watched(self.function(settings).order(ASKED))
            self.job = await self.agent.jobs.start(self.order)
            if meanwhile is not None:
                await meanwhile()
            job, report = await self.agent.ended(self.job)
            assert not await asyncio.to_thread(self.agent.journal.unended)
        assert report["res"] == ("1" if job.state is State.SUCCEEDED else "2"), report
        return Ended(number=number_of(job), job=job, progress=self.order.progress)

    # --- what must be true --------------------------------------------------------------------------------------------

    def check(self, ended: Ended) -> None:
        """The invariant, and what this cell must end in."""
        error = ended.job.error
        told = "" if error is None else error.message
        self.check_model()
        now, locked = self.check_images(marks(files_in(self.images)) if self.capture.away else ())
        assert not locked or self.capture.away, f"ended with {ended.number} ({told}), and the lock is there"
        if ended.number == WELL:
            assert now == "new", "success, but the name stands for the old image"
            assert not locked
            kept = {name.replace(".img", ".img.ant"): OLD[name] for name in OLD if _kept(name)}
            assert self.previous() == kept or not self.capture.keep, "the image before is not kept"
        else:
            assert now == "old" or locked, f"ended with {ended.number} ({told}), but the new image has its name"
        assert ended.number in self.capture.ends, f"ended with {ended.number} ({told})"
        assert self.capture.says in told, told

    def check_model(self) -> None:
        assert self.disk.read_bytes() == self.model.disk, "the model has changed"

    def check_images(self, unknown: Container[str] = ()) -> tuple[str, bool]:
        """What the name stands for, ``old`` or ``new``, and whether it is locked. What is ``unknown`` may stay."""
        found = {name: content for name, content in files_in(self.images).items() if name not in unknown}
        locked = "x.img.lock" in found
        assert {name: found.get(name) for name in OTHERS} == OTHERS, "another image has changed"
        now = "old" if found.get("x.img") == OLD["x.img"] else "new"
        assert now == "old" or self.shown.is_in(found["x.img"]), "the name stands for something else"
        if not locked:
            self._check_beside(found, now)
            assert not (parts := [name for name in found if name.startswith(".")]), f"left behind: {parts}"
        self._check_previous(found)
        return now, locked

    def _check_beside(self, found: Files, now: str) -> None:
        beside = {name for name in found if name.startswith("x.img.") and not name.startswith("x.img.ant")}
        if now == "old":
            wrong = [name for name in OLD if found.get(name) != OLD[name] and _kept(name)]
            assert not wrong, f"beside the old image: {wrong}"
            assert beside <= set(OLD), beside
        else:
            assert beside == {f"x.img{suffix}" for suffix in SIDECARS}, beside
        assert verify(self.images / "x.img", None, 1, _MEMORY, lambda *_: None).index is not None

    def _check_previous(self, found: Files) -> None:
        """It may be the one before the old one, or the old one; what lies beside it belongs to it."""
        image = found.get("x.img.ant")
        owner = OLDER if image == OLDER["x.img.ant"] else {name.replace(".img", ".img.ant"): OLD[name] for name in OLD}
        strange = [name for name in self.previous(found) if found[name] != owner.get(name)]
        assert not strange or "x.img.lock" in found, f"not of the previous image: {strange}"
        assert image == owner["x.img.ant"] or not self.capture.keep, "the previous image is none"

    def previous(self, found: Files | None = None) -> Files:
        found = files_in(self.images) if found is None else found
        return {name: content for name, content in found.items() if name.startswith("x.img.ant")}


def _kept(name: str) -> bool:
    return not name.endswith(".torrent")


def number_of(job: Job) -> int:
    if job.state is State.SUCCEEDED:
        return WELL
    return CANCELLED if job.state is State.CANCELLED or job.error is None else job.error.number


def files_in(folder: Path) -> Files:
    """But for what the simulator has moved astray."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith("elsewhere-")}


def marks(files: Files) -> list[str]:
    """Those that were to become a lock, and are none yet, however much of them is written."""
    return [name for name, content in files.items() if name.startswith(".") and _MARK.startswith(content[: len(_MARK)])]


@cache
def server_tls(authority: Authority) -> ssl.SSLContext:
    return authority.server_context(HERE)


class Studios:
    """For the cells of one run."""

    def __init__(self, matrix: Matrix, authority: Authority) -> None:
        self.matrix = matrix
        self.authority = authority

    @contextmanager
    def studio(self, family: str, name: str, capture: Capture) -> Iterator[Studio]:
        with self.matrix.folder() as folder, self.matrix.cell(family, name):
            yield Studio(folder, capture, self.authority)

    async def run_cell(self, family: str, name: str, capture: Capture) -> Ended:
        with self.studio(family, name, capture) as studio:
            return await self.ended(studio, await studio.run())

    async def ended(self, studio: Studio, ended: Ended) -> Ended:
        await asyncio.to_thread(studio.check, ended)
        self.matrix.endings[ended.number] += 1
        return ended

    async def run_cells(self, family: str, cells: Mapping[str, Capture]) -> list[Ended]:
        return await self.at_once({name: partial(self.run_cell, family, name, cell) for name, cell in cells.items()})

    async def at_once(self, cells: Mapping[str, Callable[[], Awaitable[Any]]], at_once: int = _AT_ONCE) -> list[Any]:
        """Some at once. Raises what was wrong with all of them; nothing of them goes on afterwards."""
        room = asyncio.Semaphore(at_once)

        async def run(cell: Callable[[], Awaitable[Any]]) -> Any:
            async with room:
                return await cell()

        async with nothing_goes_on():
            found = await asyncio.gather(*map(run, cells.values()), return_exceptions=True)
        if failures := [each for each in found if isinstance(each, BaseException)]:
            raise BaseExceptionGroup(f"{len(failures)} of {len(cells)} cells", failures)
        return found


@asynccontextmanager
async def nothing_goes_on() -> AsyncIterator[None]:
    """No task and no thread of what was done in the block is left after it."""
    before = asyncio.all_tasks()
    loop, pool = asyncio.get_running_loop(), ThreadPoolExecutor(_THREADS, thread_name_prefix="capture")
    loop.set_default_executor(pool)
    try:
        yield
        async with asyncio.timeout(_JOIN_S):
            while left := asyncio.all_tasks() - before:
                await asyncio.wait(left, timeout=1)
    finally:
        loop.set_default_executor(ThreadPoolExecutor(_THREADS))
        async with asyncio.timeout(_JOIN_S):
            await asyncio.to_thread(pool.shutdown)
