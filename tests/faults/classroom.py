"""One PC with a CACHE, and one deployment after the other."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Literal, ParamSpec, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from ogagent.disk.cache_thread import CacheThread
from ogagent.errors import CacheError
from ogagent.model.method import Engine
from ogagent.model.plan import Target
from ogagent.restore.caching import Caching
from ogagent.restore.crowd import Crowding
from tests.faults.bench import Bench, Cell, Ending, Matrix, no_thread_left
from tests.faults.framed import framed, framed_cell
from tests.faults.images import KINDS, MIB, flipped, image

P = ParamSpec("P")
T = TypeVar("T")

KEPT: Final = "opt/opengnsys/images/x.img"
MIDDLE: Final = 4 * MIB + 200_000
RUN: Final = 512 << 10
COMPLETING: Final = 256 << 10


class Stepping(CacheThread):
    """Calls ``before`` in the thread with the number of each thing that it is asked, but for closing what is open."""

    def __init__(self, before: Callable[[int], object] = lambda _: None, patience_s: float = 60.0) -> None:
        super().__init__(patience_s)
        self.before = before
        self.count = 0

    def start(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        if work.__name__ == "close":
            return super().start(work, *args, **kwargs)

        def step() -> T:
            number, self.count = self.count, self.count + 1
            self.before(number)
            return work(*args, **kwargs)

        return super().start(step)


class Directory:
    """Implements ``ogagent.disk.machine.CacheStore``."""

    def __init__(self, path: Path, thread: CacheThread | None = None) -> None:
        self.path = path
        self.thread = thread or CacheThread()
        self.users = self.mounts = 0
        self.broken = False
        self.read_only = False

    @asynccontextmanager
    async def mounted(self, place: Target, *, repair: bool = True) -> AsyncIterator[Path]:  # noqa: ARG002 - as it is called
        assert place.device == "cache"
        if self.broken:
            raise CacheError("the CACHE cannot be mounted")
        self.users += 1
        self.mounts += 1
        try:
            yield self.path
        finally:
            self.users -= 1

    @asynccontextmanager
    async def writable(self) -> AsyncIterator[None]:
        if self.read_only:
            raise CacheError("the CACHE cannot be written")
        yield


class Classroom:
    def __init__(self, matrix: Matrix, folder: Path, on_full: Literal["evict", "fail"] = "evict") -> None:
        self.matrix = matrix
        self.folder = folder
        self.cache = Directory(folder / "cache")
        self.cache.path.mkdir(exist_ok=True)
        self.on_full = on_full
        self.completing = COMPLETING
        self.bench: Bench

    @property
    def caching(self) -> Caching:
        return Caching(self.cache, self.on_full, run=RUN, completing=self.completing)

    @property
    def kept(self) -> Path:
        return self.cache.path / KEPT

    @property
    def files(self) -> list[str]:
        """In the CACHE."""
        return sorted(path.name for path in self.kept.parent.glob("*"))

    @property
    def partial(self) -> Path:
        return next(self.kept.parent.glob("x.img.*.partial"))

    @property
    def image_was_asked_for(self) -> bool:
        return "x.img" in self.bench.paths

    @property
    def warned(self) -> list[str]:
        """The numbers."""
        return [text[:3] for text in self.bench.progress.warnings]

    def shelve(self, data: bytes, cell: Cell) -> None:
        """In the CACHE lies ``data``, and beside it what lies beside the image of ``cell``."""
        self.kept.parent.mkdir(parents=True, exist_ok=True)
        self.kept.write_bytes(data)
        for suffix, content in cell.sidecars.items():
            self.kept.with_name(f"x.img{suffix}").write_bytes(content)

    def prepare(self, cell: Cell) -> Bench:
        (folder := self.folder / "pc").mkdir(exist_ok=True)
        for old in folder.glob("x.img.*"):
            old.unlink()
        self.bench = Bench(folder, cell)
        return self.bench

    async def deploy(
        self,
        cell: Cell,
        what: str = "",
        *,
        stuck: bool = False,
        crowding: Crowding | None = None,
        engine: Engine = "udpcast",
    ) -> Ending:
        """With ``stuck`` the thread of the CACHE may have been left behind."""
        with self.matrix.cell("cache", what or os.environ["PYTEST_CURRENT_TEST"]):
            bench = self.prepare(cell)
            ending = await bench.run(caching=self.caching, crowding=crowding, engine=engine)
            bench.check(ending)
            assert not self.cache.users
            assert stuck or not self.cache.thread.stuck
            self.matrix.endings[ending.number] += 1
        await no_thread_left()
        return ending


def indexed(before: str = "foreign", kind: str = "crc32") -> Cell:
    return replace(framed_cell(kind, before), local=False)


def streamed(data: bytes = b"", *, with_sum: bool = True) -> Cell:
    """``data`` empty: an image that suits."""
    data = data or image("crc32", "zstd")
    sidecars = {".full.sum": hashlib.md5(data).hexdigest().encode()} if with_sum else {}
    return Cell(data=data, restored=KINDS["crc32"].restored, sidecars=sidecars)


class Beginning(Struct, frozen=True):
    """What is in the CACHE when a deployment begins, and what is deployed."""

    name: str
    cell: Cell
    before: Cell | None = None
    damaged: bool = False

    @property
    def whole(self) -> bool:
        return self.before == self.cell

    async def bring_about(self, room: Classroom) -> None:
        if self.before is not None:
            await room.deploy(self.before, f"{self.name}: before")
        if self.damaged:
            room.kept.write_bytes(flipped(self.cell.data, framed("crc32").frame(MIDDLE).start + 50))


_INDEXED: Final = replace(indexed(), local=True)
_STREAM: Final = replace(streamed(), local=True)
BEGINNINGS: Final = [
    Beginning("an image in frames", _INDEXED),
    Beginning("a part of it is there", _INDEXED, replace(indexed("half of it"), local=True)),
    Beginning("it is there", _INDEXED, _INDEXED),
    Beginning("it is there, damaged", _INDEXED, _INDEXED, damaged=True),
    Beginning("a stream", _STREAM),
    Beginning("the stream is there", _STREAM, _STREAM),
    Beginning("the stream is there, damaged", _STREAM, _STREAM, damaged=True),
    Beginning("a stream where an older image is", _STREAM, _INDEXED),
]
VARIED: Final = [BEGINNINGS[1], BEGINNINGS[3], BEGINNINGS[7]]
LEAST: Final = 4
"""Each asks more of the CACHE."""
"""Between them they do all that is ever done."""


async def deploy_well(room: Classroom, beginning: Beginning, what: str) -> None:
    """The next deployment puts all right: it leaves the image in the CACHE, and what says that it is there."""
    await room.deploy(beginning.cell, what)
    assert room.kept.read_bytes() == beginning.cell.data
    for suffix, content in beginning.cell.sidecars.items():
        assert room.kept.with_name(f"x.img{suffix}").read_bytes() == content
    assert not [name for name in room.files if "partial" in name]


@asynccontextmanager
async def prepared(matrix: Matrix, beginning: Beginning) -> AsyncIterator[Callable[[], Classroom]]:
    """Makes rooms in which all is as at the beginning."""
    with matrix.folder() as folder:
        (folder / "first").mkdir()
        first = Classroom(matrix, folder / "first")
        await beginning.bring_about(first)

        def make() -> Classroom:
            shutil.rmtree(folder / "next", ignore_errors=True)
            shutil.copytree(first.cache.path, folder / "next/cache")
            return Classroom(matrix, folder / "next")

        try:
            yield make
        finally:
            shutil.rmtree(folder / "first")
            shutil.rmtree(folder / "next", ignore_errors=True)
