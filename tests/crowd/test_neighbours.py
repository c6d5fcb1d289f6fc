"""PCs of a session that hear each other, on a network that they share with somebody who lies."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import pytest
from msgspec.structs import replace

from ogagent.crowd.neighbours import Neighbours, among_neighbours
from ogagent.crowd.station import Station
from ogagent.errors import MulticastFailed, SessionNotJoined
from tests.crowd.senders import CARD, NETWORKS, another_pc, crowded, words_heard
from tests.crowd.senders import PORT as SESSION

__all__ = ["crowded"]

pytestmark = [pytest.mark.usefixtures("crowded"), pytest.mark.xdist_group("multicast")]

PATIENCE_S: Final = 300
STATION: Final = Station(interface=CARD, join_timeout_s=60, stall_s=60, networks=NETWORKS)


@asynccontextmanager
async def listening(station: Station = STATION) -> AsyncIterator[Neighbours]:
    async with among_neighbours(SESSION, station, time.monotonic) as neighbours:
        yield neighbours


async def test_who_gets_less_is_told() -> None:
    async with listening() as neighbours, another_pc("boasts"):
        async with asyncio.timeout(PATIENCE_S):
            assert await neighbours.behind < 0.01
        with pytest.raises(MulticastFailed, match=r"gets 0% of the packets that others get"):
            neighbours.check(joined=True)
        neighbours.check(joined=False)  # whoever counts does not say that it has begun


async def test_who_has_not_joined_hears_that_it_has_begun() -> None:
    async with listening() as neighbours, another_pc("receives"):
        neighbours.check(joined=False)
        async with asyncio.timeout(PATIENCE_S):
            await neighbours.begun
        with pytest.raises(SessionNotJoined, match="has begun without this PC"):
            neighbours.check(joined=False)


async def test_who_is_not_believed(caplog: pytest.LogCaptureFixture) -> None:
    """From elsewhere, of another session, too long, and what means nothing: all said before what is believed."""
    async with listening() as neighbours, another_pc("receives"):
        async with asyncio.timeout(PATIENCE_S):
            await neighbours.begun
        neighbours.check(joined=True)
        assert not neighbours.behind.done()
    assert caplog.records == []


async def test_nobody_is_believed_where_nobody_is_allowed() -> None:
    """The first who is allowed is heard after the one who is not."""
    async with listening(replace(STATION, networks=())) as deaf, listening() as neighbours, another_pc("boasts"):
        async with asyncio.timeout(PATIENCE_S):
            await neighbours.behind
        deaf.check(joined=False)
        assert not deaf.begun.done()


@pytest.mark.parametrize("receiving", [True, False])
async def test_others_are_told(*, receiving: bool) -> None:
    async with words_heard() as heard, listening() as neighbours:
        neighbours.receiving = receiving
        words = [await heard() for _ in range(3)]
    assert {word.port for word in words} == {SESSION}
    assert {word.receiving for word in words[1:]} == {receiving}
    assert [word.packets for word in words] == sorted(word.packets for word in words)


async def test_a_card_that_is_not_there(caplog: pytest.LogCaptureFixture) -> None:
    """Then nothing is known of others, and the session goes on."""
    async with listening(replace(STATION, interface="gone")) as neighbours:
        neighbours.check(joined=False)
        neighbours.check(joined=True)
    assert "the other PCs of the session cannot be heard" in caplog.text
