"""Sessions over HTTP, as ogRepository has them: ``/ogrepository/v1/udpcast``, ``uftp`` and ``p2p``."""

from __future__ import annotations

from typing import Final

import msgspec
from aiohttp import web

from simulator.repository.crowd.engines import ENGINES, Engine
from simulator.repository.crowd.sessions import Session, Sessions
from simulator.repository.crowd.wanted import SessionRefused, read_wanted

PREFIX: Final = "/ogrepository/v1"
_ENGINE: Final = PREFIX + "/{engine:udpcast|uftp|p2p}"


class SessionCalls:
    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def add_routes(self, app: web.Application) -> None:
        app.router.add_post(_ENGINE, self._begin)
        app.router.add_get(_ENGINE, self._list)
        app.router.add_get(_ENGINE + "/{id}", self._show)
        app.router.add_delete(_ENGINE + "/{id}", self._cancel)

    async def _begin(self, request: web.Request) -> web.Response:
        try:
            session = await self._sessions.begin(_engine(request), read_wanted(await request.read()))
        except SessionRefused as refusal:
            return web.json_response(refusal.said, status=refusal.status)
        return _as_json(session, status=201)

    async def _list(self, request: web.Request) -> web.Response:
        """Those that run, and the last ones that have ended, oldest first."""
        engine = _engine(request)
        views = [session.view() for session in self._sessions.all() if session.engine is engine]
        return web.json_response(body=msgspec.json.encode({"sessions": views}))

    async def _show(self, request: web.Request) -> web.Response:
        session = self._session(request)
        return _as_json(session) if session else _unknown()

    async def _cancel(self, request: web.Request) -> web.Response:
        """One that has ended stays as it is."""
        session = self._session(request)
        if session is None:
            return _unknown()
        await self._sessions.cancel(session)
        return _as_json(session)

    def _session(self, request: web.Request) -> Session | None:
        session = self._sessions.named(request.match_info["id"])
        return session if session and session.engine is _engine(request) else None


def _engine(request: web.Request) -> Engine:
    return ENGINES[request.match_info["engine"]]


def _as_json(session: Session, *, status: int = 200) -> web.Response:
    return web.json_response(body=msgspec.json.encode(session.view()), status=status)


def _unknown() -> web.Response:
    return web.json_response({"error": "there is no such session"}, status=404)
