"""Trackers that do not answer: who knows others goes on with them, and who knows nobody gives up."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, aclosing
from pathlib import Path

import pytest

from ogagent.errors import SessionNotJoined
from tests.crowd.test_swarm import (
    ALL,
    PIECE,
    SIZE,
    STARTED_S,
    kept_at,
    station,
    swarm,
    taken,
    torrent,
    until_lent,
    without_a_seed,
)
from tests.simulator.crowd.room import DATA


async def test_gone_before_anybody_has_asked(tmp_path: Path) -> None:
    async with torrent(tmp_path) as (_, file):
        pass
    with pytest.raises(SessionNotJoined, match="no peer"):
        await taken(swarm(station(2, join_timeout_s=STARTED_S), file, kept_at(tmp_path / "pc")))


async def test_gone_when_they_have_met(tmp_path: Path) -> None:
    """What the repository gives to one then still comes to the other."""
    one, other = kept_at(tmp_path / "one"), kept_at(tmp_path / "other")
    other.put(0, PIECE)
    async with AsyncExitStack() as tracker:
        file = await tracker.enter_async_context(without_a_seed(tmp_path))
        first = aclosing(swarm(station(2), file, one, ALL).stretches())
        second = aclosing(swarm(station(3), file, other, ALL).stretches())
        async with first as taking, second as filling:
            nothing = asyncio.create_task(anext(filling))
            assert await anext(taking) == (0, PIECE)
            await tracker.aclose()
            await until_lent(other)
            other.fill(PIECE, SIZE)
            assert {await anext(taking), await anext(taking)} == {(PIECE, 2 * PIECE), (2 * PIECE, SIZE)}
            nothing.cancel()
            await asyncio.wait([nothing])
    assert one.file.read_bytes() == DATA
