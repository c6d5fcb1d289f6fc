"""The console, put together: pages, what keeps them live, buttons, and who may press them."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

from simulator.errors import LabError
from simulator.ogcore.console import actions, capturing, live, orders, partitioning
from simulator.ogcore.console.api import OgCore, OgCoreAway, Refusal
from simulator.ogcore.console.desk import DESK, Desk, Page
from simulator.ogcore.console.hands import Hands
from simulator.ogcore.console.pages import FAULTS, PAGES

_STATIC: Final = Path(__file__).parent / "static"
_LOOPBACK: Final = "127.0.0.1"
_GOODBYE_S: Final = 0.5
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def console_app(*, ogcore: str, ogcore_tls: ssl.SSLContext, hands: Hands | None = None) -> web.Application:
    """``ogcore`` is the URL of its REST interface."""

    async def desk(app: web.Application) -> AsyncIterator[None]:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
            app[DESK] = Desk(OgCore(session, ogcore, ogcore_tls), hands)
            yield

    app = web.Application(middlewares=[_same_origin, _refusals_as_pages])
    app[live.READERS] = set()
    app.cleanup_ctx.append(desk)
    app.on_response_prepare.append(_add_headers)
    app.on_shutdown.append(live.end_all)
    for path, page in {**PAGES, **({"/faults": FAULTS} if hands else {})}.items():
        app.router.add_get(path, _whole(page))
        app.router.add_get(f"/live{path}", _live(page))
    for buttons in (actions, orders, partitioning, capturing):
        buttons.add_routes(app)
    app.router.add_static("/static", _STATIC)
    return app


async def with_console(ogcore: Awaitable[web.Application], url: str, tls: ssl.SSLContext, port: int) -> web.Application:
    """The same ogCore, with its console beside it on a port of the loopback address. Raises LabError."""

    async def beside(_: web.Application) -> AsyncIterator[None]:
        runner = web.AppRunner(console_app(ogcore=url, ogcore_tls=tls), access_log=None, shutdown_timeout=_GOODBYE_S)
        await runner.setup()
        try:
            await web.TCPSite(runner, _LOOPBACK, port).start()
        except OSError as error:
            raise LabError(f"cannot listen on {_LOOPBACK} port {port}: {error.strerror}") from None
        yield
        await runner.cleanup()

    app = await ogcore
    app.cleanup_ctx.append(beside)
    return app


def _whole(page: Page) -> Handler:
    async def show(request: web.Request) -> web.StreamResponse:
        text = await request.app[DESK].page(page, request)
        return web.Response(text=text, content_type="text/html", headers={"Cache-Control": "no-store"})

    return show


def _live(page: Page) -> Handler:
    async def follow(request: web.Request) -> web.StreamResponse:
        return await live.stream(page, request)

    return follow


@web.middleware
async def _same_origin(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A page from elsewhere must neither press a button here, nor read what is here under a name of its own."""
    host = urlsplit(f"//{request.host}").hostname or ""
    if host != "localhost" and not _is_address(host):
        raise web.HTTPForbidden(text=f"the console does not answer to the name {host}")
    if request.method not in {"GET", "HEAD"}:
        origin = urlsplit(request.headers.get("Origin", ""))
        if origin.netloc != request.host:
            raise web.HTTPForbidden(text="this did not come from a page of the console")
    return await handler(request)


@web.middleware
async def _refusals_as_pages(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refusal as refusal:
        response = request.app[DESK].fragment("missing.html", request, refused=refusal.said)
        response.set_status(refusal.status)
        return response
    except OgCoreAway:  # a page says so; of one that is open htmx replaces nothing then
        return web.Response(status=204)


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)


def _is_address(host: str) -> bool:
    """A rebound name is none."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
