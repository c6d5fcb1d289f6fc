"""udpcast: one sender, as ogRepository starts it, and a stream that all get at the pace of the slowest.

The receiver's own account of itself, and what its options do: udp-receiver(1), and receiver/udpr-negotiate.c and
udp-receiver.c of udpcast 20120424, which is Debian's.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from typing import Any, Final, TypeVar

from ogagent.crowd.arrivals import Givers
from ogagent.crowd.neighbours import Neighbours, among_neighbours
from ogagent.crowd.station import Station
from ogagent.crowd.window import Window
from ogagent.errors import MulticastFailed, SessionNotJoined
from ogagent.model.method import Session
from ogagent.model.units import MIB
from ogagent.source.ranges import Ranges
from ogagent.system import process
from ogagent.system.flow import Flow

T = TypeVar("T")

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
        async with among_neighbours(self._session.port, self._station, self._now) as neighbours:
            while self._now() < deadline:
                if self._ask is not None:
                    await self._ask()
                async with process.flowing(self._command(), account=self._station.account, politely=_LEAVE) as flow:
                    if await self._joined(flow, deadline - self._now(), neighbours):
                        async with aclosing(self._stream(flow, neighbours)) as stretches:
                            async for stretch in stretches:
                                yield stretch
                        return
        raise SessionNotJoined(
            f"nobody sends with udpcast on port {self._session.port}",
            hint="start the session at the repository; multicast does not cross routers, nor most firewalls",
        )

    async def _joined(self, flow: Flow, patience_s: float, neighbours: Neighbours) -> bool:
        joined = await _unless(neighbours.begun, flow.says(_JOINED), min(_AGAIN_S, patience_s))
        if joined is False:
            raise SessionNotJoined(f"udp-receiver {await flow.outcome() or 'has ended'} before anything came")
        neighbours.check(joined=bool(joined))
        return bool(joined)

    async def _stream(self, flow: Flow, neighbours: Neighbours) -> AsyncGenerator[tuple[int, int], None]:
        position = 0
        while chunk := await self._next(flow, position, neighbours):
            neighbours.receiving = True
            for stretch in self._window.add(position, chunk):
                yield stretch
            position += len(chunk)
            if self._window.held > self._backlog:
                raise MulticastFailed("this PC cannot take the image as fast as it is sent")
        if failure := await flow.outcome():
            raise MulticastFailed(f"udp-receiver {failure}")

    async def _next(self, flow: Flow, position: int, neighbours: Neighbours) -> bytes:
        station = self._station
        patience_s = station.stall_s if position else station.join_timeout_s + self._session.wait_s
        chunk = await _unless(neighbours.behind, flow.read(), patience_s)
        neighbours.check(joined=True)
        if chunk is not None:
            return chunk
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


async def _unless(other: asyncio.Future[Any], work: Coroutine[Any, Any, T], patience_s: float) -> T | None:
    """What the work comes to; None when ``other`` is done before, or it has not ended within this time."""
    working = asyncio.create_task(work)
    waited_for: list[asyncio.Future[Any]] = [working, other]
    try:
        await asyncio.wait(waited_for, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        working.cancel()
