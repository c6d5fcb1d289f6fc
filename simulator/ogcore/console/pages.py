"""The pages: what each shows. How it looks is in the templates."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from aiohttp import web

from simulator.faults import KINDS
from simulator.ogcore.console.capturing import CREATION
from simulator.ogcore.console.choices import METHODS, images_or_why, places
from simulator.ogcore.console.desk import Context, Desk, Page
from simulator.ogcore.console.figures import TITLES
from simulator.ogcore.console.inventory import INVENTORY
from simulator.ogcore.console.partitioning import ASSISTANT
from simulator.ogcore.console.together import seats
from simulator.ogcore.views import ClientView, TraceView

_LIVE: Final = {"pending", "in-progress"}
_SINCE: Final = {"5": "Last 5 minutes", "60": "Last hour", "1440": "Last 24 hours"}
_STATES: Final = ("pending", "in-progress", "success", "failed", "cancelled")
_MOST_SHOWN: Final = 100


async def groups(desk: Desk, request: web.Request) -> Context:
    clients, traces = await asyncio.gather(desk.ogcore.clients(), desk.ogcore.traces({}))
    rooms: dict[str, dict[str, list[ClientView]]] = {}
    for client in clients:
        rooms.setdefault(client.centre, {}).setdefault(client.room, []).append(client)
    return {
        "centres": rooms,
        "running_on": _newest_by_client(traces, running=True),
        "last_on": _newest_by_client(traces, running=False),
        "as_table": request.query.get("view") == "table",
    }


async def client(desk: Desk, request: web.Request) -> Context:
    name = request.match_info["name"]
    known, inventory, traces = await asyncio.gather(
        desk.ogcore.client(name), desk.ogcore.disks(name), desk.ogcore.traces({"client": name})
    )
    here = desk.hands if desk.hands and desk.hands.has(name) else None
    return {
        "client": known,
        "inventory": inventory,
        "traces": traces[:5],
        "trace": next((trace for trace in traces if trace.state in _LIVE), None),
        "hands": here,
        "runs": here.runs(name) if here else False,
        "note": here.note(name) if here else "",
        "reason": here.reason(name) if here else "",
    }


async def deploy(desk: Desk, request: web.Request) -> Context:
    chosen = request.query.getall("client", [])
    clients = await desk.ogcore.clients()
    wanted = [each.name for each in clients if each.name in chosen]
    images, why = await images_or_why(desk)
    return {
        "clients": clients,
        "chosen": wanted,
        "images": images,
        "why": why,
        "methods": METHODS,
        "places": await places(desk, wanted),
    }


async def orders(desk: Desk, request: web.Request) -> Context:
    """Clients to order something of, and their partitions."""
    clients = await desk.ogcore.clients()
    wanted = [each.name for each in clients if each.name in request.query.getall("client", [])]
    return {"clients": clients, "chosen": wanted, "places": await places(desk, wanted)}


async def traces(desk: Desk, request: web.Request) -> Context:
    query = request.query
    wanted = {name: query[name] for name in ("status", "client", "command", "session") if query.get(name)}
    if wanted.get("status", _STATES[0]) not in _STATES:
        del wanted["status"]
    found, clients = await asyncio.gather(desk.ogcore.traces(wanted), desk.ogcore.clients())
    together = await desk.ogcore.traces({"session": wanted["session"]}) if "session" in wanted else ()
    since = query.get("since", "")
    if since in _SINCE:
        oldest = datetime.now(UTC) - timedelta(minutes=int(since))
        found = tuple(trace for trace in found if datetime.fromisoformat(trace.created) >= oldest)
    return {
        "traces": found[:_MOST_SHOWN],
        "count": len(found),
        "wanted": wanted | {"since": since},
        "seats": seats(together),
        "clients": clients,
        "commands": TITLES,
        "states": _STATES,
        "sinces": _SINCE,
    }


async def trace(desk: Desk, request: web.Request) -> Context:
    found = await desk.ogcore.trace(request.match_info["id"])
    final: Mapping[str, Any] = next((report for report in reversed(found.reports) if "res" in report), {})
    return {"trace": found, "live": found.state in _LIVE, "final": final}


async def images(desk: Desk, _: web.Request) -> Context:
    found, why = await images_or_why(desk)
    return {"images": found, "why": why}


async def faults(desk: Desk, _: web.Request) -> Context:
    """Works without ogCore, since it is where ogCore is brought back."""
    if desk.hands is None:
        raise web.HTTPNotFound(text="there is no lab here")
    return {"kinds": KINDS, "names": desk.hands.clients()}


def _newest_by_client(traces: Iterable[TraceView], *, running: bool) -> Mapping[str, TraceView]:
    found: dict[str, TraceView] = {}
    for each in traces:
        if (each.state in _LIVE) == running:
            found.setdefault(each.client, each)
    return found


PAGES: Final = {
    "/": Page("groups.html", groups),
    "/clients/{name}": Page("client.html", client),
    "/clients/{name}/inventory": INVENTORY,
    "/clients/{name}/create-image": CREATION,
    "/deploy": Page("deploy.html", deploy),
    "/commands": Page("commands.html", orders),
    "/script": Page("script.html", orders),
    "/partitions": ASSISTANT,
    "/traces": Page("traces.html", traces),
    "/traces/{id}": Page("trace.html", trace),
    "/images": Page("images.html", images),
}
FAULTS: Final = Page("faults.html", faults)
