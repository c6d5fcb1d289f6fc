"""Peers: PCs that take an image from each other, with the tracker and the seed of a repository."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace

from ogagent.crowd.station import ENGINE, Station
from ogagent.crowd.swarm import Swarm
from ogagent.errors import MulticastFailed, SessionNotJoined
from ogagent.model.method import Session
from ogagent.source.ranges import Ranges
from simulator.repository.crowd.offer import Crowd
from tests.crowd.kept import Kept
from tests.simulator.crowd.room import DATA, IMAGE, LOOPBACK, Repository, repository

SESSION: Final = Session(engine="p2p")
PIECE: Final = 1 << 20
SIZE: Final = len(DATA)
ALL: Final = Ranges(0, SIZE)


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


@asynccontextmanager
async def torrent(tmp_path: Path) -> AsyncIterator[tuple[Repository, bytes]]:
    async with repository(tmp_path, Crowd(address=LOOPBACK)) as images:
        await images.begin("p2p")
        yield images, (images.images / f"{IMAGE}.img.torrent").read_bytes()


async def taken(swarm: Swarm, pieces: int = 1) -> None:
    """Who has all stays and gives; so it is left then."""
    async with aclosing(swarm.stretches()) as stretches:
        for _ in range(pieces):
            await anext(stretches)


async def test_all_of_it(tmp_path: Path) -> None:
    kept = [kept_at(tmp_path / f"pc{number}") for number in range(3)]
    async with torrent(tmp_path) as (_, file):
        swarms = [Swarm(SESSION, station(n), file, SIZE, each, ALL) for n, each in enumerate(kept, start=2)]
        await asyncio.gather(*(taken(swarm, 3) for swarm in swarms))
    assert all(each.file.read_bytes() == DATA for each in kept)
    assert all(sorted(each.others) == [(0, PIECE), (PIECE, 2 * PIECE), (2 * PIECE, SIZE)] for each in kept)


async def test_a_pc_that_listens_at_all_its_addresses(tmp_path: Path) -> None:
    """As one does whose settings name none."""
    kept = kept_at(tmp_path / "pc")
    async with torrent(tmp_path) as (_, file):
        await taken(Swarm(SESSION, station(2, address="0.0.0.0"), file, SIZE, kept, ALL), 3)
    assert kept.file.read_bytes() == DATA


async def test_what_is_there_is_neither_fetched_nor_read_again(tmp_path: Path) -> None:
    kept = kept_at(tmp_path / "pc")
    kept.put(0, 2 * PIECE)
    async with torrent(tmp_path) as (_, file):
        await taken(Swarm(SESSION, station(2), file, SIZE, kept, Ranges(2 * PIECE, SIZE)))
    assert kept.others == [(2 * PIECE, SIZE)]
    assert kept.file.read_bytes() == DATA


async def test_only_what_is_wanted(tmp_path: Path) -> None:
    kept = kept_at(tmp_path / "pc")
    async with torrent(tmp_path) as (_, file):
        await taken(Swarm(SESSION, station(2), file, SIZE, kept, Ranges(PIECE + 5, PIECE + 10)))
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
            Swarm(SESSION, station(2), file, SIZE, one, Ranges(PIECE, SIZE)),
            Swarm(SESSION, station(3), file, SIZE, other, Ranges(0, PIECE)),
        )
        some = [aclosing(swarm.stretches()) for swarm in swarms]
        async with some[0] as first, some[1] as second:
            await asyncio.gather(anext(first), anext(second))
            await anext(first)
    assert sorted(one.others) == [(PIECE, 2 * PIECE), (2 * PIECE, SIZE)]
    assert one.file.read_bytes() == other.file.read_bytes() == DATA


@pytest.mark.parametrize(("file", "why"), [(b"", "cannot be used"), (b"d4:infod6:lengthi5eee", "cannot be used")])
async def test_a_torrent_that_is_none(tmp_path: Path, file: bytes, why: str) -> None:
    with pytest.raises(SessionNotJoined, match=why):
        await taken(Swarm(SESSION, station(2), file, SIZE, kept_at(tmp_path / "pc"), ALL))


async def test_a_torrent_of_another_image(tmp_path: Path) -> None:
    async with torrent(tmp_path) as (_, file):
        with pytest.raises(SessionNotJoined, match="another image"):
            await taken(Swarm(SESSION, station(2), file, SIZE + 1, kept_at(tmp_path / "pc"), ALL))


async def test_nobody_is_there(tmp_path: Path) -> None:
    async with torrent(tmp_path) as (images, file):
        [session] = (await images.call("GET", "/p2p"))[1]["sessions"]
        await images.cancel(session)
        alone = Swarm(SESSION, station(2, join_timeout_s=2), file, SIZE, kept_at(tmp_path / "pc"), ALL)
        with pytest.raises(SessionNotJoined, match="no peer"):
            await taken(alone)


async def test_strangers_are_not_spoken_with(tmp_path: Path) -> None:
    """Neither the tracker nor the seed is in the networks that the settings name."""
    async with torrent(tmp_path) as (_, file):
        elsewhere = station(2, join_timeout_s=2, networks=(ip_network("10.0.0.0/8"),))
        with pytest.raises((SessionNotJoined, MulticastFailed)):
            await taken(Swarm(SESSION, elsewhere, file, SIZE, kept_at(tmp_path / "pc"), ALL))
