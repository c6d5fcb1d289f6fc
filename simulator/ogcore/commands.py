"""What an operator orders: deploy, look at what that would do, cancel, try again."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from aiohttp import web
from msgspec import Meta, Struct

from simulator.ogcore.agents import GARBLED, Agents, Unreachable
from simulator.ogcore.answers import (
    BAD_GATEWAY,
    CONFLICT,
    UNPROCESSABLE,
    as_json,
    client_of,
    error,
    refused,
    trace_of,
    words,
)
from simulator.ogcore.clients import Client, Clients
from simulator.ogcore.images import Image, Images, RepositoryUnreachable
from simulator.ogcore.store import Store
from simulator.ogcore.traces import Trace, Traces

_FUNCTION: Final = "RestaurarImagen"
_NO_TRACE: Final = "0"

Number = Annotated[int, Meta(ge=1, le=999)]


class Deployment(Struct, frozen=True, forbid_unknown_fields=True):
    """What the operator chooses; numbers may be strings."""

    image: Annotated[str, Meta(min_length=1, max_length=200)]
    disk: Number
    partition: Number
    method: Annotated[str, Meta(max_length=200)] = "unicast"


class Commands:
    def __init__(self, clients: Clients, traces: Traces, agents: Agents, images: Images, store: Store) -> None:
        self._clients = clients
        self._traces = traces
        self._agents = agents
        self._images = images
        self._store = store

    def add_routes(self, app: web.Application) -> None:
        app.router.add_post("/clients/{name}/deploy", self._deploy)
        app.router.add_post("/clients/{name}/plan", self._plan)
        app.router.add_post("/clients/{name}/cancel", self._cancel_client)
        app.router.add_post("/traces/{id}/cancel", self._cancel_trace)
        app.router.add_post("/traces/{id}/retry", self._retry)

    async def _deploy(self, request: web.Request) -> web.Response:
        return await self._order(client_of(request, self._clients), await _deployment(request))

    async def _retry(self, request: web.Request) -> web.Response:
        """The same order once more, as a trace of its own."""
        trace = trace_of(request, self._traces)
        client = self._clients.named(trace.client)
        disk, _, partition = trace.partition.partition("/")
        if client is None or not trace.image or not trace.ended:
            return error(CONFLICT, f"trace {trace.id} cannot be tried again", trace=trace.id)
        return await self._order(client, Deployment(trace.image, int(disk), int(partition), trace.method))

    async def _plan(self, request: web.Request) -> web.Response:
        """What the agent would do, in its own words. No trace: nothing is done."""
        client = client_of(request, self._clients)
        order = await _deployment(request)
        image = await self._image(client, order)
        if isinstance(image, web.Response):
            return image
        try:
            answer = await self._agents.plan(client, self._members(order, image, _NO_TRACE))
        except Unreachable as why:
            return error(BAD_GATEWAY, str(why))
        return as_json(answer.members) if answer.status == 200 and answer.members else refused(answer)

    async def _order(self, client: Client, order: Deployment) -> web.Response:
        image = await self._image(client, order)
        return image if isinstance(image, web.Response) else await self._call(client, order, image)

    async def _image(self, client: Client, order: Deployment) -> Image | web.Response:
        """The image of the order, or why there will be no call."""
        try:
            image = await self._images.named(order.image)
        except RepositoryUnreachable as why:
            return error(BAD_GATEWAY, str(why))
        if image is None:
            return error(404, f"the repository has no image {order.image}")
        if not image.offered:
            return error(UNPROCESSABLE, f"{order.image} is corrupt: {image.reason}")
        if client.agent is None:
            return error(CONFLICT, f"{client.name} is off")
        return image

    async def _call(self, client: Client, order: Deployment, image: Image) -> web.Response:
        """The trace is there before the call: the agent may report before it has answered."""
        place = f"{order.disk}/{order.partition}"
        trace = self._traces.open(client=client.name, image=image.name, partition=place, method=order.method)
        await self._store.save_trace(trace)
        try:
            answer = await self._agents.deploy(client, self._members(order, image, trace.id))
        except Unreachable as why:
            return await self._give_up(trace, str(why), error(BAD_GATEWAY, str(why), trace=trace.id))
        job_id = answer.members.get("job_id")
        if answer.status != 200 or not isinstance(job_id, str):
            return await self._give_up(trace, words(answer), refused(answer, trace=trace.id))
        if trace.job_id not in {"", job_id}:
            self._traces.violated(f"the call was answered with {job_id}, reports say {trace.job_id}", trace=trace)
        trace.job_id = job_id
        await self._store.save_trace(trace)
        return as_json({"job_id": job_id, "trace": trace.id})

    async def _give_up(self, trace: Trace, reason: str, answer: web.Response) -> web.Response:
        trace.refuse(reason)
        await self._store.save_trace(trace)
        return answer

    def _members(self, order: Deployment, image: Image, trace_id: str) -> dict[str, str]:
        """As in OpenGnsys' documentation: these members, all of them strings."""
        where = {"dsk": str(order.disk), "par": str(order.partition), "cpt": image.code, "ifs": "1"}
        what = {"idi": image.id, "nci": image.name, "ipr": self._images.host, "nfn": _FUNCTION}
        return {**where, **what, "method": order.method, "ids": trace_id}

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


async def _deployment(request: web.Request) -> Deployment:
    try:
        members = msgspec.json.decode(await request.read())
        return msgspec.convert(members, Deployment, strict=False)
    except GARBLED as why:
        raise web.HTTPBadRequest(text=f"the order cannot be read: {why}") from None
