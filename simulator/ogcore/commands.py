"""What an operator orders: a deployment or any other function, what it would do, cancel, the same once more."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from simulator.ogcore.agents import GARBLED, Agents, Unreachable
from simulator.ogcore.answers import BAD_GATEWAY, CONFLICT, as_json, client_of, error, refused, trace_of
from simulator.ogcore.clients import Client, Clients
from simulator.ogcore.deployments import Deployment, Deployments
from simulator.ogcore.dispatch import Dispatch
from simulator.ogcore.order import Order, place_of
from simulator.ogcore.reports import RESTORE, Function
from simulator.ogcore.traces import Trace, Traces

T = TypeVar("T")


class Command(Struct, frozen=True, forbid_unknown_fields=True):
    """``members`` as the agent wants them; ogCore adds ``nfn`` and ``ids``."""

    function: Function
    members: Annotated[dict[str, Any], Meta(max_length=100)] = {}

    def order_of(self, client: str) -> Order:
        place = place_of(self.members.get("dsk"), self.members.get("par"))
        members = {**self.members, "nfn": self.function}
        return Order(client=client, function=self.function, members=members, partition=place)


class Commands:
    def __init__(
        self, clients: Clients, traces: Traces, agents: Agents, deployments: Deployments, dispatch: Dispatch
    ) -> None:
        self._clients = clients
        self._traces = traces
        self._agents = agents
        self._deployments = deployments
        self._dispatch = dispatch

    def add_routes(self, app: web.Application) -> None:
        app.router.add_post("/clients/{name}/deploy", self._deploy)
        app.router.add_post("/clients/{name}/plan", self._plan_deployment)
        app.router.add_post("/clients/{name}/command", self._command)
        app.router.add_post("/clients/{name}/command/plan", self._plan_command)
        app.router.add_post("/clients/{name}/cancel", self._cancel_client)
        app.router.add_post("/traces/{id}/cancel", self._cancel_trace)
        app.router.add_post("/traces/{id}/retry", self._retry)

    async def _deploy(self, request: web.Request) -> web.Response:
        client = client_of(request, self._clients)
        return await self._give(client, await self._deployments.order(client.name, await _read(request, Deployment)))

    async def _plan_deployment(self, request: web.Request) -> web.Response:
        client = client_of(request, self._clients)
        return await self._ask(client, await self._deployments.order(client.name, await _read(request, Deployment)))

    async def _command(self, request: web.Request) -> web.Response:
        client = client_of(request, self._clients)
        return await self._give(client, (await _read(request, Command)).order_of(client.name))

    async def _plan_command(self, request: web.Request) -> web.Response:
        client = client_of(request, self._clients)
        return await self._ask(client, (await _read(request, Command)).order_of(client.name))

    async def _retry(self, request: web.Request) -> web.Response:
        """The same order once more, as a trace of its own. Of an image the repository is asked once more as well."""
        trace = trace_of(request, self._traces)
        client, order = self._clients.named(trace.client), trace.order
        if client is None or not trace.ended or not (order.members or order.image):
            return error(CONFLICT, f"trace {trace.id} cannot be tried again", trace=trace.id)
        if order.function == RESTORE and order.image:
            return await self._give(client, await self._deployments.again(order))
        return await self._give(client, order)

    async def _give(self, client: Client, order: Order | web.Response) -> web.Response:
        return order if isinstance(order, web.Response) else await self._dispatch.give(client, order)

    async def _ask(self, client: Client, order: Order | web.Response) -> web.Response:
        return order if isinstance(order, web.Response) else await self._dispatch.ask(client, order)

    async def _cancel_client(self, request: web.Request) -> web.Response:
        client = client_of(request, self._clients)
        running = self._traces.running(client.name)
        if not running:
            return error(CONFLICT, f"{client.name} has nothing to cancel")
        return await self._cancel(client, running[-1])

    async def _cancel_trace(self, request: web.Request) -> web.Response:
        trace = trace_of(request, self._traces)
        client = self._clients.named(trace.client)
        if client is None or not trace.job_id or trace.ended:
            return error(CONFLICT, f"trace {trace.id} has nothing to cancel", trace=trace.id)
        return await self._cancel(client, trace)

    async def _cancel(self, client: Client, trace: Trace) -> web.Response:
        try:
            answer = await self._agents.kill(client, trace.job_id)
        except Unreachable as why:
            return error(BAD_GATEWAY, str(why), trace=trace.id)
        if answer.status != 200 or not answer.members:
            return refused(answer, trace=trace.id)
        return as_json({**answer.members, "trace": trace.id})


async def _read(request: web.Request, kind: type[T]) -> T:
    try:
        members = msgspec.json.decode(await request.read())
        return msgspec.convert(members, kind, strict=False)
    except GARBLED as why:
        raise web.HTTPBadRequest(text=f"the order cannot be read: {why}") from None
