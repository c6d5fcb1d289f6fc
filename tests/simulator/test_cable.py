"""A client's cable: what goes in comes out; pulled, nothing does, and nothing is lost."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from simulator.http_client import Place
from simulator.lab.cable import Relay, Way

FAST = 0
HERE = "127.0.0.1"
BODY = bytes(range(256)) * 4096


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HERE, 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def echo() -> AsyncIterator[Place]:
    """Sends back what it gets, until it gets the end."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, HERE, 0)
    async with server:
        yield Place(HERE, server.sockets[0].getsockname()[1])


async def exchange(port: int, body: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(HERE, port)
    sending = asyncio.create_task(send(writer, body))
    answer = await reader.read(-1)
    await sending
    writer.close()
    return answer


async def send(writer: asyncio.StreamWriter, body: bytes) -> None:
    writer.write(body)
    await writer.drain()
    writer.write_eof()


async def test_both_directions_and_both_ends() -> None:
    async with echo() as place:
        port = free_port()
        async with Relay([Way(entrance=Place(HERE, port), exit=place, inwards=True)], FAST).laid():
            answers = await asyncio.gather(*(exchange(port, BODY) for _ in range(5)))
    assert answers == [BODY] * 5


async def test_pulled_it_is_silent_and_plugged_in_it_goes_on() -> None:
    async with echo() as place:
        port = free_port()
        cable = Relay([Way(entrance=Place(HERE, port), exit=place, inwards=True)], FAST)
        async with cable.laid():
            reader, writer = await asyncio.open_connection(HERE, port)
            writer.write(b"before")
            assert await reader.readexactly(6) == b"before"
            cable.pull()
            writer.write(b"after")
            late = asyncio.create_task(exchange(port, b"late"))
            answer = asyncio.create_task(reader.readexactly(5))
            for _ in range(50):  # everything that could move has moved
                await asyncio.sleep(0)
            assert not answer.done()
            assert not late.done()
            cable.plug_in()
            assert await answer == b"after"
            assert await late == b"late"
            writer.close()


async def test_nobody_behind_it_closes_the_connection() -> None:
    port = free_port()
    way = Way(entrance=Place(HERE, port), exit=Place(HERE, free_port()), inwards=True)
    async with Relay([way], FAST).laid():
        reader, writer = await asyncio.open_connection(HERE, port)
        with suppress(ConnectionResetError):
            assert await reader.read(1) == b""
        writer.close()


async def test_a_slow_one_still_carries_all() -> None:
    async with echo() as place:
        port = free_port()
        async with Relay(
            [Way(entrance=Place(HERE, port), exit=place, inwards=False)], len(BODY) * 8 * 8 // 1000
        ).laid():
            assert await exchange(port, BODY) == BODY


async def test_what_is_under_way_when_it_is_taken_away_does_not_hold_it_up() -> None:
    async with echo() as place:
        port = free_port()
        cable = Relay([Way(entrance=Place(HERE, port), exit=place, inwards=True)], FAST)
        async with cable.laid():
            cable.pull()
            _, writer = await asyncio.open_connection(HERE, port)
        writer.close()
