"""udpcast: one sender, as ogRepository starts it, and a stream that all get at the pace of the slowest.

The receiver's own account of itself, and what its options do: udp-receiver(1), and receiver/udpr-negotiate.c and
udp-receiver.c of udpcast 20120424, which is Debian's.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, Final

from ogagent.crowd.arrivals import Givers
from ogagent.crowd.neighbours import among_neighbours
from ogagent.crowd.station import Station
from ogagent.crowd.window import Window
from ogagent.errors import MulticastFailed, SessionNotJoined
from ogagent.model.method import Session
from ogagent.model.units import MIB
from ogagent.source.ranges import Ranges
from ogagent.system import process
from ogagent.system.flow import Flow

PROGRAM: Final = "udp-receiver"
BACKLOG: Final = 64 * MIB
"""Others would wait for a PC that cannot take what comes: it leaves when so much waits in memory."""
_TTL: Final = "16"
"""As OpenGnsys' sender has it. With it, both sides say hello to 224.0.0.1; without it, a receiver that starts before
its sender is never heard."""
_JOINED: Final = b"Connected as #"
_AGAIN_S: Final = 10.0
"""A receiver says hello once, at its start, and that may be lost."""
_LEAVE: Final = signal.SIGINT
"""The one signal at which it tells the sender that it goes (udpr-negotiate.c, sendDisconnectWrapper, atexit)."""


class Udpcast:
    """Implements ``ogagent.crowd.arrivals.Arrivals``. What is not ``wanted`` of the stream is let go by."""

    givers: Final[Givers] = "multicast"
    gives: Final = False
    repeats: Final = False

    def __init__(
        self,
        session: Session,
        station: Station,
        wanted: Ranges,
        now: Callable[[], float],
        ask: Callable[[], Awaitable[None]] | None = None,
        backlog: int = BACKLOG,
    ) -> None:
        """``now`` in seconds; ``ask`` asks whoever sends to do so, and may be called again."""
        self._session = session
        self._station = station
        self._window = Window(wanted)
        self._now = now
        self._ask = ask
        self._backlog = backlog

    async def stretches(self) -> AsyncGenerator[tuple[int, int], None]:
        deadline = self._now() + self._station.join_timeout_s
        while True:
            if self._ask is not None:
                await self._ask()
            async with process.flowing(self._command(), account=self._station.account, politely=_LEAVE) as flow:
                if await self._joined(flow, deadline - self._now()):
                    async with aclosing(self._stream(flow)) as stretches:
                        async for stretch in stretches:
                            yield stretch
                    return
            if self._now() >= deadline:
                raise SessionNotJoined(
                    f"nobody sends with udpcast on port {self._session.port}",
                    hint="start the session at the repository; multicast does not cross routers, nor most firewalls",
                )

    async def _joined(self, flow: Flow, patience_s: float) -> bool:
        try:
            async with asyncio.timeout(min(_AGAIN_S, patience_s)):
                if await flow.complains(_JOINED):
                    return True
        except TimeoutError:
            return False
        raise SessionNotJoined(f"udp-receiver {await flow.outcome() or 'has ended'} before anything came")

    async def _stream(self, flow: Flow) -> AsyncGenerator[tuple[int, int], None]:
        position = 0
        async with among_neighbours(self._session.port, self._station, self._now) as neighbours:
            while chunk := await self._next(flow, position, neighbours.behind):
                for stretch in self._window.add(position, chunk):
                    yield stretch
                position += len(chunk)
                if self._window.held > self._backlog:
                    raise MulticastFailed("this PC cannot take the image as fast as it is sent")
        if failure := await flow.outcome():
            raise MulticastFailed(f"udp-receiver {failure}")

    async def _next(self, flow: Flow, position: int, behind: asyncio.Future[float]) -> bytes:
        station = self._station
        patience_s = station.stall_s if position else station.join_timeout_s + self._session.wait_s
        reading = asyncio.create_task(flow.read())
        waiting: list[asyncio.Future[Any]] = [reading, behind]
        try:
            await asyncio.wait(waiting, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
            if behind.done():
                raise MulticastFailed(
                    f"this PC gets {behind.result():.0%} of the packets that others get, and would make them wait",
                    hint="look at its cable, and at the port of its switch",
                )
            if reading.done():
                return reading.result()
        finally:
            reading.cancel()
        if position:
            raise MulticastFailed(f"nothing has come for {patience_s:g} s")
        raise SessionNotJoined(f"the sender has not begun within {patience_s:g} s")

    def _command(self) -> list[str]:
        words = [PROGRAM, "--nokbd", "--no-progress", "--nosync", "--ttl", _TTL]
        return [*words, "--portbase", f"{self._session.port}", "--interface", self._station.interface]

    def covers(self, start: int, stop: int) -> bool:
        return self._window.covers(start, stop)

    async def read(self, start: int, stop: int) -> bytes:
        return self._window.take(start, stop)

    def wrong(self, start: int, stop: int) -> None: ...
