"""What of an image lies in the CACHE, while others write to it, and who reads it is slower than who finds it wrong."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from ogagent.disk.cache_thread import CacheThread
from ogagent.errors import CacheError
from ogagent.image.index import encode
from ogagent.restore.kept import Desk
from ogagent.restore.kept_regions import KeptRegions
from ogagent.restore.progress import Progress
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
