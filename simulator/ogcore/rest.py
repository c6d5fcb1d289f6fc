"""The REST interface that an operator's console speaks."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from simulator.ogcore.agents import GARBLED, Agents, Answer, Unreachable
from simulator.ogcore.clients import Client, Clients
from simulator.ogcore.images import Image, Images, RepositoryUnreachable
from simulator.ogcore.traces import Trace, Traces, TraceState

_FUNCTION: Final = "RestaurarImagen"
_FILTERS: Final = ("status", "command", "client")
_CONFLICT: Final = 409
_UNPROCESSABLE: Final = 422
_BAD_GATEWAY: Final = 502

Number = Annotated[int, Meta(ge=1, le=999)]


class Deployment(Struct, frozen=True, forbid_unknown_fields=True):
    """What the operator chooses; numbers may be strings."""

    image: Annotated[str, Meta(min_length=1, max_length=200)]
    disk: Number
    partition: Number
    method: Annotated[str, Meta(max_length=200)] = "unicast"


class Rest:
    def __init__(self, clients: Clients, traces: Traces, agents: Agents, images: Images) -> None:
        self._clients = clients
        self._traces = traces
        self._agents = agents
        self._images = images

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/clients", self._list_clients)
        app.router.add_get("/clients/{name}", self._show_client)
        app.router.add_post("/clients/{name}/deploy", self._deploy)
        app.router.add_post("/clients/{name}/cancel", self._cancel_client)
        app.router.add_get("/images", self._list_images)
        app.router.add_get("/traces", self._list_traces)
        app.router.add_get("/traces/{id}", self._show_trace)
        app.router.add_post("/traces/{id}/cancel", self._cancel_trace)
        app.router.add_get("/violations", self._list_violations)

    # --- what there is --------------------------------------------------------------------------------------------

    async def _list_clients(self, _: web.Request) -> web.Response:
        return _json({"clients": [client.view() for client in self._clients.all()]})

    async def _show_client(self, request: web.Request) -> web.Response:
        return _json(self._client(request).view())

    async def _list_images(self, _: web.Request) -> web.Response:
        try:
            images = await self._images.all()
        except RepositoryUnreachable as error:
            return _error(_BAD_GATEWAY, str(error))
        offered = [image for image in images if image.offered]
        return _json({"images": [{"id": image.id, **msgspec.to_builtins(image)} for image in offered]})

    async def _list_traces(self, request: web.Request) -> web.Response:
        wanted = {name: value for name, value in request.query.items() if name in _FILTERS and value}
        if wanted.get("status", TraceState.PENDING) not in set(TraceState):
            return _error(400, f"status is one of {', '.join(TraceState)}")
        return _json({"traces": [trace.view() for trace in self._traces.select(wanted)]})

    async def _show_trace(self, request: web.Request) -> web.Response:
        return _json(self._trace(request).details())

    async def _list_violations(self, _: web.Request) -> web.Response:
        return _json({"violations": list(self._traces.violations)})

    # --- commands -------------------------------------------------------------------------------------------------

    async def _deploy(self, request: web.Request) -> web.Response:
        client = self._client(request)
        order = await _order(request)
        try:
            image = await self._images.named(order.image)
        except RepositoryUnreachable as error:
            return _error(_BAD_GATEWAY, str(error))
        if image is None:
            return _error(404, f"the repository has no image {order.image}")
        if not image.offered:
            return _error(_UNPROCESSABLE, f"{order.image} is corrupt: {image.reason}")
        if client.agent is None:
            return _error(_CONFLICT, f"{client.name} is off")
        return await self._call(client, order, image)

    async def _call(self, client: Client, order: Deployment, image: Image) -> web.Response:
        """The trace is there before the call: the agent may report before it has answered."""
        place = f"{order.disk}/{order.partition}"
        trace = self._traces.open(client=client.name, image=image.name, partition=place, method=order.method)
        try:
            answer = await self._agents.deploy(client, self._members(order, image, trace))
        except Unreachable as error:
            trace.refuse(str(error))
            return _error(_BAD_GATEWAY, str(error), trace=trace.id)
        job_id = answer.members.get("job_id")
        if answer.status != 200 or not isinstance(job_id, str):
            trace.refuse(_words(answer))
            return _refused(answer, trace)
        if trace.job_id not in {"", job_id}:
            self._traces.violated(f"the call was answered with {job_id}, reports say {trace.job_id}", trace=trace)
        trace.job_id = job_id
        return _json({"job_id": job_id, "trace": trace.id})

    def _members(self, order: Deployment, image: Image, trace: Trace) -> dict[str, str]:
        """As in OpenGnsys' documentation: these members, all of them strings."""
        where = {"dsk": str(order.disk), "par": str(order.partition), "cpt": image.code, "ifs": "1"}
        what = {"idi": image.id, "nci": image.name, "ipr": self._images.host, "nfn": _FUNCTION}
        return {**where, **what, "method": order.method, "ids": trace.id}

    async def _cancel_client(self, request: web.Request) -> web.Response:
        client = self._client(request)
        running = self._traces.running(client.name)
        if not running:
            return _error(_CONFLICT, f"{client.name} has nothing to cancel")
        return await self._cancel(client, running[-1])

    async def _cancel_trace(self, request: web.Request) -> web.Response:
        trace = self._trace(request)
        client = self._clients.named(trace.client)
        if client is None or not trace.job_id or trace.ended:
            return _error(_CONFLICT, f"trace {trace.id} has nothing to cancel", trace=trace.id)
        return await self._cancel(client, trace)

    async def _cancel(self, client: Client, trace: Trace) -> web.Response:
        try:
            answer = await self._agents.kill(client, trace.job_id)
        except Unreachable as error:
            return _error(_BAD_GATEWAY, str(error), trace=trace.id)
        if answer.status != 200 or not answer.members:
            return _refused(answer, trace)
        return _json({**answer.members, "trace": trace.id})

    # --- looking up -----------------------------------------------------------------------------------------------

    def _client(self, request: web.Request) -> Client:
        client = self._clients.named(request.match_info["name"])
        if client is None:
            raise web.HTTPNotFound(text="there is no such client")
        return client

    def _trace(self, request: web.Request) -> Trace:
        trace = self._traces.numbered(request.match_info["id"])
        if trace is None:
            raise web.HTTPNotFound(text="there is no such trace")
        return trace


async def _order(request: web.Request) -> Deployment:
    try:
        members = msgspec.json.decode(await request.read())
        return msgspec.convert(members, Deployment, strict=False)
    except GARBLED as error:
        raise web.HTTPBadRequest(text=f"the order cannot be read: {error}") from None


def _words(answer: Answer) -> str:
    """The agent's own."""
    text = answer.members.get("error") or answer.members.get("detail")
    return text if isinstance(text, str) else f"the agent answered {answer.status}"


def _refused(answer: Answer, trace: Trace) -> web.Response:
    """With the agent's own status, unless the agent has not said anything that makes sense."""
    sensible = answer.status >= 400 and answer.members
    members = {**answer.members, "error": _words(answer), "trace": trace.id}
    return _json(members, status=answer.status if sensible else _BAD_GATEWAY)


def _error(status: int, text: str, **more: str) -> web.Response:
    return _json({"error": text, **more}, status=status)


def _json(value: Any, *, status: int = 200) -> web.Response:
    return web.json_response(body=msgspec.json.encode(value), status=status)
