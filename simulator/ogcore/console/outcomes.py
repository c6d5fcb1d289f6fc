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
from simulator.ogcore.views import Accepted, Refused

Order = Callable[[str], Awaitable[Accepted | dict[str, Any]]]
"""By the client's name."""


class Outcome(Struct, frozen=True, kw_only=True):
    """For one client: ``accepted`` or ``plan``, or else ``refused``."""

    client: str
    accepted: Accepted | None = None
    plan: dict[str, Any] | None = None
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
    return request.app[DESK].fragment("outcome.html", request, outcomes=outcomes, missing="", dry=dry, image=image)


def tell_missing(request: web.Request, what: str) -> web.Response:
    """``what`` has to be chosen first."""
    return request.app[DESK].fragment("outcome.html", request, outcomes=[], missing=what, dry=False, image="")


async def _outcome(client: str, order: Order) -> Outcome:
    try:
        said = await order(client)
    except Refusal as refusal:
        return Outcome(client=client, refused=refusal.said)
    except OgCoreAway as away:
        return Outcome(client=client, refused=Refused(error=str(away)))
    return Outcome(client=client, accepted=said) if isinstance(said, Accepted) else Outcome(client=client, plan=said)
