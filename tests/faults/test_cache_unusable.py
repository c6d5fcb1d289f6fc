"""A CACHE that cannot be used at all, or is gone in the middle: a warning, or the end of a job that shall end then."""

from __future__ import annotations

import asyncio
import errno
import shutil
from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace

from ogagent.model.progress import NoBooks
from simulator.faults import parse_fault
from tests.faults.bench import Bench, Cell, Matrix
from tests.faults.classroom import Classroom, Stepping, indexed, streamed
from tests.faults.images import SIZE

BOTH: Final = pytest.mark.parametrize("cell", [indexed(), streamed()], ids=["indexed", "streamed"])


@pytest.fixture
def room(matrix: Matrix, tmp_path: Path) -> Classroom:
    return Classroom(matrix, tmp_path)


@BOTH
async def test_a_cache_that_cannot_be_used(room: Classroom, cell: Cell) -> None:
    room.cache.broken = True
    await room.deploy(cell)
    assert room.warned == ["031"]
    room.cache.broken = False
    (room.cache.path / "opt").write_text("a file where a directory should be")
    await room.deploy(cell)
    assert room.warned == ["031"]


@BOTH
async def test_it_is_not_taken_before_the_repository_has_answered(room: Classroom, cell: Cell) -> None:
    """Who else wants to mount it would have to wait for a repository that is away."""
    await room.deploy(replace(cell, faults=("repository:sidecars=503",), ends=(23,)))
    assert not room.cache.mounts


@BOTH
async def test_what_cannot_be_written_can_be_read(room: Classroom, cell: Cell) -> None:
    room.cache.read_only = True
    await room.deploy(cell)
    assert room.warned == ["031"]
    assert not list(room.cache.path.iterdir())
    room.cache.read_only = False
    await room.deploy(cell)
    room.cache.read_only = True
    await room.deploy(cell)
    assert room.warned == ["031"]
    assert room.bench.progress.received == 0


@BOTH
async def test_a_cache_that_vanishes(room: Classroom, cell: Cell) -> None:
    """Its directory is gone when the image shall get its name."""
    bench = room.prepare(replace(cell, faults=("repository:slow=2MiB",)))
    work = asyncio.ensure_future(bench.run(caching=room.caching))
    async with asyncio.timeout(300):
        while not bench.progress.written:  # noqa: ASYNC110 - a counter
            await asyncio.sleep(0.01)
    await room.cache.thread.run(shutil.rmtree, room.cache.path)  # which does one thing after the other
    bench.check(await work)
    assert room.warned == ["031"]


@BOTH
async def test_a_repository_that_goes_away_when_all_is_there(room: Classroom, cell: Cell) -> None:
    """Only the CACHE needs more of it."""
    room.completing = SIZE
    bench = room.prepare(replace(cell, before=indexed("half of it").before, restored=indexed("half of it").restored))
    bench.progress.books = Leaving(bench)
    bench.check(await bench.run(caching=room.caching))
    assert room.kept.exists() == (cell == streamed())
    assert room.warned == ([] if room.kept.exists() else ["031"])


class Leaving(NoBooks):
    """the repository fails from the commit on."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    def committed(self) -> None:
        self._bench.faults = (parse_fault("repository:status=503"), parse_fault("repository:sidecars=503"))


# --- jobs that shall fail with the CACHE --------------------------------------------------------------------------


@pytest.fixture
def strict(matrix: Matrix, tmp_path: Path) -> Classroom:
    return Classroom(matrix, tmp_path, "fail")


@BOTH
async def test_what_is_known_before_the_first_write_fails_the_job(strict: Classroom, cell: Cell) -> None:
    strict.cache.broken = True
    assert not (await strict.deploy(replace(cell, ends=(31,)))).touched
    strict.cache.broken, strict.cache.read_only = False, True
    assert not (await strict.deploy(replace(cell, ends=(31,)))).touched
    strict.cache.read_only = False
    (strict.cache.path / "opt").write_text("a file where a directory should be")
    assert not (await strict.deploy(replace(cell, ends=(31,)))).touched


@BOTH
async def test_what_happens_later_is_a_warning(strict: Classroom, cell: Cell) -> None:
    def fail(step: int) -> None:
        if strict.bench.progress.touched:
            raise OSError(errno.ENOSPC, "full by now")

    strict.cache.thread = Stepping(fail)
    await strict.deploy(cell)
    assert strict.warned == ["016"]
