"""Peers that give what is wrong, or nothing, and torrents unlike those of the simulator."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import random
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Final

from ogagent.crowd.order import IMAGE as PLACE
from ogagent.crowd.order import Came, Gave, Share
from ogagent.crowd.station import ENGINE
from ogagent.crowd.swarm import heard, taking_part
from ogagent.source.ranges import Ranges
from ogagent.system.flow import Flow
from simulator.repository.crowd.bencode import Value, encode
from simulator.repository.crowd.offer import Crowd
from tests.crowd.kept import Kept
from tests.crowd.test_swarm import station, swarm, taken
from tests.simulator.crowd.room import IMAGE, LOOPBACK, PATIENCE_S, repository

DATA: Final = random.Random(6).randbytes(9_000_000)
SIZE: Final = len(DATA)
MIB: Final = 1 << 20
ALL: Final = Ranges(0, SIZE)


@asynccontextmanager
async def offered(tmp_path: Path, piece: int, *, seed: bool = False) -> AsyncIterator[bytes]:
    """The torrent, in pieces of so many bytes; with the tracker of a repository, and its ``seed``."""
    async with repository(tmp_path, Crowd(address=LOOPBACK)) as images:
        image = images.images / f"{IMAGE}.img"
        image.write_bytes(DATA)
        hashes = (hashlib.sha1(DATA[at : at + piece], usedforsecurity=False) for at in range(0, SIZE, piece))
        pieces = b"".join(each.digest() for each in hashes)
        info: Value = {b"length": SIZE, b"name": b"ubuntu.img", b"piece length": piece, b"pieces": pieces}
        file = encode({b"info": info})
        image.with_name(f"{image.name}.torrent").write_bytes(file)
        session = await images.begin("p2p")
        if not seed:
            await images.cancel(session)
        yield file


@asynccontextmanager
async def peer(
    number: int, file: bytes, kept: Kept, wanted: tuple[int, int] = (0, 0), *, uploads: bool = True
) -> AsyncIterator[Flow]:
    """One that has what its file is said to hold; as the agent starts it."""
    async with kept.lent(PLACE, ENGINE.uid, ENGINE.gid) as folder:
        have = [bound for pair in kept.there for bound in pair]
        torrent = base64.b64encode(file).decode()
        share = Share(torrent=torrent, place=f"{folder}/{PLACE}", have=have, want=[*wanted], tracker=LOOPBACK)
        async with taking_part(station(number).order([share], uploads=uploads), folder) as flow:
            yield flow


async def given(flow: Flow, enough: int) -> None:
    """Until the peer has given others so many bytes."""
    total = 0
    async with asyncio.timeout(PATIENCE_S):
        while total < enough:
            word = await heard(flow)
            total += word.count if isinstance(word, Gave) else 0


async def test_a_peer_that_poisons(tmp_path: Path) -> None:
    """Nothing of it is taken; and when an honest one comes, all comes."""
    spoilt, honest, pc = (Kept(tmp_path / name, data=DATA) for name in ("spoilt", "honest", "pc"))
    for each in (spoilt, honest):
        each.put(0, SIZE)
    spoilt.file.write_bytes(bytes(SIZE))
    async with offered(tmp_path, MIB) as file, peer(2, file, spoilt) as poisons:
        arrivals = swarm(station(3, join_timeout_s=PATIENCE_S), file, pc, ALL, SIZE)
        async with aclosing(arrivals.stretches()) as stretches:
            first = asyncio.create_task(anext(stretches))
            await given(poisons, MIB)
            assert not first.done()
            async with peer(4, file, honest):
                await first
                for _ in range(MIB, SIZE, MIB):
                    await anext(stretches)
    assert pc.file.read_bytes() == DATA
    assert pc.come == [(0, SIZE)]


async def test_pieces_of_4_mib(tmp_path: Path) -> None:
    pc = Kept(tmp_path / "pc", data=DATA)
    async with offered(tmp_path, 4 * MIB, seed=True) as file:
        await taken(swarm(station(2), file, pc, ALL, SIZE), 3)
    assert sorted(pc.others) == [(0, 4 * MIB), (4 * MIB, 8 * MIB), (8 * MIB, SIZE)]
    assert pc.file.read_bytes() == DATA


async def test_who_uploads_nothing_gives_nothing(tmp_path: Path) -> None:
    """Not even the few pieces that BEP 6 lets everybody have. They would come with the greeting, and so before what it
    takes itself.
    """
    piece = 1 << 17
    own, pc = (Kept(tmp_path / name, data=DATA) for name in ("own", "pc"))
    own.put(8 * piece, SIZE)
    pc.put(0, 8 * piece)
    async with offered(tmp_path, piece) as file, peer(2, file, own, (0, 8 * piece), uploads=False) as leecher:
        slow = station(3, join_timeout_s=PATIENCE_S, upload_limit=piece * 4)
        arrivals = swarm(slow, file, pc, Ranges(8 * piece, SIZE), SIZE)
        async with aclosing(arrivals.stretches()) as stretches:
            taking = asyncio.create_task(anext(stretches))
            async with asyncio.timeout(PATIENCE_S):
                missing = set(range(8))
                while missing:
                    word = await heard(leecher)
                    missing -= {word.piece} if isinstance(word, Came) else set()
            taking.cancel()
            await asyncio.wait([taking])
    assert own.file.read_bytes() == DATA
    assert pc.others == []
