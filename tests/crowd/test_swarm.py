"""Peers: PCs that take an image from each other, with the tracker and the seed of a repository."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Final

import libtorrent as lt
import pytest
from msgspec.structs import replace

from ogagent.crowd.arrivals import Need
from ogagent.crowd.pieces import TURNS
from ogagent.crowd.station import ENGINE, Station
from ogagent.crowd.swarm import Swarm
from ogagent.errors import CrowdError, MulticastFailed, SessionNotJoined
from ogagent.model.method import Session
from ogagent.source.ranges import Ranges
from simulator.repository.crowd.offer import Crowd
from tests.crowd.kept import Kept
from tests.crowd.senders import running
from tests.simulator.crowd.room import DATA, IMAGE, LOOPBACK, Repository, repository

SESSION: Final = Session(engine="p2p")
PIECE: Final = 1 << 20
SIZE: Final = len(DATA)
ALL: Final = Ranges(0, SIZE)
STARTED_S: Final = 10.0
"""In which the program has started, also on a busy machine."""


def kept_at(folder: Path) -> Kept:
    return Kept(folder, data=DATA)


def station(number: int, **changes: object) -> Station:
    """A PC of the lab: its address is one of this machine's."""
    pc = Station(
        interface="lo",
        join_timeout_s=60,
        stall_s=60,
        account=ENGINE if os.geteuid() == 0 else None,
        repository=LOOPBACK,
        address=f"127.0.2.{number}",
        networks=(ip_network("127.0.0.0/8"),),
    )
    return replace(pc, **changes)


def swarm(
    pc: Station,
    file: bytes,
    kept: Kept,
    wanted: Ranges = ALL,
    size: int = SIZE,
    dried_up: Callable[[CrowdError], None] = lambda _: None,
    turns: float = TURNS,
) -> Swarm:
    return Swarm(SESSION, pc, file, Need(wanted, size, _nothing, kept, dried_up), kept, turns)


async def _nothing(suffix: str, limit: int) -> bytes | None:
    raise NotImplementedError


@asynccontextmanager
async def torrent(tmp_path: Path, **members: str) -> AsyncIterator[tuple[Repository, bytes]]:
    async with repository(tmp_path, Crowd(address=LOOPBACK)) as images:
        await images.begin("p2p", **members)
        yield images, (images.images / f"{IMAGE}.img.torrent").read_bytes()


async def taken(swarm: Swarm, pieces: int = 1) -> None:
    """Who has all stays and gives; so it is left then."""
    async with aclosing(swarm.stretches()) as stretches:
        for _ in range(pieces):
            await anext(stretches)


async def test_all_of_it(tmp_path: Path) -> None:
    kept = [kept_at(tmp_path / f"pc{number}") for number in range(3)]
    async with torrent(tmp_path) as (_, file):
        swarms = [swarm(station(n), file, each) for n, each in enumerate(kept, start=2)]
        await asyncio.gather(*(taken(swarm, 3) for swarm in swarms))
    assert all(each.file.read_bytes() == DATA for each in kept)
    assert all(sorted(each.others) == [(0, PIECE), (PIECE, 2 * PIECE), (2 * PIECE, SIZE)] for each in kept)


async def test_a_pc_that_listens_at_all_its_addresses(tmp_path: Path) -> None:
    """As one does whose settings name none."""
    kept = kept_at(tmp_path / "pc")
    async with torrent(tmp_path) as (_, file):
        await taken(swarm(station(2, address="0.0.0.0"), file, kept), 3)
    assert kept.file.read_bytes() == DATA


async def test_what_is_there_is_neither_fetched_nor_read_again(tmp_path: Path) -> None:
    kept = kept_at(tmp_path / "pc")
    kept.put(0, 2 * PIECE)
    async with torrent(tmp_path) as (_, file):
        await taken(swarm(station(2), file, kept, Ranges(2 * PIECE, SIZE)))
    assert kept.others == [(2 * PIECE, SIZE)]
    assert kept.file.read_bytes() == DATA


async def test_only_what_is_wanted(tmp_path: Path) -> None:
    kept = kept_at(tmp_path / "pc")
    async with torrent(tmp_path) as (_, file):
        await taken(swarm(station(2), file, kept, Ranges(PIECE + 5, PIECE + 10)))
    assert kept.others == [(PIECE, 2 * PIECE)]
    assert kept.file.read_bytes()[2 * PIECE :] == bytes(SIZE - 2 * PIECE)


async def test_without_a_seed_what_some_have_is_given_to_others(tmp_path: Path) -> None:
    one, other = kept_at(tmp_path / "one"), kept_at(tmp_path / "other")
    one.put(0, PIECE)
    other.put(PIECE, SIZE)
    async with torrent(tmp_path) as (images, file):
        [session] = (await images.call("GET", "/p2p"))[1]["sessions"]
        await images.cancel(session)
        swarms = (
            swarm(station(2), file, one, Ranges(PIECE, SIZE)),
            swarm(station(3), file, other, Ranges(0, PIECE)),
        )
        some = [aclosing(swarm.stretches()) for swarm in swarms]
        async with some[0] as first, some[1] as second:
            await asyncio.gather(anext(first), anext(second))
            await anext(first)
    assert sorted(one.others) == [(PIECE, 2 * PIECE), (2 * PIECE, SIZE)]
    assert one.file.read_bytes() == other.file.read_bytes() == DATA


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("opentracker") is None, reason="needs opentracker, and root")
async def test_they_find_each_other_by_opentracker(tmp_path: Path) -> None:
    """With the tracker that many repositories have, which serves the images on its list alone."""
    one, other = kept_at(tmp_path / "one"), kept_at(tmp_path / "other")
    one.put(0, PIECE)
    other.put(PIECE, SIZE)
    async with torrent(tmp_path) as (_, file):
        pass
    _allow(file, tmp_path)
    async with running("opentracker", "-i", LOOPBACK, "-p", "6969", "-d", f"{tmp_path}", "-w", "list"):
        first = aclosing(swarm(station(2), file, one, Ranges(PIECE, SIZE)).stretches())
        second = aclosing(swarm(station(3), file, other, Ranges(0, PIECE)).stretches())
        async with first as some, second as others:
            await asyncio.gather(anext(some), anext(others))
            await anext(some)
    assert one.file.read_bytes() == other.file.read_bytes() == DATA


def _allow(torrent: bytes, folder: Path) -> None:
    """opentracker, which reads it as nobody."""
    folder.chmod(0o755)
    (folder / "list").write_text(f"{lt.torrent_info(torrent).info_hash()}\n")


@pytest.mark.parametrize(("file", "why"), [(b"", "cannot be used"), (b"d4:infod6:lengthi5eee", "cannot be used")])
async def test_a_torrent_that_is_none(tmp_path: Path, file: bytes, why: str) -> None:
    with pytest.raises(SessionNotJoined, match=why):
        await taken(swarm(station(2), file, kept_at(tmp_path / "pc")))


async def test_a_torrent_of_another_image(tmp_path: Path) -> None:
    async with torrent(tmp_path) as (_, file):
        with pytest.raises(SessionNotJoined, match="another image"):
            await taken(swarm(station(2), file, kept_at(tmp_path / "pc"), size=SIZE + 1))


async def test_nobody_is_there(tmp_path: Path) -> None:
    async with torrent(tmp_path) as (images, file):
        [session] = (await images.call("GET", "/p2p"))[1]["sessions"]
        await images.cancel(session)
        alone = swarm(station(2, join_timeout_s=STARTED_S), file, kept_at(tmp_path / "pc"))
        with pytest.raises(SessionNotJoined, match="no peer"):
            await taken(alone)


async def test_strangers_are_not_spoken_with(tmp_path: Path) -> None:
    """Neither the tracker nor the seed is in the networks that the settings name."""
    async with torrent(tmp_path) as (_, file):
        elsewhere = station(2, join_timeout_s=STARTED_S, networks=(ip_network("10.0.0.0/8"),))
        with pytest.raises((SessionNotJoined, MulticastFailed)):
            await taken(swarm(elsewhere, file, kept_at(tmp_path / "pc")))


async def test_what_comes_from_the_repository_is_given_to_others(tmp_path: Path) -> None:
    """Nobody else has it."""
    one, other = kept_at(tmp_path / "one"), kept_at(tmp_path / "other")
    async with without_a_seed(tmp_path) as file:
        filling, taking = aclosing(swarm(station(2), file, one).stretches()), swarm(station(3), file, other)
        async with filling as stretches:
            nothing = asyncio.create_task(anext(stretches))
            await until_lent(one)
            one.fill(PIECE - 10, PIECE + 10)
            one.fill(PIECE + 10, 2 * PIECE)
            one.fill(2 * PIECE, SIZE)
            await taken(taking, 2)
            assert not nothing.done(), "what it has put there itself does not come from others"
            nothing.cancel()
            await asyncio.wait([nothing])
    assert sorted(other.others) == [(PIECE, 2 * PIECE), (2 * PIECE, SIZE)]
    assert other.file.read_bytes()[PIECE:] == DATA[PIECE:]


async def test_what_the_repository_gave_wrongly_is_given_to_nobody(tmp_path: Path) -> None:
    one, other = kept_at(tmp_path / "one"), kept_at(tmp_path / "other")
    async with without_a_seed(tmp_path) as file, aclosing(swarm(station(2), file, one).stretches()) as stretches:
        nothing = asyncio.create_task(anext(stretches))
        await until_lent(one)
        one.data = DATA[: PIECE + 7] + bytes([DATA[PIECE + 7] ^ 1]) + DATA[PIECE + 8 :]
        one.fill(0, SIZE)
        await taken(swarm(station(3), file, other), 2)
        nothing.cancel()
        await asyncio.wait([nothing])
    assert sorted(other.others) == [(0, PIECE), (2 * PIECE, SIZE)]


async def test_a_seed_that_has_gone(tmp_path: Path) -> None:
    """Nobody is left who could have the rest; that is known, and not waited for in vain."""
    kept = kept_at(tmp_path / "pc")
    dry: asyncio.Future[CrowdError] = asyncio.get_running_loop().create_future()
    async with torrent(tmp_path, speed="1M") as (images, file):
        pc = swarm(station(2, stall_s=2), file, kept, dried_up=dry.set_result, turns=1000)
        async with aclosing(pc.stretches()) as stretches:
            await anext(stretches)
            await images.cancel((await images.call("GET", "/p2p"))[1]["sessions"][0])
            more = asyncio.create_task(anext(stretches))
            async with asyncio.timeout(300):
                assert "has what is missing" in (await dry).message
            more.cancel()
            await asyncio.wait([more])


@asynccontextmanager
async def without_a_seed(tmp_path: Path) -> AsyncIterator[bytes]:
    async with torrent(tmp_path) as (images, file):
        [session] = (await images.call("GET", "/p2p"))[1]["sessions"]
        await images.cancel(session)
        yield file


async def until_lent(kept: Kept) -> None:
    async with asyncio.timeout(300):
        while kept.told is None:  # noqa: ASYNC110 - what is lent has no event
            await asyncio.sleep(0.02)
