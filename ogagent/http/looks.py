"""What ogAgent has always been asked for directly: answers at once, without a job, and nobody else is told."""

from __future__ import annotations

from aiohttp import web

from ogagent.check.finding import Verdict
from ogagent.functions.inventories import InventarioHardware, InventarioSoftware, Look
from ogagent.http.answers import Capabilities, Configuration
from ogagent.http.handlers import FUNCTIONS, JOBS, LOOK, LOOKING, json_answer
from ogagent.jobs.work import Order
from ogagent.model.report import configuration


async def show_hardware(request: web.Request) -> web.Response:
    return await _seen(request, request.app[FUNCTIONS][InventarioHardware.kind.name].order({}))


async def show_software(request: web.Request) -> web.Response:
    members = {"dsk": request.query.get("disk"), "par": request.query.get("part")}
    return await _seen(request, request.app[FUNCTIONS][InventarioSoftware.kind.name].order(members))


async def show_configuration(request: web.Request) -> web.Response:
    return json_answer(Configuration(configuration(await request.app[JOBS].inventory())))


async def show_capabilities(request: web.Request) -> web.Response:
    async with request.app[LOOKING]:
        found = await request.app[LOOK]()
    return json_answer(Capabilities(all(each.state is not Verdict.PROBLEM for each in found), found))


async def _seen(request: web.Request, order: Order) -> web.Response:
    async with request.app[JOBS].holding(order) as work:
        if not isinstance(work, Look):
            raise TypeError(f"{work.kind.name} is no look at anything")
        await work.run()
        return json_answer(work.found)
