"""One order to several clients at the same time, and what each of them said."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from aiohttp import web
from msgspec import Struct
from multidict import MultiMapping

from simulator.ogcore.console.api import OgCoreAway, Refusal
from simulator.ogcore.console.desk import DESK
from simulator.ogcore.views import Accepted, CapturePlan, Refused, RoomAnswer

Order = Callable[[str], Awaitable[Accepted | CapturePlan | dict[str, Any]]]
"""By the client's name."""


class Outcome(Struct, frozen=True, kw_only=True):
    """For one client: ``accepted``, or what would be done (``plan``, ``capture``), or else ``refused``."""

    client: str
    accepted: Accepted | None = None
    plan: dict[str, Any] | None = None
    capture: CapturePlan | None = None
    refused: Refused | None = None


def chosen(form: MultiMapping[Any]) -> list[str]:
    """The clients, each once."""
    return list(dict.fromkeys(str(name) for name in form.getall("client", [])))


def commanded(request: web.Request, function: str, members: Mapping[str, Any], *, dry: bool = False) -> Order:
    ogcore, command = request.app[DESK].ogcore, {"function": function, "members": members}
    return lambda client: ogcore.plan_command(client, command) if dry else ogcore.command(client, command)


async def tell(
    request: web.Request, clients: Sequence[str], order: Order, *, dry: bool = False, image: str = ""
) -> web.Response:
    outcomes = await asyncio.gather(*(_outcome(client, order) for client in clients))
    return _shown(request, outcomes, dry=dry, image=image)


def tell_room(request: web.Request, said: RoomAnswer) -> web.Response:
    outcomes = [
        Outcome(client=each.client, accepted=Accepted(each.job_id, each.trace))
        if each.status == 200
        else Outcome(client=each.client, refused=each)
        for each in said.outcomes
    ]
    return _shown(request, outcomes, session=said.session, method=said.method)


def tell_missing(request: web.Request, what: str) -> web.Response:
    """``what`` has to be chosen first."""
    return _shown(request, [], missing=what)


def _shown(request: web.Request, outcomes: Sequence[Outcome], **more: object) -> web.Response:
    values = {"missing": "", "dry": False, "image": "", "session": "", "method": "", **more}
    return request.app[DESK].fragment("outcome.html", request, outcomes=outcomes, **values)


async def _outcome(client: str, order: Order) -> Outcome:
    try:
        said = await order(client)
    except Refusal as refusal:
        return Outcome(client=client, refused=refusal.said)
    except OgCoreAway as away:
        return Outcome(client=client, refused=Refused(error=str(away)))
    match said:
        case Accepted():
            return Outcome(client=client, accepted=said)
        case CapturePlan():
            return Outcome(client=client, capture=said)
        case _:
            return Outcome(client=client, plan=said)
