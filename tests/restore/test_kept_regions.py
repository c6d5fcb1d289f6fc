"""What of an image lies in the CACHE, while others write to it, and who reads it is slower than who finds it wrong."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from ogagent.crowd.arrivals import Arrivals, Givers, InStorage, Need
from ogagent.disk.cache_thread import CacheThread
from ogagent.errors import CacheError
from ogagent.image.index import encode
from ogagent.model.method import Session
from ogagent.restore.crowd import CrowdSource
from ogagent.restore.kept import Desk
from ogagent.restore.kept_regions import KeptRegions
from ogagent.restore.progress import Progress
from ogagent.restore.survey import stretches
from ogagent.restore.wanted import AsItComes
from ogagent.source.image_shelf import ImageShelf
from tests.restore.test_region_failures import FRAMED, Repository

INDEX: Final = FRAMED.index
FIRST: Final = INDEX.frame(0)
LAST: Final = INDEX.frame(INDEX.count - 1)


@asynccontextmanager
async def lent(folder: Path, wrong: bytes) -> AsyncIterator[KeptRegions]:
    """Its file ends after the first frame, which is ``wrong``; whoever wrote it said that all of it is there."""
    thread, shelf = CacheThread(), ImageShelf(folder, "x", evict=True)
    desk = Desk(thread, shelf, Progress(), _complain, 1, 0)
    kept = KeptRegions(desk, Repository({}), INDEX, encode(INDEX))
    await kept.look_up()
    await kept.begin()
    async with kept.lent("image", os.geteuid(), os.getegid(), afresh=True) as directory:
        file = os.open("image", os.O_RDWR, dir_fd=directory)
        os.pwrite(file, wrong, FIRST[0])
        os.close(file)
        kept.came(0, INDEX.size, "multicast")
        yield kept
    shelf.close()


def _complain(error: CacheError) -> None:
    raise error


class Anew(InStorage):
    """Implements ``ogagent.restore.crowd.Crowding`` and ``ogagent.crowd.arrivals.Arrivals``: what was kept is gone when
    it has ``begun``, and all comes when somebody lets it.
    """

    fallback: Final = True
    spread_s: Final = 0.0
    givers: Final[Givers] = "multicast"
    gives: Final = False
    repeats: Final = True

    def __init__(self) -> None:
        self.begun, self.let = asyncio.Event(), asyncio.Event()
        self._need: Need | None = None

    async def join(self, session: Session, repository: str, image: str, need: Need) -> Arrivals:
        raise NotImplementedError

    async def take_part(self, need: Need) -> Arrivals:
        self._need = need
        return self

    async def stretches(self) -> AsyncGenerator[tuple[int, int], None]:
        assert self._need is not None
        storage = self._need.storage
        assert storage is not None
        async with storage.lent("image", os.geteuid(), os.getegid(), afresh=True) as directory:
            self.begun.set()
            await self.let.wait()
            file = os.open("image", os.O_RDWR, dir_fd=directory)
            os.pwrite(file, FRAMED.data, 0)
            os.close(file)
            storage.came(0, INDEX.size, self.givers)
            yield 0, INDEX.size

    def wrong(self, start: int, stop: int) -> None: ...


async def read(kept: KeptRegions, start: int, length: int) -> bytes:
    return b"".join([chunk async for chunk in kept.part(start, start + length)])


def right(start: int, length: int) -> bytes:
    return FRAMED.data[start : start + length]


@pytest.mark.parametrize("meanwhile", [None, LAST], ids=["at once", "after somebody has found the end of the file"])
async def test_what_was_read_here_is_doubted_here(tmp_path: Path, meanwhile: tuple[int, int] | None) -> None:
    """By then it may count as there no longer; and yet the repository is not what was wrong."""
    async with lent(tmp_path, wrong := bytes(FIRST[1])) as kept:
        assert await read(kept, *FIRST) == wrong
        if meanwhile:
            assert await read(kept, *meanwhile) == right(*meanwhile)
        assert kept.doubt(FIRST[0], sum(FIRST))
        assert await read(kept, *FIRST) == right(*FIRST)
        assert not kept.doubt(FIRST[0], sum(FIRST)), "that was the repository's"


async def test_what_a_receiver_throws_away_comes_with_all_the_rest(tmp_path: Path) -> None:
    """Of the image all but its last frame was kept, and is to be fetched from there when the receiver begins."""
    thread, shelf, progress = CacheThread(), ImageShelf(tmp_path, "x", evict=True), Progress()
    repository, crowding = Repository({}), Anew()
    crowd = CrowdSource(repository, crowding, crowding.take_part, progress)
    kept = KeptRegions(Desk(thread, shelf, progress, _complain, 1, 0), crowd, INDEX, encode(INDEX))
    crowd.storage = kept
    await kept.look_up()
    await kept.begin()
    kept.came(0, LAST[0], "peers")
    wanted = AsItComes(1, INDEX, kept, crowd)
    for each in stretches([(place, False) for place in range(INDEX.count)], INDEX.frame, FIRST[1]):
        await wanted.put(each)
    completing = asyncio.create_task(wanted.complete())
    await crowding.begun.wait()
    getting = asyncio.create_task(wanted.get())
    await asyncio.wait([getting], timeout=0.1)
    assert not getting.done()
    crowding.let.set()
    while stretch := await getting:
        length = stretch.stop - stretch.start
        assert await read(kept, stretch.start, length) == right(stretch.start, length)
        wanted.written(len(stretch.places))
        getting = asyncio.create_task(wanted.get())
    await completing
    assert progress.sources.multicast == sum(LAST) - FIRST[0]
    shelf.close()
