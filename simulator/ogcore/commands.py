"""What an operator orders: a deployment, a new image or any other function, a dry run, cancel, the same again."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from simulator.ogcore.agents import GARBLED, Agents, Unreachable
from simulator.ogcore.answers import BAD_GATEWAY, CONFLICT, as_json, client_of, error, refused, trace_of
from simulator.ogcore.captures import Capture
from simulator.ogcore.clients import Client, Clients
from simulator.ogcore.deployments import Deployment, Deployments, deployment_of
from simulator.ogcore.dispatch import Dispatch
from simulator.ogcore.order import Order, place_of
from simulator.ogcore.reports import RESTORE, Function
from simulator.ogcore.rooms import RoomDeployment, Rooms, members_of
from simulator.ogcore.sessions import SessionOptions
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
        self,
        clients: Clients,
        traces: Traces,
        agents: Agents,
        deployments: Deployments,
        dispatch: Dispatch,
        rooms: Rooms,
    ) -> None:
        self._clients = clients
        self._traces = traces
        self._agents = agents
        self._deployments = deployments
        self._dispatch = dispatch
        self._rooms = rooms

    def add_routes(self, app: web.Application) -> None:
        app.router.add_post("/deploy", self._deploy_to_room)
        app.router.add_post("/clients/{name}/deploy", self._deploy)
        app.router.add_post("/clients/{name}/plan", self._plan_deployment)
        app.router.add_post("/clients/{name}/create-image", self._create_image)
        app.router.add_post("/clients/{name}/create-image/plan", self._plan_image)
        app.router.add_post("/clients/{name}/command", self._command)
        app.router.add_post("/clients/{name}/command/plan", self._plan_command)
        app.router.add_post("/clients/{name}/cancel", self._cancel_client)
        app.router.add_post("/traces/{id}/cancel", self._cancel_trace)
        app.router.add_post("/traces/{id}/retry", self._retry)

    async def _deploy_to_room(self, request: web.Request) -> web.Response:
        """200 also where some, or all, of the agents refuse: each has its own status."""
        wanted = await _read(request, RoomDeployment)
        clients = [self._clients.named(name) for name in dict.fromkeys(wanted.clients)]
        known = [client for client in clients if client]
        if len(known) < len(clients):
            return error(404, "there is no such client")
        given = await self._rooms.deploy(known, wanted, wanted.session)
        if isinstance(given, web.Response):
            return given
        pairs = zip(known, given.answers, strict=True)
        outcomes = [_outcome(client, answer) for client, answer in pairs]
        session, method = (given.session.id, given.session.method) if given.session else ("", wanted.method)
        return as_json({"session": session, "method": method, "outcomes": outcomes})

    async def _deploy(self, request: web.Request) -> web.Response:
        return await self._deploy_to(client_of(request, self._clients), await _read(request, Deployment))

    async def _deploy_to(self, client: Client, wanted: Deployment) -> web.Response:
        given = await self._rooms.deploy([client], wanted, SessionOptions())
        return given if isinstance(given, web.Response) else given.answers[0]

    async def _plan_deployment(self, request: web.Request) -> web.Response:
        client = client_of(request, self._clients)
        return await self._ask(client, await self._deployments.order(client.name, await _read(request, Deployment)))

    async def _create_image(self, request: web.Request) -> web.Response:
        client = client_of(request, self._clients)
        wanted = await _read(request, Capture)
        return await self._give(client, wanted.order_of(client.name, self._deployments.repository))

    async def _plan_image(self, request: web.Request) -> web.Response:
        client = client_of(request, self._clients)
        wanted = await _read(request, Capture)
        return await self._ask(client, wanted.order_of(client.name, self._deployments.repository))

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
            return await self._deploy_to(client, deployment_of(order))
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


def _outcome(client: Client, answer: web.Response) -> dict[str, Any]:
    said = members_of(answer)
    if answer.status != 200:
        said.pop("job_id", None)  # whoever is busy tells whose job keeps it so
    return said | {"client": client.name, "status": answer.status}


async def _read(request: web.Request, kind: type[T]) -> T:
    try:
        members = msgspec.json.decode(await request.read())
        return msgspec.convert(members, kind, strict=False)
    except GARBLED as why:
        raise web.HTTPBadRequest(text=f"the order cannot be read: {why}") from None
