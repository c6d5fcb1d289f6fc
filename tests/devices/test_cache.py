"""The CACHE as a real partition: mounted, checked and unmounted; full, read-only, and with images to be removed."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace

from ogagent.disk.cache import MountedCache
from ogagent.disk.occupancy import block_device_number, read_occupants
from ogagent.errors import CacheError, CacheFull
from ogagent.model.disk import Partition
from ogagent.restore.caching import Caching
from ogagent.source.shelf import IMAGES, Shelf
from tests.devices.conftest import LoopDisk, Mount
from tests.faults.bench import Bench, Cell
from tests.faults.framed import framed_cell
from tests.faults.images import KINDS, image

MIB: Final = 1 << 20
SIZE: Final = 96 * MIB
INDEXED: Final = framed_cell("crc32", "foreign")
STREAMED: Final = Cell(data=image("crc32", "zstd"), restored=KINDS["crc32"].restored, local=True)
TOOLS: Final = ("mke2fs", "e2fsck", "mount", "debugfs")

pytestmark = pytest.mark.skipif(
    not all(shutil.which(tool, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") for tool in TOOLS),
    reason=f"not installed: one of {', '.join(TOOLS)}",
)


@pytest.fixture
def device(loop_disk: LoopDisk, tool: Callable[..., str]) -> str:
    name = loop_disk(SIZE)
    tool("mke2fs", "-q", "-t", "ext4", "-m", "0", "-L", "CACHE", name)
    return name


def partition(device: str, filesystem: str = "ext4") -> Partition:
    return Partition(partition=4, device=device, start=0, size=SIZE, code="CA00", filesystem=filesystem, cache=True)


def occupant(device: str) -> str | None:
    return read_occupants().get(block_device_number(device) or -1)


# --- mounting -----------------------------------------------------------------------------------------------------


async def test_it_is_mounted_as_long_as_it_is_used(device: str, tmp_path: Path) -> None:
    store = MountedCache(tmp_path / "new" / "cache")
    async with store.mounted(partition(device)) as one:
        with pytest.raises(OSError, match="Read-only"):
            (one / "kept").write_text("here")
        await store.make_writable()
        (one / "kept").write_text("here")
        async with store.mounted(partition(device)) as other:
            assert other == one
        assert occupant(device) == str(one)
    assert occupant(device) is None
    async with store.mounted(partition(device)) as again:
        assert (again / "kept").read_text() == "here"


async def test_only_to_look_into_it_writes_nothing(device: str, tmp_path: Path) -> None:
    before = await asyncio.to_thread(Path(device).read_bytes)
    async with MountedCache(tmp_path / "cache").mounted(partition(device)) as place:
        assert list(place.iterdir())
    assert await asyncio.to_thread(Path(device).read_bytes) == before


async def test_a_mount_of_somebody_else_stays(device: str, mount: Mount, tmp_path: Path) -> None:
    place = mount(device)
    async with MountedCache(tmp_path / "cache").mounted(partition(device)) as found:
        assert found == place
    assert occupant(device) == str(place)


async def test_it_is_unmounted_when_a_job_fails_or_is_cancelled(device: str, tmp_path: Path) -> None:
    store = MountedCache(tmp_path / "cache")
    with pytest.raises(ZeroDivisionError):
        async with store.mounted(partition(device)):
            raise ZeroDivisionError
    assert occupant(device) is None
    inside = asyncio.Event()

    async def job() -> None:
        async with store.mounted(partition(device)):
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(job())
    await inside.wait()
    task.cancel()
    await asyncio.wait([task])
    assert occupant(device) is None


async def test_an_unclean_file_system_is_checked_first(device: str, tool: Callable[..., str], tmp_path: Path) -> None:
    """The kernel would mount one that it has found errors in, and leave them."""
    tool("debugfs", "-w", "-R", "set_super_value state 2", device)
    assert "clean with errors" in tool("dumpe2fs", "-h", device)
    async with MountedCache(tmp_path / "cache").mounted(partition(device)):
        pass
    assert "with errors" not in tool("dumpe2fs", "-h", device)


@pytest.mark.parametrize("filesystem", ["ext4", ""])
async def test_what_cannot_be_mounted(loop_disk: LoopDisk, tmp_path: Path, filesystem: str) -> None:
    empty = loop_disk(SIZE)
    with pytest.raises(CacheError, match=empty) as failure:
        async with MountedCache(tmp_path / "cache").mounted(partition(empty, filesystem)):
            pass
    assert failure.value.number == 31
    assert occupant(empty) is None


# --- room ---------------------------------------------------------------------------------------------------------


def put(shelf: Shelf, name: str, size: int, used: int) -> Path:
    """An image, last used at a time."""
    kept = shelf.partial(name, "test", size, evict=False)
    assert kept is not None
    kept.write(0, os.urandom(size))
    kept.read_from_medium(lambda _: None)
    shelf.publish(name, kept, {".index": b"index", ".full.sum": b"sum"})
    kept.close()
    final = kept.path.with_name(f"{name.rpartition('/')[2]}.img")
    os.utime(final, (used, used))
    return final


def test_the_images_that_were_used_the_longest_ago_make_room(device: str, mount: Mount) -> None:
    shelf = Shelf(mount(device))
    images = [put(shelf, name, 18 * MIB, used) for name, used in (("new", 300), ("room/old", 100), ("middle", 200))]
    kept = shelf.partial("next", "test", 30 * MIB, evict=True)
    assert kept is not None
    kept.close()
    assert [path.exists() for path in images] == [True, False, True]
    assert not list(images[1].parent.glob("old.img*"))
    kept = shelf.partial("larger", "test", 44 * MIB, evict=True)
    assert kept is not None
    kept.close()
    assert [path.exists() for path in images] == [True, False, False]


def test_an_image_in_use_is_never_removed(device: str, mount: Mount) -> None:
    shelf = Shelf(mount(device))
    images = [put(shelf, name, 24 * MIB, used) for name, used in (("old", 100), ("new", 200))]
    reading = shelf.whole("old")
    writing = shelf.partial("half", "test", 1 * MIB, evict=False)
    assert reading is not None
    assert writing is not None
    with pytest.raises(CacheFull) as failure:
        shelf.partial("next", "test", 80 * MIB, evict=True)
    assert failure.value.number == 16
    assert [path.exists() for path in images] == [True, False]
    assert writing.path.exists()
    assert reading.read(0, 10)
    reading.close()
    writing.close()


def test_without_evict_nothing_is_removed(device: str, mount: Mount) -> None:
    shelf = Shelf(mount(device))
    image = put(shelf, "old", 40 * MIB, 100)
    with pytest.raises(CacheFull):
        shelf.partial("next", "test", 60 * MIB, evict=False)
    assert image.exists()


def test_a_cache_that_fills_up_meanwhile(device: str, mount: Mount) -> None:
    place = mount(device)
    kept = Shelf(place).partial("x", "test", None, evict=True)
    assert kept is not None
    with pytest.raises(CacheFull):
        kept.write(0, bytes(2 * SIZE))
    kept.close()


def test_a_cache_that_is_read_only(device: str, mount: Mount, tool: Callable[..., str]) -> None:
    place = mount(device)
    put(Shelf(place), "x", MIB, 100)
    tool("mount", "-o", "remount,ro", place)
    with pytest.raises(CacheError, match="Read-only") as failure:
        Shelf(place).partial("y", "test", MIB, evict=True)
    assert failure.value.number == 31
    kept = Shelf(place).whole("x")
    assert kept is not None
    kept.close()
    assert (place / IMAGES / "x.img").exists()


# --- jobs ---------------------------------------------------------------------------------------------------------


class Mounted:
    """Implements ``ogagent.disk.machine.CacheStore`` for what a test has mounted."""

    def __init__(self, place: Path) -> None:
        self._place = place

    @asynccontextmanager
    async def mounted(self, partition: Partition) -> AsyncIterator[Path]:
        assert partition.cache
        yield self._place

    async def make_writable(self) -> None:
        """It is."""


def fill(place: Path) -> None:
    """With something that is no image, and so is nobody's to remove."""
    with suppress(OSError), (place / "something").open("wb") as file:
        for _ in range(SIZE // MIB):
            file.write(bytes(MIB))
            file.flush()


@pytest.mark.parametrize(
    "cell",
    [INDEXED, STREAMED],
    ids=["indexed", "streamed"],
)
async def test_a_full_cache_is_a_warning(device: str, mount: Mount, tmp_path: Path, cell: Cell) -> None:
    place = mount(device)
    fill(place)
    bench = Bench(tmp_path, cell)
    bench.check(await bench.run(caching=Caching(Mounted(place), "evict")))
    assert [text[:4] for text in bench.progress.warnings] == ["016-"]
    assert not list((place / IMAGES).glob("*.stream.partial"))


async def test_a_full_cache_may_be_the_end_of_a_job(device: str, mount: Mount, tmp_path: Path) -> None:
    place = mount(device)
    put(Shelf(place), "old", 8 * MIB, 100)
    fill(place)
    bench = Bench(tmp_path, replace(INDEXED, ends=(16,)))
    ending = await bench.run(caching=Caching(Mounted(place), "fail"))
    bench.check(ending)
    assert not ending.touched
    assert (place / IMAGES / "old.img").exists()


async def test_an_old_image_makes_room_for_that_of_a_job(device: str, mount: Mount, tmp_path: Path) -> None:
    place = mount(device)
    put(Shelf(place), "old", 24 * MIB, 100)
    fill(place)
    bench = Bench(tmp_path, INDEXED)
    bench.check(await bench.run(caching=Caching(Mounted(place), "evict")))
    assert not bench.progress.warnings
    assert (place / IMAGES / "x.img").read_bytes() == bench.cell.data
    assert not (place / IMAGES / "old.img").exists()
