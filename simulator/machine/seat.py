"""The seat of a PC that is simulated: who sits at it, and the switch that somebody may lean on."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web
from msgspec.structs import replace

from ogagent.system.account import Account, account_of
from ogagent.system.logind import Attendant, Session

_log: Final = logging.getLogger(__name__)

STUDENT: Final = "alumno"
_GOODBYE_S: Final = 0.5
_PATIENCE_S: Final = 5.0


class Seat:
    """Implements ``ogagent.system.logind.Logind``. ``ended`` are the sessions that were to be."""

    def __init__(self) -> None:
        self.ended: list[str] = []
        self._sessions: dict[str, Session] = {}
        self._number = 0
        self._news = asyncio.Event()
        self._leaving: list[asyncio.Future[None]] = []

    def log_in(self, user: str = STUDENT, kind: str = "wayland") -> Session:
        self._number += 1
        session = Session(id=str(self._number), uid=1000, user=user, kind=kind, active=True)
        self._sessions[session.id] = session
        self._news.set()
        return session

    def log_out(self) -> None:
        """Everybody."""
        self._sessions.clear()
        self._news.set()

    async def go_down(self) -> None:
        """Returns when whoever attends has no objection any more."""
        free = asyncio.get_running_loop().create_future()
        self._leaving.append(free)
        self._news.set()
        await free

    async def attend(self, attendant: Attendant) -> None:
        while True:
            self._news.clear()
            await attendant.present(list(self._sessions.values()))
            while self._leaving:
                await attendant.leaving(_PATIENCE_S)
                self._leaving.pop(0).set_result(None)
            await self._news.wait()

    async def end(self, session: Session) -> None:
        self.ended.append(session.id)
        self._sessions.pop(session.id, None)
        self._news.set()


class SeatWithKeyboard(Seat):
    """``POST /lab/login`` and ``/lab/logout`` stand for a person at the keyboard, as long as anybody attends."""

    def __init__(self, address: str, port: int) -> None:
        super().__init__()
        self._place = (address, port)

    async def attend(self, attendant: Attendant) -> None:
        async with self._keyboard():
            await super().attend(attendant)

    @asynccontextmanager
    async def _keyboard(self) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_post("/lab/login", self._login)
        app.router.add_post("/lab/logout", self._logout)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_GOODBYE_S)
        await runner.setup()
        try:
            await web.TCPSite(runner, *self._place).start()
            yield
        finally:
            await runner.cleanup()

    async def _login(self, _: web.Request) -> web.Response:
        """One person at a time."""
        if not self._sessions:
            self.log_in()
        return web.Response(status=204)

    async def _logout(self, _: web.Request) -> web.Response:
        self.log_out()
        return web.Response(status=204)


class SeatDesktop:
    """Implements ``ogagent.system.desktop.Desktop``. ``shown``: to whom, and what. Scripts run as who runs the lab."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, str, str]] = []

    async def account(self, session: Session) -> Account:
        return replace(await asyncio.to_thread(account_of, os.geteuid(), session.display), name=session.user)

    async def show(self, session: Session, title: str, message: str) -> None:
        self.shown.append((session.user, title, message))
        _log.info("%s sees: %s: %s", session.user, title, message)
