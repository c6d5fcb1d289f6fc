"""udpcast, with the sender of upstream and its own command line."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace

from ogagent.crowd.station import ENGINE, Station
from ogagent.crowd.udpcast import Udpcast
from ogagent.errors import MulticastFailed, SessionNotJoined
from ogagent.model.method import Session
from ogagent.source.ranges import Ranges
from tests.crowd.senders import (
    CARD,
    NETWORKS,
    PORT,
    another_pc,
    crowded,
    other_receiver,
    running,
    udp_sender,
    words_heard,
)

__all__ = ["crowded"]

pytestmark = [pytest.mark.usefixtures("crowded"), pytest.mark.xdist_group("multicast")]

IMAGE: Final = random.Random(3).randbytes(12_345_678)
SESSION: Final = Session(engine="udpcast", port=PORT)
STATION: Final = Station(interface=CARD, join_timeout_s=60, stall_s=60, account=ENGINE)
FEW: Final = Ranges(1_000_000, 1_500_000, 12_000_000, len(IMAGE))


AGENT: Final = f"""
import asyncio, time
from ogagent.crowd.station import ENGINE, Station
from ogagent.crowd.udpcast import Udpcast
from ogagent.model.method import Session
from ogagent.source.ranges import Ranges

async def main():
    station = Station(interface="{CARD}", join_timeout_s=60, stall_s=60, account=ENGINE)
    receiver = Udpcast(Session(engine="udpcast", port={PORT}), station, Ranges(0, {len(IMAGE)}), time.monotonic)
    async for _ in receiver.stretches():
        print("it comes", flush=True)
        await asyncio.sleep(3600)

asyncio.run(main())
"""


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image-test.img"
    path.write_bytes(IMAGE)
    return path


def receiver(wanted: Ranges | None = None, station: Station = STATION, backlog: int = 64 << 20) -> Udpcast:
    return Udpcast(SESSION, station, wanted or Ranges(0, len(IMAGE)), time.monotonic, backlog=backlog)


async def taken(arrivals: Udpcast) -> dict[int, bytes]:
    """All that comes, by where it stands."""
    found = {}
    async with aclosing(arrivals.stretches()) as stretches:
        async for start, stop in stretches:
            found[start] = await arrivals.read(start, stop)
    return found


async def test_who_gets_it_tells_others(image: Path) -> None:
    """Also when it is the only client, whom udpcast sends nothing that is counted."""
    async with words_heard() as heard, udp_sender(image), aclosing(receiver().stretches()) as stretches:
        await anext(stretches)
        while not (await heard()).receiving:
            pass


async def test_after_the_sender(image: Path) -> None:
    async with udp_sender(image) as sender:
        assert b"".join((await taken(receiver())).values()) == IMAGE
        assert await sender.wait() == 0


async def test_before_the_sender(image: Path) -> None:
    early = asyncio.create_task(taken(receiver()))
    await _listening()
    async with udp_sender(image):
        assert b"".join((await early).values()) == IMAGE


async def test_what_is_not_wanted_goes_by(image: Path) -> None:
    async with udp_sender(image):
        found = await taken(receiver(FEW))
    assert {at: IMAGE[at : at + len(data)] for at, data in found.items()} == found
    assert sum(map(len, found.values())) == FEW.total


async def test_who_leaves_keeps_nobody(image: Path, tmp_path: Path) -> None:
    """Others go on, though the sender would try 65 times to hear of who has left."""
    other = tmp_path / "other"
    async with udp_sender(image, clients=2, speed="200m") as sender, other_receiver(other) as stays:
        async with aclosing(receiver().stretches()) as leaves:
            await anext(leaves)
        assert await stays.wait() == 0
        await _expect_leave_taken(sender)
    assert other.read_bytes() == IMAGE


async def test_who_cannot_follow_leaves(image: Path, tmp_path: Path) -> None:
    """It is told, and the others go on."""
    other = tmp_path / "other"
    async with udp_sender(image, clients=2, speed="200m") as sender, other_receiver(other) as stays:
        with pytest.raises(MulticastFailed, match="as fast as"):
            await _listened_to(receiver(backlog=1 << 20))
        assert await stays.wait() == 0
        await _expect_leave_taken(sender)
    assert other.read_bytes() == IMAGE


async def test_whose_agent_is_killed_keeps_nobody(image: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    async with udp_sender(image, clients=2, speed="200m") as sender, other_receiver(other) as stays:
        async with running(sys.executable, "-c", AGENT) as agent:
            assert agent.stdout is not None
            assert await agent.stdout.readline() == b"it comes\n"
            agent.kill()
        assert await stays.wait() == 0
        await _expect_leave_taken(sender)
    assert other.read_bytes() == IMAGE


async def test_the_sender_dies(image: Path) -> None:
    async with udp_sender(image, speed="50m") as sender:
        with pytest.raises(MulticastFailed, match=r"nothing has come for 0.5 s"):
            await _listened_to(receiver(station=replace(STATION, stall_s=0.5)), sender.kill)


async def test_it_has_begun_without_this_pc() -> None:
    """As others say, who get it."""
    async with another_pc("receives"):
        with pytest.raises(SessionNotJoined, match="has begun without this PC"):
            await taken(receiver(station=replace(STATION, networks=NETWORKS)))


async def test_who_gets_less_than_others_leaves(image: Path, tmp_path: Path) -> None:
    """Before it is all over; and so that nobody waits for it."""
    other = tmp_path / "other"
    async with udp_sender(image, clients=2, speed="10m") as sender, other_receiver(other) as stays:
        async with aclosing(receiver(station=replace(STATION, networks=NETWORKS)).stretches()) as stretches:
            await anext(stretches)
            async with another_pc("boasts"):
                with pytest.raises(MulticastFailed, match=r"gets \d+% of the packets that others get"):
                    await _all_of(stretches)
        assert await stays.wait() == 0
        await _expect_leave_taken(sender)
    assert other.read_bytes() == IMAGE


async def test_nobody_sends() -> None:
    with pytest.raises(SessionNotJoined, match="nobody sends"):
        await taken(receiver(station=replace(STATION, join_timeout_s=0.3)))


async def test_the_sender_does_not_begin(image: Path) -> None:
    """It waits for a second PC that does not come."""
    async with udp_sender(image, clients=2):
        with pytest.raises(SessionNotJoined, match=r"has not begun|nobody sends"):
            await taken(receiver(station=replace(STATION, join_timeout_s=1)))


async def _expect_leave_taken(sender: asyncio.subprocess.Process) -> None:
    """By who has left; whoever just goes is asked 65 times while all wait, and then dropped."""
    said, _ = await sender.communicate()
    assert sender.returncode == 0
    assert (said.count(b"Disconnecting"), said.count(b"Dropping")) == (2, 0), said.decode()


async def _listened_to(arrivals: Udpcast, then: Callable[[], None] = lambda: None) -> None:
    """Nobody reads what comes. ``then`` is called once something has."""
    async with aclosing(arrivals.stretches()) as stretches:
        await anext(stretches)
        then()
        await _all_of(stretches)


async def _all_of(stretches: AsyncIterator[tuple[int, int]]) -> None:
    async for _ in stretches:
        pass


async def _listening() -> None:
    """Somebody has the session's port open: the kernel has it in hexadecimal."""
    ports = Path("/proc/net/udp")
    while f":{PORT:04X} " not in await asyncio.to_thread(ports.read_text):  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.01)
