"""The REST interface that an operator's console speaks: what there is. Images are in catalogue.py, orders in
commands.py.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from simulator.ogcore.agents import Agents, Unreachable
from simulator.ogcore.answers import as_json, client_of, error, trace_of
from simulator.ogcore.clients import Clients, ClientState
from simulator.ogcore.openapi import document
from simulator.ogcore.traces import Trace, Traces, TraceState, now
from simulator.ogcore.views import InventoryView

_FILTERS: Final = ("status", "command", "client", "session")


class Rest:
    def __init__(self, clients: Clients, traces: Traces, agents: Agents) -> None:
        self._clients = clients
        self._traces = traces
        self._agents = agents

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/clients", self._list_clients)
        app.router.add_get("/clients/{name}", self._show_client)
        app.router.add_get("/clients/{name}/disks", self._show_disks)
        app.router.add_get("/clients/{name}/check", self._show_check)
        app.router.add_get("/clients/{name}/hardware", self._show_hardware)
        app.router.add_get("/clients/{name}/software", self._show_software)
        app.router.add_get("/traces", self._list_traces)
        app.router.add_get("/traces/{id}", self._show_trace)
        app.router.add_get("/violations", self._list_violations)
        app.router.add_get("/openapi.json", self._describe)

    async def _list_clients(self, _: web.Request) -> web.Response:
        return as_json({"clients": [client.view() for client in self._clients.all()]})

    async def _show_client(self, request: web.Request) -> web.Response:
        return as_json(client_of(request, self._clients).view())

    async def _show_disks(self, request: web.Request) -> web.Response:
        """Of a client that is off, what it said last."""
        client = client_of(request, self._clients)
        if client.inventory_is_fresh:
            return as_json(client.inventory)
        try:
            client.saw_disks(InventoryView(read=now(), current=True, disks=await self._agents.disks(client)))
        except Unreachable as why:
            known = client.inventory
            return as_json(InventoryView(read=known.read, why=str(why), disks=known.disks))
        return as_json(client.inventory)

    async def _show_check(self, request: web.Request) -> web.Response:
        """It is looked at anew each time."""
        try:
            return as_json(await self._agents.check(client_of(request, self._clients)))
        except Unreachable as why:
            return error(502, str(why))

    async def _show_hardware(self, request: web.Request) -> web.Response:
        return as_json(client_of(request, self._clients).told.hardware)

    async def _show_software(self, request: web.Request) -> web.Response:
        told = client_of(request, self._clients).told
        return as_json({"software": sorted(told.software.values(), key=lambda each: (each.disk, each.partition))})

    async def _list_traces(self, request: web.Request) -> web.Response:
        wanted = {name: value for name, value in request.query.items() if name in _FILTERS and value}
        if wanted.get("status", TraceState.PENDING) not in set(TraceState):
            return error(400, f"status is one of {', '.join(TraceState)}")
        return as_json({"traces": [trace.view(off=self._is_off(trace)) for trace in self._traces.select(wanted)]})

    async def _show_trace(self, request: web.Request) -> web.Response:
        trace = trace_of(request, self._traces)
        return as_json(trace.details(off=self._is_off(trace)))

    def _is_off(self, trace: Trace) -> bool:
        client = self._clients.named(trace.client)
        return client is None or client.state is ClientState.OFF

    async def _list_violations(self, _: web.Request) -> web.Response:
        return as_json({"violations": list(self._traces.violations)})

    async def _describe(self, _: web.Request) -> web.Response:
        return as_json(document())
