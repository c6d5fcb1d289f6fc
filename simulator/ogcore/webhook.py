"""What agents tell ogCore: that they start, that they stop, and how a job goes."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final, TypeVar

from aiohttp import web
from msgspec import Struct
from msgspec.json import Decoder

from simulator.ogcore.agents import GARBLED, pinnable
from simulator.ogcore.clients import Client, Clients, Started
from simulator.ogcore.created import CreatedImages
from simulator.ogcore.reports import FinalReport, Name, read_report
from simulator.ogcore.store import Store
from simulator.ogcore.traces import Trace, Traces, now

_PREFIX: Final = "/opengnsys/rest"
# Servers in the field turn away what does not come from this library.
_USER_AGENT: Final = "python-requests/"

T = TypeVar("T")


class Stopped(Struct, frozen=True):
    ip: str


class LoggedIn(Struct, frozen=True, forbid_unknown_fields=True):
    """``session`` is its kind: ``tty``, ``x11``, ``wayland``."""

    ip: str
    user: Name
    language: str
    session: str
    ostype: Name
    osversion: str


class LoggedOut(Struct, frozen=True, forbid_unknown_fields=True):
    ip: str
    user: Name


class Booting(Struct, frozen=True):
    """Before there is an agent nothing can prove who says so: taken from a lab only, on this machine or where it is
    known to be.

    ``failed``: the client does not come up.
    """

    ip: str
    failed: bool = False


class Webhook:
    def __init__(self, clients: Clients, traces: Traces, created: CreatedImages, store: Store, lab: str = "") -> None:
        self._clients = clients
        self._traces = traces
        self._created = created
        self._store = store
        self._lab = lab

    def add_routes(self, app: web.Application) -> None:
        app.router.add_post(f"{_PREFIX}/ogagent/booting", self._booting)
        app.router.add_post(f"{_PREFIX}/ogagent/started", self._started)
        app.router.add_post(f"{_PREFIX}/ogagent/stopped", self._stopped)
        app.router.add_post(f"{_PREFIX}/ogagent/loggedin", self._logged_in)
        app.router.add_post(f"{_PREFIX}/ogagent/loggedout", self._logged_out)
        app.router.add_post(f"{_PREFIX}/clients/status/webhook", self._report)

    async def _booting(self, request: web.Request) -> web.Response:
        remote = request.remote or "::"
        if remote != self._lab and not ip_address(remote).is_loopback:
            raise web.HTTPForbidden(text="only a lab says this, on ogCore's own machine or where --lab says")
        message = self._decode(await request.read(), Decoder(Booting).decode)
        client = self._client_at(message.ip)
        client.booting()
        if message.failed:
            client.stopped()
        await self._store.save_agent(client)
        return web.json_response({"client": client.name})

    async def _started(self, request: web.Request) -> web.Response:
        body = await request.read()
        agent = self._decode(body, Decoder(Started).decode)
        client = self._client_at(agent.ip)
        if not agent.secret or not pinnable(agent.fingerprint):
            raise web.HTTPBadRequest(text="secret or fingerprint cannot be used")
        self._demand_signature(request, body, agent.secret, client)
        client.started(agent)
        await self._store.save_agent(client)
        return web.json_response({"client": client.name})

    async def _stopped(self, request: web.Request) -> web.Response:
        body = await request.read()
        client = self._client_at(self._decode(body, Decoder(Stopped).decode).ip)
        # An agent that ogCore does not know need not prove anything to be counted as off.
        if client.agent:
            self._demand_signature(request, body, client.agent.secret, client)
            client.stopped()
            await self._store.save_agent(client)
        return web.json_response({"client": client.name})

    async def _logged_in(self, request: web.Request) -> web.Response:
        return await self._session(request, Decoder(LoggedIn).decode)

    async def _logged_out(self, request: web.Request) -> web.Response:
        return await self._session(request, Decoder(LoggedOut).decode)

    async def _session(self, request: web.Request, read: Callable[[bytes], LoggedIn | LoggedOut]) -> web.Response:
        """Its state is asked for and not concluded: who logs out may have had two sessions."""
        body = await request.read()
        told = self._decode(body, read)
        client = self._client_at(told.ip)
        if client.agent is None:
            raise web.HTTPUnauthorized(text="this client has no agent that ogCore knows")
        self._demand_signature(request, body, client.agent.secret, client)
        client.people.append((isinstance(told, LoggedIn), told.user))
        return web.json_response({"client": client.name})

    async def _report(self, request: web.Request) -> web.Response:
        """2xx also for what breaks the rules: an agent that is told otherwise would say the same again and again."""
        if not request.headers.get("User-Agent", "").startswith(_USER_AGENT):
            raise web.HTTPForbidden(text=f"the User-Agent does not begin with {_USER_AGENT}")
        body = await request.read()
        client = self._signer(request, body)
        report = self._decode(body, read_report, client=client.name)
        trace = self._traces.of_report(client.name, report)
        if request.headers.get("X-OgAgent-Event") != report.event_id:
            self._traces.violated("X-OgAgent-Event is not the event_id of the report", trace=trace)
        for what in trace.receive(report, body):
            self._traces.violated(what, trace=trace)
        if isinstance(report, FinalReport):  # acknowledged only when it will not be forgotten
            if trace.final is report:
                await self._learn(client, trace, report)
            await self._store.save_trace(trace)
            client.disks_changed()
        return web.json_response({"trace": trace.id})

    async def _learn(self, client: Client, trace: Trace, report: FinalReport) -> None:
        """What it tells beside the end of its own trace."""
        when = trace.finished or now()
        if client.told.receive(report, when):
            await self._store.save_inventories(client)
        if image_id := self._created.receive(report, trace.order, when):
            await self._store.save_image(image_id, self._created)

    def _decode(self, body: bytes, read: Callable[[bytes], T], *, client: str = "") -> T:
        try:
            return read(body)
        except GARBLED as error:
            self._traces.violated(f"a message that cannot be read: {error}", client=client)
            raise web.HTTPBadRequest(text=f"the message cannot be read: {error}") from None

    def _client_at(self, ip: str) -> Client:
        client = self._clients.at(ip)
        if client is None:
            raise web.HTTPNotFound(text="no client has this address")
        return client

    def _signer(self, request: web.Request, body: bytes) -> Client:
        """Whose secret the signature was made with: a report does not say who sends it."""
        for client in self._clients.all():
            if client.agent and _signed(request, body, client.agent.secret):
                return client
        self._traces.violated(f"a report with a wrong signature, from {request.remote}")
        raise web.HTTPUnauthorized(text="the signature is not that of a client")

    def _demand_signature(self, request: web.Request, body: bytes, secret: str, client: Client) -> None:
        if not _signed(request, body, secret):
            self._traces.violated("a registration with a wrong signature", client=client.name)
            raise web.HTTPUnauthorized(text="the signature is wrong")


def _signed(request: web.Request, body: bytes, secret: str) -> bool:
    expected = f"sha256={hmac.new(secret.encode(), body, 'sha256').hexdigest()}"
    return hmac.compare_digest(
        expected.encode(), request.headers.get("X-OgAgent-Signature", "").encode(errors="replace")
    )
