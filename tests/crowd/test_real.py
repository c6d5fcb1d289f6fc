"""Which sessions a PC takes part in, and whom it asks to send."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final

import pytest

from ogagent.crowd.arrivals import Arrivals, Need
from ogagent.crowd.real import RealCrowding
from ogagent.crowd.request import PORT
from ogagent.errors import SessionNotJoined
from ogagent.model.method import Session
from ogagent.settings import CrowdSettings
from ogagent.source.ranges import Ranges
from tests.crowd.senders import CARD, GROUP, NETWORKS, crowded
from tests.crowd.senders import PORT as SESSION

__all__ = ["crowded"]

pytestmark = [pytest.mark.usefixtures("crowded"), pytest.mark.xdist_group("multicast")]

OPTIONS: Final = f"{SESSION}:full-duplex:{GROUP}:70M:20:120"
REPOSITORY: Final = "10.78.0.1"
MBIT: Final = 10**6


async def joined(speed: int = 0, **settings: Any) -> Arrivals:
    session = Session(engine="udpcast", port=SESSION, address=GROUP, speed=speed, options=OPTIONS)
    crowding = RealCrowding(CrowdSettings(interface=CARD, join_timeout_s=1, **settings), NETWORKS, REPOSITORY)
    need = Need(Ranges(0, 1), 1, _nothing, None, _not_called)
    return await crowding.join(session, REPOSITORY, "aula/ubuntu", need)


async def _nothing(suffix: str, limit: int) -> bytes | None:
    raise NotImplementedError


def _not_called(error: Exception) -> None:
    raise NotImplementedError


@asynccontextmanager
async def repository() -> AsyncIterator[list[bytes]]:
    """All that it was asked for."""
    heard: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read())
        writer.close()

    async with await asyncio.start_server(answer, REPOSITORY, PORT):
        yield heard


@pytest.mark.parametrize(
    ("request_by", "asked"), [("legacy", [f"START_MULTICAST aula/ubuntu.img {OPTIONS}".encode()]), ("none", [])]
)
async def test_who_sends_is_asked_where_the_settings_say_so(request_by: str, asked: list[bytes]) -> None:
    async with repository() as heard:
        arrivals = await joined(request=request_by)
        async with aclosing(arrivals.stretches()) as stretches:
            with pytest.raises(SessionNotJoined, match="nobody sends"):
                await anext(stretches)
        assert heard == asked


async def test_a_card_that_is_slower_than_the_session_keeps_out() -> None:
    """All others would wait for it. A veth says that it has 10 Gbit/s (drivers/net/veth.c)."""
    with pytest.raises(SessionNotJoined, match=f"{CARD} has 10000 Mbit/s, the session 13400 Mbit/s"):
        await joined(speed=13_400 * MBIT)
    await joined(speed=13_300 * MBIT)
    await joined(speed=0)
