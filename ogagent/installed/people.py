"""Who is logged in on this PC; ogCore is told, and told in time when the machine goes down."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from ogagent.errors import AgentError, NobodyLoggedIn, SessionsUnknown
from ogagent.ogcore.retry import Random, delay_s
from ogagent.system.account import Account
from ogagent.system.desktop import Desktop
from ogagent.system.logind import Logind, Session

_log: Final = logging.getLogger(__name__)


class Witness(Protocol):
    """Who remembers, and tells ogCore."""

    async def see(self, sessions: Sequence[Session]) -> None:
        """All that there are."""


class Nobody:
    """For an agent without an ogCore."""

    async def see(self, sessions: Sequence[Session]) -> None: ...


class People:
    """Implements ``ogagent.system.logind.Attendant``."""

    def __init__(
        self,
        logind: Logind,
        desktop: Desktop,
        witness: Witness,
        farewell: Callable[[float], Awaitable[None]],
        welcome: Callable[[], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Random = random.random,
    ) -> None:
        """``farewell`` tells ogCore, within so many seconds, that this agent goes; ``welcome`` that it stays."""
        self.sessions: tuple[Session, ...] = ()
        self._logind = logind
        self._desktop = desktop
        self._witness = witness
        self._farewell = farewell
        self._welcome = welcome
        self._sleep = sleep
        self._jitter = jitter
        self._attempts = 0

    @property
    def logged_in(self) -> bool:
        return bool(self.sessions)

    async def present(self, sessions: Sequence[Session]) -> None:
        if self._attempts:
            _log.info("systemd-logind tells again who is logged in")
        self._attempts = 0
        self.sessions = tuple(sessions)
        await self._witness.see(sessions)

    async def leaving(self, patience_s: float) -> None:
        _log.info("the machine goes down: ogCore is told")
        await self._farewell(patience_s)

    async def staying(self) -> None:
        _log.info("the machine does not go down after all")
        self._welcome()

    async def run(self) -> None:
        """Runs until cancelled. While nobody can be asked, whoever was logged in counts as logged in."""
        while True:
            reason = "it has ended"
            try:
                await self._logind.attend(self)
            except SessionsUnknown as error:
                reason = error.message
            self._attempts += 1
            pause_s = delay_s(self._attempts, 0.0, self._jitter)
            level = logging.WARNING if self._attempts == 1 else logging.DEBUG
            _log.log(level, "who is logged in is not known, again in %.1f s: %s", pause_s, reason)
            await self._sleep(pause_s)

    async def log_off(self) -> int:
        """Ends all sessions, and says how many. Raises SessionsUnknown."""
        sessions = self.sessions
        for session in sessions:
            await self._logind.end(session)
        return len(sessions)

    async def show(self, title: str, message: str) -> int:
        """To everybody with a desktop, and once, however many sessions are hers. Says how many have it."""
        desktops = {session.uid: session for session in self.sessions if session.graphical}
        shown = [await self._shown(session, title, message) for session in desktops.values()]
        return shown.count(True)

    async def _shown(self, session: Session, title: str, message: str) -> bool:
        try:
            await self._desktop.show(session, title, message)
        except AgentError as error:
            _log.warning("%s cannot be shown a message: %s", session.user, error.message)
            return False
        return True

    async def at_the_desk(self) -> Account:
        """Whose session is in front, if any is, rather than somebody's from afar. Raises NobodyLoggedIn, ToolFailed."""
        if not self.sessions:
            raise NobodyLoggedIn("nobody is logged in on this PC", hint="without client it runs as root")
        front = max(self.sessions, key=lambda session: (session.active and session.graphical, session.graphical))
        return await self._desktop.account(front)
