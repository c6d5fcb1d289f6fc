"""ogCore, beside the repository. Where its clients are it knows by the leases that they have been given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Final

from aiohttp import web

from simulator.certificates import Authority
from simulator.ogcore.app import ogcore_app
from simulator.ogcore.clients import Client
from tests.machine.network import SERVER, Network

OGCORE_PORT: Final = 8443
OGCORE: Final = f"https://{SERVER}:{OGCORE_PORT}"


async def ogcore_of(clients: Collection[Client], net: Network, authority: Authority) -> web.Application:
    """Their ``ip`` is put right with each call: whoever calls has a lease, and another one after a deployment."""

    @web.middleware
    async def located(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        for client in clients:
            client.ip = net.address(client.mac)
        return await handler(request)

    app = await ogcore_app(clients, repository=f"https://{SERVER}", repository_tls=authority.client_context())
    app.middlewares.append(located)
    return app
