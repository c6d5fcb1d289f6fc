"""Jobs whose image finds no room in the CACHE: it is said, and the disk holds the image all the same."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec
import pytest
from msgspec.structs import replace

from ogagent.disk.cache_thread import CacheThread
from ogagent.model.plan import Target
from ogagent.model.progress import NoBooks
from ogagent.restore.caching import Caching
from tests.devices.conftest import LoopDisk, Mount
from tests.devices.test_cache_room import MIB, SIZE, TOOLS_ARE_THERE, images, put
from tests.faults.bench import CACHE, Bench, Cell
from tests.faults.classroom import KEPT, RUN, indexed, streamed

BOTH: Final = pytest.mark.parametrize("cell", [indexed(), streamed()], ids=["indexed", "streamed"])

pytestmark = TOOLS_ARE_THERE


class Mounted:
    """Implements ``ogagent.disk.machine.CacheStore`` for what a test has mounted."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.thread = CacheThread()

    @asynccontextmanager
    async def mounted(self, place: Target, *, repair: bool = True) -> AsyncIterator[Path]:  # noqa: ARG002 - as it is called
        assert place == CACHE
        yield self._root

    @asynccontextmanager
    async def writable(self) -> AsyncIterator[None]:
        yield


def fill(root: Path) -> None:
    """With something that is no image, and so is nobody's to remove."""
    with suppress(OSError), (root / "something").open("wb") as file:
        for _ in range(SIZE // MIB):
            file.write(bytes(MIB))
            file.flush()


class Filling(NoBooks):
    """somebody else fills the CACHE when the first write comes."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def change_begins(self) -> None:
        fill(self._root)

    def committed(self) -> None: ...


@BOTH
async def test_a_full_cache_is_a_warning(root: Path, tmp_path: Path, cell: Cell) -> None:
    put(root, "other", MIB)
    fill(root)
    bench = Bench(tmp_path, cell)
    bench.check(await bench.run(caching=Caching(Mounted(root), "evict", run=RUN)))
    assert [text[:4] for text in bench.progress.warnings] == ["016-"]
    assert not list((root / KEPT).parent.glob("*.partial*"))
    assert images(root) == ["other.img"]


@BOTH
async def test_a_cache_that_fills_up_meanwhile(root: Path, tmp_path: Path, cell: Cell) -> None:
    bench = Bench(tmp_path, replace(cell, faults=("repository:slow=2MiB",)))  # much of it comes afterwards
    bench.progress.books = Filling(root)
    bench.check(await bench.run(caching=Caching(Mounted(root), "fail", run=RUN)))
    assert [text[:4] for text in bench.progress.warnings] == ["016-"]
    assert not list((root / KEPT).parent.glob("*.partial*"))


@BOTH
async def test_a_full_cache_may_be_the_end_of_a_job(root: Path, tmp_path: Path, cell: Cell) -> None:
    put(root, "old", 8 * MIB)
    fill(root)
    bench = Bench(tmp_path, replace(cell, ends=(16,)))
    ending = await bench.run(caching=Caching(Mounted(root), "fail", run=RUN))
    bench.check(ending)
    assert not ending.touched
    assert images(root) == ["old.img"]
    assert not list((root / KEPT).parent.glob("*.partial*"))


@BOTH
async def test_an_old_image_makes_room_for_that_of_a_job(root: Path, tmp_path: Path, cell: Cell) -> None:
    put(root, "old", 24 * MIB)
    fill(root)
    bench = Bench(tmp_path, cell)
    bench.check(await bench.run(caching=Caching(Mounted(root), "evict", run=RUN)))
    assert not bench.progress.warnings
    assert (root / KEPT).read_bytes() == bench.cell.data
    assert images(root) == ["x.img"]


@BOTH
async def test_an_old_image_that_stays_whatever_its_name(
    root: Path, tool: Callable[..., str], tmp_path: Path, cell: Cell
) -> None:
    """One that is no text is told in words that the journal can hold."""
    put(root, "old", 24 * MIB)
    stays = (root / KEPT).with_name(os.fsdecode(b"\xff.img"))
    (root / KEPT).with_name("old.img").rename(stays)
    tool("chattr", "+i", stays)
    fill(root)
    bench = Bench(tmp_path, cell)
    bench.check(await bench.run(caching=Caching(Mounted(root), "evict", run=RUN)))
    (warning,) = bench.progress.warnings
    assert warning.startswith("031-")
    assert "?.img" in msgspec.json.encode(warning).decode()
    assert stays.exists()


@BOTH
async def test_a_medium_that_takes_no_more(
    loop_disk: LoopDisk, mount: Mount, tool: Callable[..., str], tmp_path: Path, cell: Cell
) -> None:
    """The disk of the CACHE is a file in a memory that is full: its file system hears of it when it is flushed."""
    memory = tmp_path / "memory"
    memory.mkdir()
    tool("mount", "-t", "tmpfs", "-o", "size=12m", "none", memory)
    try:
        with (memory / "disk").open("wb") as file:
            file.truncate(SIZE)
        tool("mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-O", "^has_journal", memory / "disk")
        root = tmp_path / "root"
        root.mkdir()
        tool("mount", "-o", "loop", memory / "disk", root)
        try:
            (memory / "rest").write_bytes(bytes(shutil.disk_usage(memory).free - MIB))
            bench = Bench(tmp_path, cell)
            bench.check(await bench.run(caching=Caching(Mounted(root), "evict", run=RUN)))
            assert [text[:4] for text in bench.progress.warnings] in (["031-"], ["016-"])  # as the kernel passes it on
            assert not (root / KEPT).exists()
        finally:
            tool("umount", root)
    finally:
        tool("umount", memory)
