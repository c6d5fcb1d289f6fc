"""The open port: how many may be connected, how long each may dawdle, and what is told to those who speak no HTTP.

aiohttp's own sites accept without end, and count nobody who is still in the TLS handshake.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address
from ssl import SSLContext
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler
from msgspec import Struct

from ogagent.errors import InternalError, MalformedHttp, TooManyConnections
from ogagent.http.access import plain_address
from ogagent.http.problems import answer

_log: Final = logging.getLogger(__name__)

_BACKLOG: Final = 128
_GOODBYE_S: Final = 5.0
_LEAVING_S: Final = 2.0
"""So long may calls that are under way when everything has ended go on, those of slow readers above all."""
_PAUSE_S: Final = 1.0
_TOLD: Final = 2
"""So many at once of an address are told that there is no room; those after them are closed without a word."""


class Limits(Struct, frozen=True, kw_only=True):
    """``connections`` are served at once, ``refusals`` more are told that there is no room; others wait outside.

    When half of the ``connections`` are taken, nobody gets one who has ``per_address`` of them: whoever keeps them open
    keeps nobody else out, and ogCore, which may ask for much at once, is not held up while there is room.
    ``patience_s`` is how long a TLS handshake may take, and how long a connection may stay without a whole request's
    headers: at its beginning and between requests.

    A connection costs some 2 ms of a processor, its handshake above all. As many as ``connections`` may come at once,
    but ``per_second`` in the long run: a restore, which shares the processor, must not notice who knocks.
    """

    connections: int = 64
    per_address: int = 8
    refusals: int = 16
    per_second: float = 50.0
    patience_s: float = 15.0


_LIMITS: Final = Limits()


class Connection(web.RequestHandler):
    """``surplus``: why there is no place for it, if so. It gets an answer, but not the one that it wants."""

    __slots__ = ("lost", "surplus")

    def __init__(self, server: web.Server, patience_s: float, *, surplus: str) -> None:
        # aiohttp closes what has waited so long for a request: its keep-alive timer runs from the first byte on.
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=patience_s,
            access_log=None,  # type: ignore[arg-type] # as aiohttp's own runner is told, too
        )
        self.surplus = surplus
        self.lost = asyncio.Event()

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self.lost.set()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The application answers its own failures; what comes here as 400 did not become a request at all."""
        if status != 400:
            return super().handle_error(request, status, exc, message)
        return answer(request, MalformedHttp("what was received is not HTTP as this agent accepts it"))

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        if isinstance(resp, web.HTTPExpectationFailed):  # raised before any middleware is asked
            resp = answer(request, MalformedHttp("the header Expect asks for something else than 100-continue"))
        return await super().finish_response(request, resp, start_time)


class Pace:
    """Lets ``burst`` through at once, and then one each ``interval_s``."""

    def __init__(
        self,
        interval_s: float,
        burst: int,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._interval_s, self._slack_s = interval_s, burst * interval_s
        self._clock, self._sleep = clock, sleep
        self._due = clock() - self._slack_s

    async def wait(self) -> None:
        now = self._clock()
        self._due = max(self._due, now - self._slack_s) + self._interval_s
        if self._due > now:
            await self._sleep(self._due - now)


@web.middleware
async def room(request: web.Request, handler: Handler) -> web.StreamResponse:
    if isinstance(request.protocol, Connection) and request.protocol.surplus:
        raise TooManyConnections(request.protocol.surplus, hint="close some, or try again later")
    return await handler(request)


@web.middleware
async def one_call_each(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Each call on a connection of its own."""
    response = await handler(request)
    response.force_close()
    return response


class Acceptor:
    """Accepts connections. ``tls`` may be replaced at any time; it counts for those who come afterwards."""

    def __init__(self, server: web.Server, tls: SSLContext, limits: Limits) -> None:
        self.tls = tls
        self._server = server
        self._limits = limits
        self._places = asyncio.Semaphore(limits.connections + limits.refusals)
        self._pace = Pace(1 / limits.per_second, limits.connections)
        self._served: Counter[str] = Counter()
        self._told: Counter[str] = Counter()
        """By address; those that are told that there is no room."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def accept(self, listener: socket.socket) -> None:
        """Runs until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._pace.wait()
            await self._places.acquire()
            try:
                caller, remote = await loop.sock_accept(listener)
            except OSError as error:  # no descriptor left, say; or the caller has gone already
                self._places.release()
                _log.warning("a connection could not be accepted: %s", error.strerror)
                await asyncio.sleep(_PAUSE_S)
            except asyncio.CancelledError:
                self._places.release()
                raise
            else:
                self._admit(caller, plain_address(remote[0]))

    def _admit(self, caller: socket.socket, address: str) -> None:
        surplus = self._surplus(address)
        if surplus and self._told[address] >= _TOLD:
            caller.close()
            self._places.release()
            return
        (self._told if surplus else self._served)[address] += 1
        task = asyncio.get_running_loop().create_task(self._attend(caller, address, surplus))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _surplus(self, address: str) -> str:
        """Why there is no place for one more from there; empty when there is."""
        most, share = self._limits.connections, self._limits.per_address
        taken, own = self._served.total(), self._served[address]
        if own >= share and taken >= most // 2:
            return f"{address} has {own} connections to this agent already"
        return "all connections of this agent are in use" if taken >= most else ""

    async def _attend(self, caller: socket.socket, address: str, surplus: str) -> None:
        """From the first byte of the handshake until the socket is closed."""
        connection = Connection(self._server, self._limits.patience_s, surplus=surplus)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection,
                caller,
                ssl=self.tls,
                ssl_handshake_timeout=self._limits.patience_s,
                ssl_shutdown_timeout=_GOODBYE_S,
            )
            await connection.lost.wait()
        except OSError as error:  # ssl.SSLError too: a handshake that was broken off, refused or too slow
            _log.debug("a connection came to nothing: %s", error)
        finally:
            places = self._told if surplus else self._served
            places[address] -= 1
            if not places[address]:
                del places[address]
            self._places.release()

    async def aclose(self) -> None:
        """For the time after the server was shut down: who is still in a handshake, or does not say goodbye."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_LEAVING_S)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)


@asynccontextmanager
async def listening(
    app: web.Application, address: str, port: int, tls: SSLContext, limits: Limits = _LIMITS
) -> AsyncIterator[Acceptor]:
    """Raises OSError when ``address`` and ``port`` cannot be had."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_LEAVING_S)
    await runner.setup()
    if runner.server is None:
        raise InternalError("a server that was set up is not there")
    acceptor = Acceptor(runner.server, tls, limits)
    try:
        with _socket(address, port) as listener:
            accepting = asyncio.create_task(acceptor.accept(listener))
            try:
                yield acceptor
            finally:
                accepting.cancel()
                with suppress(asyncio.CancelledError):
                    await accepting
    finally:
        await runner.cleanup()
        await acceptor.aclose()


def _socket(address: str, port: int) -> socket.socket:
    """``::`` is every address, of both kinds; IPv4 callers then have mapped ones."""
    number = ip_address(address)
    family = socket.AF_INET6 if number.version == 6 else socket.AF_INET
    everywhere = number.version == 6 and number.is_unspecified
    listener = socket.create_server((address, port), family=family, backlog=_BACKLOG, dualstack_ipv6=everywhere)
    listener.setblocking(False)
    return listener
