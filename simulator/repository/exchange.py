"""What every exchange with a client goes by: the faults of the moment, and a connection that can be broken off."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from simulator.faults import Faults
from simulator.repository.access import Access
from simulator.repository.catalogue import Catalogue
from simulator.repository.store import Store
from simulator.repository.trouble import Trouble

CATALOGUE: Final = web.AppKey("catalogue", Catalogue)
STORE: Final = web.AppKey("store", Store)
ACCESS: Final = web.AppKey("access", Access)
RATE: Final = web.AppKey("rate", int)
FAULTS: Final[web.AppKey[Faults]] = web.AppKey("faults")
UNLIMITED: Final = 0
POLL_S: Final = 0.1
_CHUNK: Final = 1 << 20
_CHUNKS_A_SECOND: Final = 10


async def trouble_of(request: web.Request) -> Trouble:
    return Trouble(await asyncio.to_thread(request.app[FAULTS]))


def refused(request: web.Request, trouble: Trouble, *, sidecar: bool) -> web.Response | None:
    if trouble.down:
        abort(request)
        return web.Response()
    if status := trouble.status(sidecar=sidecar, continued="Range" in request.headers):
        return web.Response(status=status)
    if location := trouble.location(request.path):
        return web.Response(status=302, headers={"Location": location})
    return None


def chunk_size(rate: int) -> int:
    """``rate`` in bytes a second."""
    return max(rate // _CHUNKS_A_SECOND, 1) if rate else _CHUNK


def is_gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


def abort(request: web.Request) -> None:
    """What has been written, but not yet sent, is lost."""
    if request.transport:
        request.transport.abort()


def hang_up(request: web.Request) -> None:
    """What has been written still arrives."""
    if request.transport:
        request.transport.close()
