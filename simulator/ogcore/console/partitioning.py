"""The partition assistant: a draft that changes while one looks at it, a dry run, and the order."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from aiohttp import web
from multidict import MultiMapping

from simulator.ogcore.console.api import OgCoreAway, Refusal
from simulator.ogcore.console.desk import DESK, Context, Desk, Page
from simulator.ogcore.console.layouts import LAYOUTS
from simulator.ogcore.console.outcomes import chosen, commanded, tell, tell_missing
from simulator.ogcore.console.tables import FILESYSTEMS, KINDS, TABLES, Draft, draft_of
from simulator.ogcore.views import DiskView

_FUNCTION: Final = "Configurar"
_AS_IS: Final = "as-is"


def add_routes(app: web.Application) -> None:
    app.router.add_post("/partitions", configure)
    app.router.add_post("/partitions/plan", configure)
    app.router.add_post("/partitions/layout", lay_out)
    app.router.add_post("/partitions/rows", change_rows)
    app.router.add_post("/partitions/drawing", draw)


async def assistant(desk: Desk, request: web.Request) -> Context:
    clients = await desk.ogcore.clients()
    wanted = [each.name for each in clients if each.name in request.query.getall("client", [])]
    disks = await _disks(desk, wanted)
    disk = _chosen_disk(disks, request.query)
    draft = LAYOUTS[_AS_IS][1](disk) if disk else None
    return {"clients": clients, "chosen": wanted, "layout": _AS_IS, **_drafted(draft, disk, disks)}


async def lay_out(request: web.Request) -> web.Response:
    """Other clients, another disk, or another layout: the table begins anew with the layout."""
    form = await request.post()
    disks = await _disks(request.app[DESK], chosen(form))
    disk = _chosen_disk(disks, form)
    layout = str(form.get("layout", ""))
    _, make = LAYOUTS.get(layout, LAYOUTS[_AS_IS])
    context = _drafted(make(disk) if disk else None, disk, disks)
    return request.app[DESK].fragment("table-draft.html", request, layout=layout, **context)


async def change_rows(request: web.Request) -> web.Response:
    """A partition more, or one less."""
    form = await request.post()
    disks = await _disks(request.app[DESK], chosen(form))
    disk, draft, gone = _chosen_disk(disks, form), draft_of(form), request.query.get("remove", "")
    draft = draft.without(int(gone)) if gone.isdecimal() else draft.added(disk.size if disk else 0)
    context = _drafted(draft, disk, disks)
    return request.app[DESK].fragment("table-draft.html", request, layout=str(form.get("layout", "")), **context)


async def draw(request: web.Request) -> web.Response:
    form = await request.post()
    disks = await _disks(request.app[DESK], chosen(form))
    context = _drafted(draft_of(form), _chosen_disk(disks, form), disks)
    return request.app[DESK].fragment("table-drawing.html", request, **context)


async def configure(request: web.Request) -> web.Response:
    form = await request.post()
    clients, draft = chosen(form), draft_of(form)
    if not clients or not draft.disk:
        return tell_missing(request, "Select at least one client and a disk.")
    if draft.problem:
        return tell_missing(request, draft.problem)
    dry = request.path.endswith("/plan")
    members = {"dsk": str(draft.disk), "cfg": draft.cfg()}
    return await tell(request, clients, commanded(request, _FUNCTION, members, dry=dry), dry=dry)


def _drafted(draft: Draft | None, disk: DiskView | None, disks: Mapping[int, DiskView]) -> dict[str, Any]:
    return {
        "draft": draft,
        "disk": disk,
        "disks": disks,
        "free": draft.free(disk.size) if draft and disk else 0,
        "drawn": draft.drawn(disk) if draft and disk else None,
        "layouts": {name: label for name, (label, _) in LAYOUTS.items()},
        "tables": TABLES,
        "kinds": KINDS,
        "filesystems": FILESYSTEMS,
    }


async def _disks(desk: Desk, clients: Sequence[str]) -> dict[int, DiskView]:
    """By number; where the clients' differ, the smallest, which what is drafted has to fit."""
    found: dict[int, DiskView] = {}
    for disk in _all(await asyncio.gather(*(_disks_of(desk, name) for name in clients))):
        if disk.disk not in found or disk.size < found[disk.disk].size:
            found[disk.disk] = disk
    return dict(sorted(found.items()))


def _all(inventories: Iterable[Sequence[DiskView]]) -> Iterable[DiskView]:
    return (disk for disks in inventories for disk in disks)


async def _disks_of(desk: Desk, name: str) -> Sequence[DiskView]:
    try:
        return (await desk.ogcore.disks(name)).disks
    except (Refusal, OgCoreAway):  # there is no such client (any more), or nobody to ask
        return ()


def _chosen_disk(disks: Mapping[int, DiskView], form: MultiMapping[Any]) -> DiskView | None:
    wanted = str(form.get("disk", ""))
    chosen_one = disks.get(int(wanted)) if wanted.isdecimal() else None
    return chosen_one or next(iter(disks.values()), None)


ASSISTANT: Final = Page("partitions.html", assistant)
