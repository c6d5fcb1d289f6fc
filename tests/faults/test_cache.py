"""Deployments that go through the CACHE: what they leave there, what they take from it, and what it may do to them."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Literal

import pytest
from msgspec.structs import replace

from ogagent.errors import CacheError
from ogagent.model.disk import Partition
from ogagent.restore.caching import Caching
from tests.faults.bench import CANCELLED, WELL, Bench, Cell, Ending, Matrix, no_thread_left
from tests.faults.framed import INDEX, KEY, SIGNATURE, framed, framed_cell
from tests.faults.images import KINDS, MIB, SIZE, flipped, image

MIDDLE: Final = 4 * MIB + 200_000
KEPT: Final = "opt/opengnsys/images/x.img"


class Directory:
    """Implements ``ogagent.disk.machine.CacheStore``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.users = 0
        self.broken = False

    @asynccontextmanager
    async def mounted(self, partition: Partition) -> AsyncIterator[Path]:
        assert partition.cache
        if self.broken:
            raise CacheError("the CACHE cannot be mounted")
        self.users += 1
        try:
            yield self.path
        finally:
            self.users -= 1

    async def make_writable(self) -> None:
        """It is."""


class Classroom:
    """One PC, and one deployment after the other."""

    def __init__(self, matrix: Matrix, folder: Path, on_full: Literal["evict", "fail"] = "evict") -> None:
        self.matrix = matrix
        self.folder = folder
        self.cache = Directory(folder / "cache")
        self.cache.path.mkdir()
        self.caching = Caching(self.cache, on_full)
        self.bench: Bench

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

    async def deploy(self, cell: Cell, what: str = "") -> Ending:
        (folder := self.folder / "pc").mkdir(exist_ok=True)
        for old in folder.glob("x.img.*"):
            old.unlink()
        with self.matrix.cell("cache", what or os.environ["PYTEST_CURRENT_TEST"]):
            self.bench = Bench(folder, cell)
            ending = await self.bench.run(caching=self.caching)
            self.bench.check(ending)
            assert not self.cache.users
            self.matrix.endings[ending.number] += 1
        await no_thread_left()
        return ending


@pytest.fixture
def room(matrix: Matrix, tmp_path: Path) -> Classroom:
    return Classroom(matrix, tmp_path)


def indexed(before: str = "foreign", kind: str = "crc32") -> Cell:
    return replace(framed_cell(kind, before), local=False)


def streamed(*, with_sum: bool = True) -> Cell:
    data = image("crc32", "zstd")
    sidecars = {".full.sum": hashlib.md5(data).hexdigest().encode()} if with_sum else {}
    return Cell(data=data, restored=KINDS["crc32"].restored, sidecars=sidecars)


# --- what a deployment leaves behind ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
async def test_the_second_time_nothing_comes_from_the_repository(room: Classroom, kind: str) -> None:
    cell = replace(indexed(kind=kind), sidecars={**framed(kind).signed, ".full.sum": b"sum", ".info": b"info"})
    await room.deploy(cell)
    assert room.kept.read_bytes() == cell.data
    assert room.files == ["x.img", "x.img.full.sum", "x.img.index", "x.img.index.sig", "x.img.info"]
    assert room.kept.with_name("x.img.index").read_bytes() == cell.sidecars[INDEX]
    ending = await room.deploy(cell)
    assert ending.counts.reused == 0
    assert not room.image_was_asked_for


async def test_an_image_without_an_index(room: Classroom) -> None:
    await room.deploy(streamed())
    assert room.kept.read_bytes() == streamed().data
    assert room.files == ["x.img", "x.img.full.sum"]
    await room.deploy(streamed())
    assert not room.image_was_asked_for


async def test_without_a_sum_nothing_tells_which_image_it_is(room: Classroom) -> None:
    for _ in range(2):
        await room.deploy(streamed(with_sum=False))
        assert room.image_was_asked_for
        assert room.files == ["x.img"]
        assert room.kept.read_bytes() == streamed().data


async def test_what_was_not_fetched_is_not_there(room: Classroom) -> None:
    """Of a partition that holds half of it the other half is fetched; together they make the image of the CACHE."""
    await room.deploy(indexed("the same"))
    assert room.files == [room.partial.name]
    first = await room.deploy(indexed("half of it"))
    assert first.counts.reused > SIZE // 3
    assert all(name.endswith(".partial") for name in room.files) or room.kept.read_bytes() == indexed().data
    await room.deploy(indexed("foreign"))
    assert room.kept.read_bytes() == indexed().data
    assert not list(room.kept.parent.glob("*.partial"))


async def test_a_new_image_of_the_same_name(room: Classroom) -> None:
    await room.deploy(indexed(kind="raw"))
    old = room.kept.read_bytes()
    await room.deploy(indexed())
    assert room.kept.read_bytes() == indexed().data != old
    await room.deploy(streamed())
    assert room.files == ["x.img", "x.img.full.sum"]


async def test_the_same_name_and_an_old_sum_prove_nothing(room: Classroom) -> None:
    """What lies in the CACHE is another image than its sidecars say."""
    for cell in (streamed(), indexed()):
        await room.deploy(cell)
        room.kept.unlink()
        room.kept.write_bytes(framed("raw").data)
        await room.deploy(cell)
        assert room.image_was_asked_for
        await room.deploy(cell)
        assert room.kept.read_bytes() == cell.data


async def test_unicast_direct_never_touches_it(matrix: Matrix, room: Classroom) -> None:
    (room.folder / "pc").mkdir()
    bench = Bench(room.folder / "pc", indexed())
    bench.check(await bench.run(caching=None))
    assert not list(room.cache.path.iterdir())


# --- a CACHE that is damaged, or fails ----------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["header", "frame", "many", "cut"])
async def test_a_damaged_image_in_the_cache(room: Classroom, place: str) -> None:
    """What is wrong comes from the repository, and the next deployment finds it put right."""
    await room.deploy(indexed())
    data = room.kept.read_bytes()
    frame = framed("crc32").frame(MIDDLE)
    spoiled: dict[str, Callable[[], bytes]] = {
        "header": lambda: flipped(data, 60),
        "frame": lambda: flipped(data, frame.start + 50),
        "many": lambda: data[: frame.start] + bytes(len(frame) * 9) + data[frame.start + len(frame) * 9 :],
        "cut": lambda: data[: frame.start],
    }
    room.kept.write_bytes(spoiled[place]())
    await room.deploy(indexed())
    assert room.image_was_asked_for
    assert not room.bench.progress.warnings
    await room.deploy(indexed())
    await room.deploy(indexed())
    assert not room.image_was_asked_for
    assert room.kept.read_bytes() == data


async def test_a_damaged_repository_does_not_get_into_the_cache(room: Classroom) -> None:
    frame = framed("crc32").frame(MIDDLE)
    cell = replace(indexed(), data=flipped(indexed().data, frame.start + 50), ends=(33,))
    await room.deploy(cell)
    assert not room.kept.exists()
    await room.deploy(replace(streamed(), data=flipped(streamed().data, 9999), ends=(33,)))
    assert not room.kept.exists()
    await room.deploy(indexed())
    assert room.kept.read_bytes() == indexed().data


@pytest.mark.parametrize("cell", [indexed(), streamed()], ids=["indexed", "streamed"])
async def test_a_cache_that_cannot_be_used(room: Classroom, cell: Cell) -> None:
    """It is a warning, and no failed deployment."""
    room.cache.broken = True
    await room.deploy(cell)
    assert [text[:4] for text in room.bench.progress.warnings] == ["031-"]
    room.cache.broken = False
    (room.cache.path / "opt").write_text("a file where a directory should be")
    await room.deploy(cell)
    assert [text[:4] for text in room.bench.progress.warnings] == ["031-"]


@pytest.mark.parametrize("cell", [indexed(), streamed()], ids=["indexed", "streamed"])
async def test_a_cache_that_vanishes(room: Classroom, cell: Cell) -> None:
    """Its directory is gone when the image shall get its name."""
    cell = replace(cell, faults=("repository:slow=2MiB",))
    (folder := room.folder / "pc").mkdir()
    bench = Bench(folder, cell)
    work = asyncio.ensure_future(bench.run(caching=room.caching))
    async with asyncio.timeout(20):
        while not bench.progress.written:  # noqa: ASYNC110 - a counter
            await asyncio.sleep(0.01)
    shutil.rmtree(room.cache.path)
    bench.check(await work)
    assert [text[:4] for text in bench.progress.warnings] == ["031-"]


async def test_jobs_that_shall_fail_with_the_cache(matrix: Matrix, tmp_path: Path) -> None:
    room = Classroom(matrix, tmp_path, "fail")
    room.cache.broken = True
    assert not (await room.deploy(replace(indexed(), ends=(31,)))).touched


# --- jobs that end early ------------------------------------------------------------------------------------------


async def test_a_job_that_was_cancelled_leaves_what_it_has(room: Classroom) -> None:
    cell = replace(indexed(), faults=("repository:slow=2MiB",), ends=(CANCELLED,))
    (folder := room.folder / "pc").mkdir()
    bench = Bench(folder, cell)
    work = asyncio.ensure_future(bench.run(caching=room.caching))
    async with asyncio.timeout(20):
        while bench.progress.written < SIZE // 4:  # noqa: ASYNC110 - a counter
            await asyncio.sleep(0.01)
    work.cancel()
    bench.check(await work)
    assert not room.cache.users
    assert not room.kept.exists()
    left = room.partial.stat().st_blocks * 512
    assert left > len(cell.data) // 8
    await room.deploy(indexed())
    assert room.kept.read_bytes() == cell.data


async def test_a_power_cut_while_the_cache_is_written(room: Classroom) -> None:
    """Names and lengths may survive without the bytes."""
    await room.deploy(indexed("the same"))
    size = len(indexed().data)
    room.partial.write_bytes(bytes(size // 2) + os.urandom(size - size // 2))
    for _ in range(3):
        await room.deploy(indexed())
    assert room.kept.read_bytes() == indexed().data
    assert not room.image_was_asked_for


async def test_two_jobs_at_once(matrix: Matrix, room: Classroom) -> None:
    """One of them writes the image of the CACHE."""
    cell = indexed()
    benches = []
    for name in ("one", "two"):
        (folder := room.folder / name).mkdir()
        benches.append(Bench(folder, cell))
    endings = await asyncio.gather(*(bench.run(caching=room.caching) for bench in benches))
    for bench, ending in zip(benches, endings, strict=True):
        bench.check(ending)
        assert ending.number == WELL
        assert not bench.progress.warnings
    assert room.kept.read_bytes() == cell.data


async def test_a_forgery_in_the_cache(room: Classroom) -> None:
    """Its own index says that it is right; the one that is signed says otherwise."""
    true = replace(indexed(), sidecars=framed("crc32").signed, keys=(KEY.public_key(),))
    room.kept.parent.mkdir(parents=True)
    room.kept.write_bytes(framed("raw").data)
    for suffix, content in framed("raw").sidecars.items():
        room.kept.with_name(f"x.img{suffix}").write_bytes(content)
    await room.deploy(true)
    assert room.kept.read_bytes() == true.data
    assert room.kept.with_name(f"x.img{SIGNATURE}").read_bytes() == true.sidecars[SIGNATURE]
