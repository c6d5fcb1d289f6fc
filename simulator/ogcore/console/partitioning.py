"""The partition assistant: a draft that changes while one looks at it, a dry run, and the order."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiohttp import web
from multidict import MultiMapping

from simulator.ogcore.console.api import Refusal
from simulator.ogcore.console.desk import DESK, Context, Desk, Page
from simulator.ogcore.console.layouts import LAYOUTS
from simulator.ogcore.console.outcomes import chosen, commanded, tell, tell_missing
from simulator.ogcore.console.tables import FILESYSTEMS, KINDS, TABLES, Draft, as_is, draft_of
from simulator.ogcore.views import DiskView

Disks = Mapping[int, Mapping[str, DiskView]]
"""By number, and by the client whose it is."""

_FUNCTION: Final = "Configurar"
_AS_IS: Final = "as-is"


def add_routes(app: web.Application) -> None:
    app.router.add_post("/partitions", configure)
    app.router.add_post("/partitions/plan", configure)
    app.router.add_post("/partitions/layout", lay_out)
    app.router.add_post("/partitions/clients", lay_out)
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
    """Another disk or another layout: the table begins anew with it. Other clients take it as it is drafted, unless
    they have no such disk.
    """
    form = await request.post()
    disks = await _disks(request.app[DESK], chosen(form))
    disk, draft = _chosen_disk(disks, form), draft_of(form)
    layout = str(form.get("layout", ""))
    _, make = LAYOUTS.get(layout, LAYOUTS[_AS_IS])
    kept = request.path.endswith("/clients") and disk and disk.disk == draft.disk
    context = _drafted(draft if kept else make(disk) if disk else None, disk, disks)
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


def _drafted(draft: Draft | None, disk: DiskView | None, disks: Disks) -> dict[str, Any]:
    return {
        "draft": draft,
        "disk": disk,
        "disks": {number: _smallest(those) for number, those in disks.items()},
        "whose": _whose(draft, disks[disk.disk]) if draft and disk else "",
        "free": draft.free(disk.size) if draft and disk else 0,
        "drawn": draft.drawn(disk) if draft and disk else None,
        "layouts": {name: label for name, (label, _) in LAYOUTS.items()},
        "tables": TABLES,
        "kinds": KINDS,
        "filesystems": FILESYSTEMS,
    }


async def _disks(desk: Desk, clients: Sequence[str]) -> Disks:
    found: dict[int, dict[str, DiskView]] = {}
    inventories = await asyncio.gather(*(_disks_of(desk, name) for name in clients))
    for client, disks in zip(clients, inventories, strict=True):
        for disk in disks:
            found.setdefault(disk.disk, {})[client] = disk
    return dict(sorted(found.items()))


def _smallest(those: Mapping[str, DiskView]) -> DiskView:
    """Which what is drafted has to fit."""
    return min(those.values(), key=lambda disk: disk.size)


def _whose(draft: Draft, those: Mapping[str, DiskView]) -> str:
    """The client that has this very table, where others have another one; empty for nobody's, and for everybody's."""
    owners = [client for client, disk in those.items() if as_is(disk) == draft]
    return owners[0] if 0 < len(owners) < len(those) else ""


async def _disks_of(desk: Desk, name: str) -> Sequence[DiskView]:
    try:
        return (await desk.ogcore.disks(name)).disks
    except Refusal:  # there is no such client (any more)
        return ()


def _chosen_disk(disks: Disks, form: MultiMapping[Any]) -> DiskView | None:
    wanted = str(form.get("disk", ""))
    those = disks.get(int(wanted)) if wanted.isdecimal() else None
    those = those or next(iter(disks.values()), None)
    return _smallest(those) if those else None


ASSISTANT: Final = Page("partitions.html", assistant)
