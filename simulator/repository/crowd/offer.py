"""What a repository offers to many at once, put together: sessions over HTTP, the older request for one, a tracker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web
from msgspec import Struct

from simulator.errors import LabError
from simulator.repository.crowd.legacy import Legacy
from simulator.repository.crowd.place import interface_of, own_address
from simulator.repository.crowd.rest import SessionCalls
from simulator.repository.crowd.sessions import Sessions
from simulator.repository.crowd.torrents import Torrents
from simulator.repository.crowd.tracker import Tracker
from simulator.repository.crowd.wanted import Place
from simulator.repository.exchange import ACCESS, CATALOGUE

TRACKER_PORT: Final = 6969
LEGACY_PORT: Final = 2009
_GOODBYE_S: Final = 1.0


class Crowd(Struct, frozen=True, kw_only=True):
    """``address`` is where the repository listens. ``interface``, when it is empty, is the one of that address."""

    address: str
    interface: str = ""
    tracker_port: int = TRACKER_PORT
    legacy_port: int = LEGACY_PORT


def offer(app: web.Application, crowd: Crowd) -> None:
    """Raises LabError, when there is no way to the clients."""
    own = own_address(crowd.address)
    tracker = f"http://{own}:{crowd.tracker_port}/announce"
    place = Place(own=own, interface=crowd.interface or interface_of(own), tracker=tracker)
    catalogue = app[CATALOGUE]
    torrents = Torrents(catalogue.directory, tracker)
    sessions = Sessions(catalogue, torrents, place)

    async def running(_: web.Application) -> AsyncIterator[None]:
        runner = web.AppRunner(Tracker(torrents).app(), access_log=None, shutdown_timeout=_GOODBYE_S)
        await runner.setup()
        server = None
        try:
            await web.TCPSite(runner, crowd.address, crowd.tracker_port).start()
            if app[ACCESS].is_open:  # older clients have no token to show
                server = await asyncio.start_server(Legacy(sessions).answer, crowd.address, crowd.legacy_port)
            yield
        except OSError as error:
            raise LabError(f"tracker and requests for sessions cannot be listened for: {error.strerror}") from None
        finally:
            if server:
                server.close()
            await sessions.close()
            await runner.cleanup()

    SessionCalls(sessions).add_routes(app)
    app.cleanup_ctx.append(running)
