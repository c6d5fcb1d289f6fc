"""What stands before the repository: it counts the requests, and decides which of them something happens to."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Final

from aiohttp import web
from aiohttp.test_utils import TestServer
from aiohttp.typedefs import Handler
from msgspec import Struct

from simulator.faults import Fault, parse_fault
from simulator.repository.app import PREFIX, repository_app

TOKEN: Final = "0123456789abcdef"
WRITING: Final = ("PUT", "MOVE", "COPY", "DELETE")
_QUIET_S: Final = 300
_RECEIVED: Final = 64 << 10
_STRUCK: Final[ContextVar[bool]] = ContextVar("struck", default=False)
"""Whether this request is one of those that the faults are for."""
_JOB: Final = re.compile(r"\.CrearImagen-[0-9a-f]{8}\.part")


class Spell(Struct, frozen=True, kw_only=True):
    """The requests that something happens to: of those with this method and this name (empty: any), in which ``.part``
    stands for that of the job, all but the first ``after``, and no more than ``times`` of them.
    """

    method: str = ""
    name: str = ""
    after: int = 0
    times: int = 1 << 30

    def matches(self, method: str, name: str) -> bool:
        return self.method in ("", method) and self.name in ("", name)


ALWAYS: Final = Spell()


class Gate:
    """``faults`` are there for the requests of ``spell``. With ``loses`` these are done, and nobody hears of it."""

    def __init__(
        self, images: Path, faults: tuple[str, ...] = (), spell: Spell = ALWAYS, *, loses: bool = False
    ) -> None:
        self._images = images
        self._faults: tuple[Fault, ...] = tuple(map(parse_fault, faults))
        self._spell = spell
        self._loses = loses
        self._matching = 0
        self._under_way = 0
        self.seen: list[tuple[str, str]] = []
        self.asked = 0
        """How often the repository has looked at its faults; again and again while it stalls."""
        self.before: Callable[[int], Awaitable[None]] = _nothing
        self.after: Callable[[int], Awaitable[None]] = _nothing
        """Called with the number of each request, from 0, before it is done, and when it is and nobody knows."""

    @asynccontextmanager
    async def open(self, tls: ssl.SSLContext) -> AsyncIterator[str]:
        """The URL of the images, without a slash."""
        app = repository_app(self._images, token=TOKEN, faults=self._present)
        app.middlewares.insert(0, self._stands)
        server = TestServer(app, host="127.0.0.1", socket_factory=_narrow_socket)
        await server.start_server(ssl=tls)
        try:
            yield str(server.make_url(PREFIX))
        finally:
            self.mend()  # an upload that stalls does not hear that its client is gone
            await server.close()

    def mend(self) -> None:
        """Nothing goes wrong any more."""
        self._faults, self._loses = (), False
        self.before = self.after = _nothing

    async def quiet(self) -> None:
        """What was begun for a client that is gone has ended."""
        async with asyncio.timeout(_QUIET_S):
            while self._under_way:  # noqa: ASYNC110 - a counter
                await asyncio.sleep(0.01)

    @web.middleware
    async def _stands(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        number = len(self.seen)
        name = _JOB.sub(".part", request.path.removeprefix(PREFIX).removeprefix("/"))
        self.seen.append((request.method, name))
        struck = self._strikes(request.method, name)
        _STRUCK.set(struck)
        self._under_way += 1
        try:
            await self.before(number)
            response = await handler(request)
            await self.after(number)
        finally:
            self._under_way -= 1
        if struck and self._loses:
            _hang_up(request)
        return response

    def _strikes(self, method: str, name: str) -> bool:
        if not self._spell.matches(method, name):
            return False
        number, self._matching = self._matching, self._matching + 1
        return self._spell.after <= number < self._spell.after + self._spell.times

    def _present(self) -> tuple[Fault, ...]:
        self.asked += 1
        return self._faults if _STRUCK.get() else ()


def _narrow_socket(host: str, port: int, family: socket.AddressFamily) -> socket.socket:
    """What nobody takes is not taken by the kernel either, but for a little."""
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVED)
    listening.bind((host, port))
    return listening


def _hang_up(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


async def _nothing(_: int) -> None:
    await asyncio.sleep(0)
