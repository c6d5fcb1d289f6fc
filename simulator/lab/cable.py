"""A client's network cable, which can be pulled, or be a slow one; and one for clients that share a network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final, Protocol

from msgspec import Struct

from simulator.http_client import Place

_MOST_CONNECTIONS: Final = 64
_CHUNK: Final = 1 << 16
_PIECES_A_SECOND: Final = 20
_CONNECT_S: Final = 5.0
_KILOBIT: Final = 1000 // 8


class Cable(Protocol):
    """Its methods may be called from any thread, and block."""

    def pull(self) -> None: ...

    def plug_in(self) -> None: ...

    def set_speed(self, kbit: int) -> None:
        """In kbit/s, for each direction."""


class Way(Struct, frozen=True, kw_only=True):
    """Who connects to ``entrance`` is connected to ``exit``. ``inwards``: the client is at the exit."""

    entrance: Place
    exit: Place
    inwards: bool


class Lane:
    """One direction of a cable."""

    def __init__(self) -> None:
        self._free_at = 0.0

    async def wait(self, size: int, rate: int) -> None:
        """Until ``size`` bytes have gone through at ``rate`` bytes a second, after all that came before."""
        now = asyncio.get_running_loop().time()
        self._free_at = max(self._free_at, now) + size / rate
        await asyncio.sleep(self._free_at - now)


class Relay:
    """Implements ``Cable``: all of the client's connections to others run through it, but for those to its peers.

    What is pulled is silent, not closed, as with a real one: connections wait, and go on when it is plugged in in time.
    """

    def __init__(self, ways: Sequence[Way], kbit: int) -> None:
        """``kbit`` 0 for no limit."""
        self.set_speed(kbit)
        self._ways = ways
        self._plugged = asyncio.Event()
        self._plugged.set()
        self._lanes = {True: Lane(), False: Lane()}
        self._connections: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def pull(self) -> None:
        self._plugged.clear()

    def plug_in(self) -> None:
        if self._loop:
            self._loop.call_soon_threadsafe(self._plugged.set)

    def set_speed(self, kbit: int) -> None:
        self._rate = kbit * _KILOBIT

    @asynccontextmanager
    async def laid(self) -> AsyncIterator[None]:
        self._loop = asyncio.get_running_loop()
        async with AsyncExitStack() as stack:
            for way in self._ways:
                server = await asyncio.start_server(
                    lambda reader, writer, way=way: self._accept(way, reader, writer),  # type: ignore[misc]
                    way.entrance.address,
                    way.entrance.port,
                )
                stack.callback(server.close)
            try:
                yield
            finally:
                for connection in self._connections:
                    connection.cancel()
                await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= _MOST_CONNECTIONS:
            writer.transport.abort()
            return
        task = asyncio.create_task(self._connect(way, reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _connect(self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = [writer]
        try:
            await self._plugged.wait()
            async with asyncio.timeout(_CONNECT_S):
                far_reader, far_writer = await asyncio.open_connection(way.exit.address, way.exit.port)
            ends.append(far_writer)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, far_writer, self._lanes[way.inwards]))
                group.create_task(self._pump(far_reader, writer, self._lanes[not way.inwards]))
        except* OSError:
            pass  # one end is gone, or there is none; so will the other be
        finally:
            for end in ends:
                end.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lane: Lane) -> None:
        while data := await reader.read(self._piece()):
            await self._plugged.wait()
            if self._rate:
                await lane.wait(len(data), self._rate)
            writer.write(data)
            await writer.drain()
        await self._plugged.wait()
        with suppress(OSError):
            writer.write_eof()

    def _piece(self) -> int:
        return min(_CHUNK, max(self._rate // _PIECES_A_SECOND, 1)) if self._rate else _CHUNK
