"""Images of the CACHE that other PCs can have while this one has nothing else to do, with a repository's tracker."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Final

import pytest

from ogagent.crowd.gifts import MOST, Gift, close_gifts, open_gifts
from ogagent.crowd.seeding import IDLE, SESSION, Seeding
from ogagent.crowd.station import ENGINE
from ogagent.model.disk import Disk, Inventory, Partition
from simulator.repository.crowd.torrents import make_torrent
from tests.crowd.test_swarm import PIECE, kept_at, station, swarm, taken, without_a_seed
from tests.faults.classroom import Directory
from tests.simulator.crowd.room import DATA, IMAGE, LOOPBACK, children_of, runs

SIZE: Final = len(DATA)
IMAGES: Final = "opt/opengnsys/images"
LONG: Final = 3600
INSIDE: Final = "127.0.68.56"
OUTSIDE: Final = "127.1.68.56"


class OneCache:
    """Implements ``ogagent.disk.machine.Inventoried``."""

    async def inventory(self, *, thorough: bool = True) -> Inventory:  # noqa: ARG002 - as it is called
        part = Partition(partition=4, device="cache", start=0, size=0, code="CA00", cache=True)
        disk = Disk(disk=1, device="", identity="", model="", size=0, sector_size=512, table="gpt", partitions=(part,))
        return Inventory(disks=(disk,))


class Pc:
    """One whose CACHE has an image."""

    def __init__(self, root: Path, torrent: bytes, *, idle: bool = True) -> None:
        self.store, self.torrent = Directory(root), torrent
        self.images = root / IMAGES
        self.image = self.images / f"{IMAGE}.img"
        self.put(IMAGE)
        pc = station(9, networks=(ip_network("127.0.0.0/16"),))
        self.seeding = Seeding(OneCache(), self.store, pc, idle=idle, quiet_s=0)

    def put(self, name: str, content: bytes = DATA, when: int = 0) -> Path:
        image = self.images / f"{name}.img"
        image.parent.mkdir(parents=True, exist_ok=True)
        image.write_bytes(content)
        image.with_name(f"{image.name}.torrent").write_bytes(self.torrent)
        os.utime(image, (when, when))
        return image

    @asynccontextmanager
    async def idling(self) -> AsyncIterator[Seeding]:
        keeping = asyncio.create_task(self.seeding.run())
        try:
            yield self.seeding
        finally:
            keeping.cancel()
            await asyncio.wait([keeping])
        assert keeping.cancelled()
        assert (self.store.users, self.seeding.images) == (0, ())


@asynccontextmanager
async def room(folder: Path, *, idle: bool = True) -> AsyncIterator[tuple[Pc, bytes]]:
    """A PC, and the .torrent; the repository gives nothing itself."""
    async with without_a_seed(folder) as file:
        yield Pc(folder / "cache", file, idle=idle), file


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(300):
        while not condition():  # noqa: ASYNC110 - another process, or another task, changes it
            await asyncio.sleep(0.02)


async def a_while() -> None:
    """In which what must not happen would."""
    for _ in range(20):
        await asyncio.sleep(0.01)


async def test_while_it_idles(tmp_path: Path) -> None:
    other = kept_at(tmp_path / "other")
    async with room(tmp_path) as (pc, file), pc.idling() as seeding:
        await taken(swarm(station(3), file, other), 3)
        assert seeding.images == (IMAGE,)
        await until(lambda: seeding.given[IDLE] >= SIZE)
    assert other.file.read_bytes() == DATA
    assert seeding.given[SESSION] == 0


async def test_for_the_seconds_of_a_session(tmp_path: Path) -> None:
    """And no longer, where nothing is given to others otherwise. The image with the name counts, and no other."""
    other = kept_at(tmp_path / "other")
    async with room(tmp_path, idle=False) as (pc, file), pc.idling() as seeding:
        pc.put("another")
        await a_while()
        async with seeding.interrupted():
            mounts: int = pc.store.mounts
            assert mounts == 0
            seeding.promise(IMAGE, LOOPBACK, LONG)
        await taken(swarm(station(3), file, other), 3)
        assert seeding.images == (IMAGE,)
        await until(lambda: seeding.given[SESSION] >= SIZE)
        async with seeding.interrupted():
            seeding.promise(IMAGE, LOOPBACK, 1)
        over = asyncio.get_running_loop().time() + 1
        await until(lambda: asyncio.get_running_loop().time() > over and not pc.store.users)
        mounts = pc.store.mounts
        async with seeding.interrupted():
            pass
        await a_while()
        assert pc.store.mounts == mounts
    assert seeding.given[IDLE] == 0


async def test_no_seconds(tmp_path: Path) -> None:
    async with room(tmp_path, idle=False) as (pc, _), pc.idling() as seeding:
        for seconds in (LONG, 0):
            async with seeding.interrupted():
                seeding.promise(IMAGE, LOOPBACK, seconds)
        await a_while()
        assert pc.store.mounts <= 1


async def test_a_job_finds_the_cache_free(tmp_path: Path) -> None:
    """And when the last of several has ended, others can have the image again."""
    before = children_of(os.getpid())
    async with room(tmp_path) as (pc, file), pc.idling() as seeding:
        for number in (3, 4):
            await until(lambda: seeding.images)
            engines = children_of(os.getpid()) - before
            assert engines
            async with seeding.interrupted():
                assert (pc.store.users, seeding.images) == (0, ())
                assert not any(map(runs, engines))
                async with seeding.interrupted():
                    pass
                await a_while()
                assert pc.store.users == 0
            await taken(swarm(station(number), file, kept_at(tmp_path / f"pc{number}")), 3)


async def test_a_job_that_comes_at_any_moment(tmp_path: Path) -> None:
    async with room(tmp_path) as (pc, _), pc.idling() as seeding:
        for turns in range(60):
            for _ in range(turns):
                await asyncio.sleep(0.001 * (turns % 7))
            async with seeding.interrupted():
                assert pc.store.users == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start an engine as somebody else")
async def test_the_engine_cannot_change_an_image(tmp_path: Path) -> None:
    for folder in (tmp_path, *list(tmp_path.parents)[:-2]):
        folder.chmod(folder.stat().st_mode | 0o111)
    async with room(tmp_path) as (pc, _), pc.idling() as seeding:
        await until(lambda: seeding.images)
        assert engines_files(pc.image) == {(ENGINE.uid, os.O_RDONLY)}
        assert await _written_by_the_engines_account(pc.image) == b"Permission denied\n"
    assert pc.image.read_bytes() == DATA


def engines_files(image: Path) -> set[tuple[int, int]]:
    """Who has the image open, and how."""
    found = set()
    for engine in (Path(f"/proc/{pid}") for pid in children_of(os.getpid())):
        for file in (each for each in (engine / "fd").iterdir() if each.resolve() == image):
            flags = (engine / "fdinfo" / file.name).read_text().split("flags:")[1].split()[0]
            user = (engine / "status").read_text().split("Uid:")[1].split()[0]
            found.add((int(user), int(flags, 8) & os.O_ACCMODE))
    return found


async def _written_by_the_engines_account(image: Path) -> bytes:
    """By its name, and by a descriptor that can only read, what comes of writing."""
    attempt = (
        "import os, sys\n"
        "os.setgroups([]); os.setresgid(*3 * [int(sys.argv[2])]); os.setresuid(*3 * [int(sys.argv[2])])\n"
        "fd = os.open(sys.argv[1], os.O_RDONLY)\n"
        "for path in (sys.argv[1], f'/proc/self/fd/{fd}'):\n"
        "    try: os.open(path, os.O_RDWR)\n"
        "    except OSError as error: found = error.strerror\n"
        "    else: found = 'written'; break\n"
        "print(found)"
    )
    command = [sys.executable, "-c", attempt, f"{image}", f"{ENGINE.uid}"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    said, _ = await process.communicate()
    return said


async def test_what_is_damaged_is_not_given(tmp_path: Path) -> None:
    """What else there is of it is."""
    other = kept_at(tmp_path / "other")
    async with room(tmp_path) as (pc, file):
        pc.put(IMAGE, DATA[: PIECE + 7] + bytes([DATA[PIECE + 7] ^ 1]) + DATA[PIECE + 8 :])
        async with pc.idling():
            await taken(swarm(station(3), file, other), 2)
    assert sorted(other.others) == [(0, PIECE), (2 * PIECE, SIZE)]


async def test_an_image_that_is_replaced_meanwhile(tmp_path: Path) -> None:
    """By whoever does not ask: others get what they have begun to take, until the next look."""
    other = kept_at(tmp_path / "other")
    async with room(tmp_path) as (pc, file), pc.idling() as seeding:
        await until(lambda: seeding.images)
        new = pc.image.with_name("new")
        new.write_bytes(bytes(SIZE))
        new.replace(pc.image)
        await taken(swarm(station(3), file, other), 3)
    assert other.file.read_bytes() == DATA


async def test_one_that_cannot_be_given_does_not_keep_the_others(tmp_path: Path) -> None:
    other = kept_at(tmp_path / "other")
    async with room(tmp_path) as (pc, file):
        pc.put("cut off", DATA[:-1], when=3)
        pc.put("no torrent", when=4).with_name("no torrent.img.torrent").write_bytes(b"nothing")
        async with pc.idling():
            await taken(swarm(station(3), file, other), 3)
    assert other.file.read_bytes() == DATA


@pytest.mark.parametrize("what", ["no CACHE", "nothing in it", "no torrent"])
async def test_nothing_to_give(tmp_path: Path, what: str) -> None:
    pc = Pc(tmp_path / "cache", b"")
    if what == "nothing in it":
        shutil.rmtree(pc.images)
    if what == "no torrent":
        pc.image.with_name(f"{pc.image.name}.torrent").unlink()
    pc.store.broken = what == "no CACHE"
    async with pc.idling() as seeding:
        await until(lambda: pc.store.broken or pc.store.mounts)
        await until(lambda: not pc.store.users)
        async with seeding.interrupted():
            pass


def test_which_images(tmp_path: Path) -> None:
    """What a call has named, and then the newest."""
    pc = Pc(tmp_path, b"a torrent")
    for number in range(MOST + 3):
        pc.put(f"image{number}", b"", when=number + 1)
    pc.put("image9", b"", when=99).chmod(0o666)
    pc.put("image8", b"", when=98).chmod(0o600)
    pc.put("partial", b"", when=97).rename(pc.images / "x.img.0123.partial")
    newest = [f"image{number}" for number in range(MOST + 2, 0, -1)]
    assert names_of(tmp_path, "nothing", IMAGE, others=True) == [IMAGE, *newest[: MOST - 1]]
    assert names_of(tmp_path, "image1", others=False) == ["image1"]


def names_of(root: Path, *first: str, others: bool) -> list[str]:
    gifts: list[Gift] = []
    open_gifts(root, first, gifts, others=others)
    close_gifts(gifts)
    return [gift.name for gift in gifts]


async def test_a_tracker_elsewhere_is_not_asked(tmp_path: Path) -> None:
    """Whoever can write to the CACHE names it; the settings say who may be spoken with."""
    asked: set[str] = set()

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.add(writer.get_extra_info("sockname")[0])
        writer.close()
        await writer.wait_closed()

    pc = Pc(tmp_path / "cache", b"")
    for host in (INSIDE, OUTSIDE):
        image = pc.put(host, DATA)
        image.with_name(f"{image.name}.torrent").write_bytes(make_torrent(image, f"http://{host}:6969/announce"))
    async with AsyncExitStack() as servers:
        for host in (INSIDE, OUTSIDE):
            await servers.enter_async_context(await asyncio.start_server(note, host, 6969))
        async with pc.idling() as seeding:
            await until(lambda: INSIDE in asked and len(seeding.images) == 2)
            await a_while()
    assert asked == {INSIDE}


AGENT: Final = """
import asyncio, sys
from ipaddress import ip_network
from pathlib import Path
from tests.crowd.test_seeding import Pc, until
async def main():
    pc = Pc(Path(sys.argv[1]), Path(sys.argv[2]).read_bytes())
    async with pc.idling() as seeding:
        await until(lambda: seeding.images)
        print(flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


async def test_an_agent_that_is_killed_leaves_no_engine(tmp_path: Path) -> None:
    image = tmp_path / "x.img"
    image.write_bytes(DATA)
    (tmp_path / "torrent").write_bytes(make_torrent(image, f"http://{LOOPBACK}:6969/announce"))
    command = [sys.executable, "-c", AGENT, f"{tmp_path / 'cache'}", f"{tmp_path / 'torrent'}"]
    agent = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert agent.stdout is not None
    assert await agent.stdout.readline() == b"\n"
    engines = children_of(agent.pid)
    assert engines
    agent.send_signal(signal.SIGKILL)
    await agent.wait()
    await until(lambda: not any(map(runs, engines)))
