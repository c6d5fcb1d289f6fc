"""ogCore, put together."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

import aiohttp
from aiohttp import web

from simulator.ogcore.agents import Agents, Unreachable
from simulator.ogcore.catalogue import Catalogue
from simulator.ogcore.clients import Client, Clients, ClientState
from simulator.ogcore.commands import Commands
from simulator.ogcore.created import CreatedImages
from simulator.ogcore.deployments import Deployments
from simulator.ogcore.dispatch import Dispatch
from simulator.ogcore.images import Images
from simulator.ogcore.rest import Rest
from simulator.ogcore.rooms import Rooms
from simulator.ogcore.sessions import Sessions
from simulator.ogcore.store import Store
from simulator.ogcore.traces import Trace, Traces
from simulator.ogcore.watch import kept_up
from simulator.ogcore.webhook import Webhook

_log: Final = logging.getLogger(__name__)

_LARGEST_BODY: Final = 3 << 18
"""The last 64 KiB that a script has printed may all be characters that JSON writes in six."""
_CONNECTIONS: Final = 4
"""At once to one agent, which has a restore to get on with."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def ogcore_app(
    clients: Iterable[Client],
    *,
    repository: str,
    repository_tls: ssl.SSLContext | None = None,
    token: str = "",
    memory: Path | None = None,
    lab: str = "",
) -> web.Application:
    """``repository`` is the URL of its server, ``token`` what that wants to see before it changes an image. Without a
    file for its ``memory``, a new ogCore knows nobody. ``lab`` is the address of one that is not on this machine.
    """
    store = Store(memory)
    connector = aiohttp.TCPConnector(limit_per_host=_CONNECTIONS)
    session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
    room, traces, agents, created = Clients(clients), Traces(), Agents(session), CreatedImages()
    images = Images(session, repository, repository_tls, token)
    sessions = Sessions(session, repository, repository_tls, token)
    store.load(room, traces, created)

    async def running(_: web.Application) -> AsyncIterator[None]:
        watches = [
            asyncio.create_task(kept_up("the watch over clients", partial(_look, room, traces, agents, store))),
            asyncio.create_task(kept_up("the watch over sessions", partial(sessions.end_those_left, traces))),
        ]
        yield
        for watch in watches:
            watch.cancel()
        await asyncio.gather(*watches, return_exceptions=True)
        await session.close()
        await store.close()

    app = web.Application(client_max_size=_LARGEST_BODY, middlewares=[_errors_as_json])
    Rest(room, traces, agents).add_routes(app)
    Catalogue(images, created, store).add_routes(app)
    deployments, dispatch = Deployments(images), Dispatch(agents, traces, store)
    rooms = Rooms(deployments, dispatch, sessions)
    Commands(room, traces, agents, deployments, dispatch, rooms).add_routes(app)
    Webhook(room, traces, created, store, lab).add_routes(app)
    app.cleanup_ctx.append(running)
    return app


async def _look(clients: Clients, traces: Traces, agents: Agents, store: Store) -> None:
    async with asyncio.TaskGroup() as group:
        for client in clients.all():
            if client.agent:
                group.create_task(_ask(client, agents))
        for trace in traces.without_job():
            group.create_task(_remember_job(trace, clients, agents, store))


async def _ask(client: Client, agents: Agents) -> None:
    asked = client.agent
    try:
        answer = await agents.status(client)
    except Unreachable:
        if client.agent is asked:  # not another one that has started meanwhile
            client.silent()
    else:
        if client.agent is asked:
            client.answered(answer.status, logged_in=answer.loggedin)


async def _remember_job(trace: Trace, clients: Clients, agents: Agents, store: Store) -> None:
    """The agent's own account of it: where the time went, and what to do about an error."""
    client = clients.named(trace.client)
    if client and client.state in {ClientState.OG_LIVE, ClientState.BUSY}:
        trace.looks += 1
        with suppress(Unreachable):
            trace.job = await agents.job(client, trace.job_id)
            try:
                await store.save_trace(trace)
            except sqlite3.Error as error:
                _log.error("trace %s is not kept: %s", trace.id, error)


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
        return web.json_response({"error": error.text or error.reason}, status=error.status, headers=headers)
