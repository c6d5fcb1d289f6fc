"""A deployment to the clients of a room at once: one session at the repository for all, when the method needs one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, Struct
from msgspec.structs import replace

from simulator.ogcore.answers import BAD_GATEWAY, as_json, error
from simulator.ogcore.clients import Client
from simulator.ogcore.deployments import Deployment, Deployments
from simulator.ogcore.dispatch import Dispatch
from simulator.ogcore.images import RepositoryUnreachable
from simulator.ogcore.sessions import ENGINES, Session, SessionOptions, SessionRefused, Sessions

MOST_CLIENTS: Final = 1000
_PASSED_ON: Final = {400, 404, 409, 503}


class RoomDeployment(Deployment, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The same for several clients, by name. ``session`` is for a method that needs one."""

    clients: Annotated[tuple[str, ...], Meta(min_length=1, max_length=MOST_CLIENTS)]
    session: SessionOptions = SessionOptions()


class Given(Struct, frozen=True):
    """What became of the orders, one answer for each client, in their order."""

    session: Session | None
    answers: Sequence[web.Response]


class Rooms:
    def __init__(self, deployments: Deployments, dispatch: Dispatch, sessions: Sessions) -> None:
        self._deployments = deployments
        self._dispatch = dispatch
        self._sessions = sessions

    async def deploy(
        self, clients: Sequence[Client], wanted: Deployment, options: SessionOptions
    ) -> Given | web.Response:
        """Or why nothing was ordered of anybody. The session is there before the agents are called."""
        orders = await self._deployments.orders([client.name for client in clients], wanted)
        if isinstance(orders, web.Response):
            return orders
        present = sum(client.agent is not None for client in clients)
        session = None
        if wanted.method.lower() in ENGINES and present:
            try:
                session = await self._begin(wanted, options, present)
            except SessionRefused as refusal:
                status = refusal.status if refusal.status in _PASSED_ON else BAD_GATEWAY
                return as_json(refusal.said, status=status)
            except RepositoryUnreachable as why:
                return error(BAD_GATEWAY, str(why))
            orders = [
                replace(order, members=order.members | {"method": session.method}, session=session.id)
                for order in orders
            ]
        answers: list[web.Response] = []
        try:
            pairs = zip(clients, orders, strict=True)
            answers = await asyncio.gather(*(self._dispatch.give(client, order) for client, order in pairs))
        finally:
            if session:
                self._sessions.watch(session, [number for answer in answers if (number := _trace(answer))])
        return Given(session, answers)

    async def _begin(self, wanted: Deployment, options: SessionOptions, present: int) -> Session:
        """Nobody is waited for who is off."""
        if options.clients is UNSET:
            options = replace(options, clients=present)
        return await self._sessions.begin(wanted.method.lower(), wanted.image, options)


def members_of(answer: web.Response) -> dict[str, Any]:
    return msgspec.json.decode(answer.text or "{}", type=dict[str, Any])


def _trace(answer: web.Response) -> str:
    return str(members_of(answer).get("trace", ""))
