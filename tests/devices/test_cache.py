"""The CACHE as a real partition: found where it was, mounted, checked, left, and left alone when its disk hangs."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec.structs import replace

from ogagent.disk.cache import MountedCache
from ogagent.disk.cache_thread import CacheThread
from ogagent.disk.occupancy import block_device_number, read_occupants
from ogagent.errors import CacheError
from ogagent.model.plan import Target
from ogagent.model.progress import NoBooks
from ogagent.restore.caching import Caching
from tests.devices.conftest import LoopDisk, Mount, bound
from tests.faults.bench import Bench, Cell
from tests.faults.classroom import RUN, indexed, streamed

MIB: Final = 1 << 20
TOOLS: Final = ("mke2fs", "e2fsck", "mount", "debugfs", "fsfreeze")

pytestmark = pytest.mark.skipif(
    not all(shutil.which(tool, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") for tool in TOOLS),
    reason=f"not installed: one of {', '.join(TOOLS)}",
)


@pytest.fixture
def place(cache_place: Target) -> Target:
    return cache_place


def occupant(place: Target) -> str | None:
    return read_occupants().get(block_device_number(place.device) or -1)


def options_of(root: Path) -> set[str]:
    lines = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return next(set(words[5].split(",")) for words in lines if words[4].replace("\\040", " ") == str(root))


async def test_it_is_mounted_as_long_as_it_is_used(place: Target, tmp_path: Path) -> None:
    store = MountedCache(tmp_path / "new" / "cache")
    async with store.mounted(place) as one:
        with pytest.raises(OSError, match="Read-only"):
            (one / "kept").write_text("here")
        async with store.writable():
            (one / "kept").write_text("here")
            async with store.mounted(place) as other:
                assert other == one
            (one / "more").write_text("here")
        async with store.mounted(place):
            pass
        with pytest.raises(OSError, match="Read-only"):
            (one / "kept").write_text("not any more")
        assert occupant(place) == str(one)
    assert occupant(place) is None
    async with store.mounted(place) as again:
        assert (again / "kept").read_text() == "here"


async def test_only_to_look_into_it_writes_nothing(place: Target, tmp_path: Path) -> None:
    before = await asyncio.to_thread(Path(place.device).read_bytes)
    async with MountedCache(tmp_path / "cache").mounted(place) as root:
        assert list(root.iterdir())
    assert await asyncio.to_thread(Path(place.device).read_bytes) == before


async def test_a_mount_of_somebody_else_stays(place: Target, mount: Mount, tmp_path: Path) -> None:
    root = mount(place.device)
    async with MountedCache(tmp_path / "cache").mounted(place) as found:
        assert found == root
    assert occupant(place) == str(root)


async def test_it_is_unmounted_when_a_job_fails_or_is_cancelled(place: Target, tmp_path: Path) -> None:
    store = MountedCache(tmp_path / "cache")
    with pytest.raises(ZeroDivisionError):
        async with store.mounted(place):
            raise ZeroDivisionError
    assert occupant(place) is None
    inside = asyncio.Event()

    async def job() -> None:
        async with store.mounted(place):
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(job())
    await inside.wait()
    task.cancel()
    await asyncio.wait([task])
    assert occupant(place) is None


async def test_what_could_not_be_unmounted_is_unmounted_by_the_next_job(place: Target, tmp_path: Path) -> None:
    store = MountedCache(tmp_path / "cache")
    async with store.mounted(place) as root, store.writable():
        busy = (root / "busy").open("wb")
    assert occupant(place) == str(root)
    async with store.mounted(place) as again:
        assert again == root
        busy.close()
        (root / "busy").unlink()
    assert occupant(place) is None


@pytest.mark.parametrize("device", ["empty", "swap"])
async def test_what_cannot_be_mounted(
    loop_disk: LoopDisk, tool: Callable[..., str], tmp_path: Path, device: str
) -> None:
    disk = loop_disk(34 * MIB, "label: gpt\nstart=1MiB, size=32MiB, type=linux\n")
    if device == "swap":
        tool("mkswap", f"{disk}p1")
    with pytest.raises(CacheError, match=disk) as failure:
        async with MountedCache(tmp_path / "cache").mounted(bound(f"{disk}p1")):
            pass
    assert failure.value.number == 31
    assert occupant(bound(f"{disk}p1")) is None


# --- its place ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change", [{"start": 2 * MIB}, {"size": 95 * MIB}, {"identity": "serial:another;size:102760448"}], ids=str
)
async def test_another_place_than_the_inventory_has_found(
    place: Target, tool: Callable[..., str], tmp_path: Path, change: dict[str, Any]
) -> None:
    """The kernel may still know an older table: what its node stands for is neither checked nor mounted."""
    tool("debugfs", "-w", "-R", "set_super_value state 2", place.device)
    before = await asyncio.to_thread(Path(place.device).read_bytes)
    store = MountedCache(tmp_path / "cache")
    with pytest.raises(CacheError, match="not where it was") as failure:
        async with store.mounted(replace(place, **change)):
            pass
    assert failure.value.number == 31
    assert occupant(place) is None
    assert await asyncio.to_thread(Path(place.device).read_bytes) == before


async def test_two_jobs_that_mean_different_places(place: Target, tmp_path: Path) -> None:
    """The number of a disk may change meanwhile; the disk may not."""
    store = MountedCache(tmp_path / "cache")
    async with store.mounted(place) as root:
        async with store.mounted(replace(place, disk=2)) as same:
            assert same == root
        with pytest.raises(CacheError, match="another partition"):
            async with store.mounted(replace(place, identity="serial:another;size:1")):
                pass
        assert occupant(place) == str(root)
    assert occupant(place) is None


async def test_a_disk_that_has_gone(place: Target, tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="No such file"):
        async with MountedCache(tmp_path / "cache").mounted(replace(place, device=f"{place.device}9")):
            pass


# --- tools --------------------------------------------------------------------------------------------------------


@pytest.fixture
def instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Puts a shell script before the tool of its name, which is ``$REAL`` in there."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def put(name: str, script: str) -> None:
        real = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
        (folder / name).write_text(f"#!/bin/sh\nREAL={real}\n{script}\n")
        (folder / name).chmod(0o755)

    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return put


async def test_an_older_mount_that_knows_no_nosymfollow(
    place: Target, instead: Callable[[str, str], None], tmp_path: Path
) -> None:
    instead("mount", 'case "$*" in *nosymfollow*) echo "bad option" >&2; exit 32;; esac; exec $REAL "$@"')
    store = MountedCache(tmp_path / "cache")
    async with store.mounted(place) as root, store.writable():
        (root / "kept").write_text("here")
        assert {"nosuid", "nodev", "noexec"} < options_of(root)
    assert occupant(place) is None


async def test_an_unclean_file_system_is_checked_first(place: Target, tool: Callable[..., str], tmp_path: Path) -> None:
    """The kernel would mount one that it has found errors in, and leave them."""
    tool("debugfs", "-w", "-R", "set_super_value state 2", place.device)
    assert "clean with errors" in tool("dumpe2fs", "-h", place.device)
    with pytest.raises(CacheError, match="repaired first"):
        async with MountedCache(tmp_path / "cache").mounted(place, repair=False):
            pass
    assert "with errors" in tool("dumpe2fs", "-h", place.device)
    async with MountedCache(tmp_path / "cache").mounted(place):
        pass
    assert "with errors" not in tool("dumpe2fs", "-h", place.device)


async def test_a_repair_is_not_broken_off(
    place: Target, instead: Callable[[str, str], None], tool: Callable[..., str], tmp_path: Path
) -> None:
    """The job that is cancelled does not wait for its end; the next one does."""
    tool("debugfs", "-w", "-R", "set_super_value state 2", place.device)
    begun, go_on, killed = tmp_path / "begun", tmp_path / "go on", tmp_path / "killed"
    instead(
        "e2fsck",
        f"""trap "touch '{killed}'" TERM; touch '{begun}'; while [ ! -e '{go_on}' ]; do sleep 0.1; done; $REAL "$@" """,
    )
    store = MountedCache(tmp_path / "cache")
    inside = asyncio.Event()

    async def job() -> None:
        async with store.mounted(place):
            inside.set()

    first = asyncio.create_task(job())
    while not begun.exists():  # noqa: ASYNC110 - a file
        await asyncio.sleep(0.01)
    first.cancel()
    await asyncio.wait_for(asyncio.wait([first]), 300)
    assert first.cancelled()
    second = asyncio.create_task(job())
    await asyncio.sleep(0.2)
    assert not inside.is_set()
    go_on.touch()
    await asyncio.wait_for(second, 300)
    assert not killed.exists()
    assert "with errors" not in tool("dumpe2fs", "-h", place.device)
    assert occupant(place) is None


# --- a disk that hangs --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", [indexed(), streamed()], ids=["indexed", "streamed"])
@pytest.mark.parametrize("cancel", [False, True], ids=["", "cancelled"])
async def test_a_file_system_that_hangs(
    place: Target, tool: Callable[..., str], tmp_path: Path, cell: Cell, cancel: bool
) -> None:
    """A job does not wait for it for ever. It is unmounted as soon as it answers, and then used again."""
    store = MountedCache(tmp_path / "cache", CacheThread(patience_s=1.0, grace_s=0.5))
    caching = Caching(store, "evict", run=RUN)
    (tmp_path / "pc").mkdir()
    bench = Bench(tmp_path / "pc", replace(cell, ends=(0, -1), local=True))
    bench.progress.books = freezing = Freezing(tool, tmp_path / "cache")
    try:
        job = asyncio.ensure_future(bench.run(caching=caching, cache=place))
        if cancel:
            while not freezing.frozen:  # noqa: ASYNC110 - set in another thread
                await asyncio.sleep(0.01)
            job.cancel()
        ending = await asyncio.wait_for(asyncio.shield(job), 300)
        bench.check(ending)
        assert store.thread.stuck
        assert occupant(place) == str(tmp_path / "cache")
        if not cancel:
            assert [text[:3] for text in bench.progress.warnings] == ["031"]
            with pytest.raises(CacheError, match="has not answered"):
                async with store.mounted(place):
                    pass
    finally:
        tool("fsfreeze", "--unfreeze", tmp_path / "cache")
    async with asyncio.timeout(300):
        while occupant(place):  # noqa: ASYNC110 - a table of the kernel
            await asyncio.sleep(0.05)
    store.thread.patience_s = 300
    async with store.mounted(place) as root:
        assert root == tmp_path / "cache"
    assert occupant(place) is None


class Freezing(NoBooks):
    """nothing can be written to the CACHE once the partition is."""

    def __init__(self, tool: Callable[..., str], root: Path) -> None:
        self._tool = tool
        self._root = root
        self.frozen = False

    def change_begins(self) -> None:
        self._tool("fsfreeze", "--freeze", self._root)
        self.frozen = True
