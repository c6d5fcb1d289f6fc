"""What is known of the sessions of this PC, and what ogCore has yet to be told of them. It outlives the agent."""

from __future__ import annotations

import asyncio
import logging
import os
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from ogagent.ogcore.line import Notice
from ogagent.system.logind import Session

_log: Final = logging.getLogger(__name__)

LOGGED_IN: Final = "loggedin"
LOGGED_OUT: Final = "loggedout"
MOST_WAITING: Final = 1000
"""A classroom computer sees some thirty people a day."""


class Page(Struct, frozen=True, kw_only=True):
    """``users`` by their sessions, of the boot with this id; ``waiting`` in the order in which things happened."""

    boot: str = ""
    users: Mapping[str, str] = field(default_factory=dict)
    waiting: tuple[Notice, ...] = ()


class Surroundings(Struct, frozen=True, kw_only=True):
    """What ogCore is told with each login."""

    boot: str
    language: str
    osversion: str
    ostype: str = "Linux"


def turned(page: Page, sessions: Sequence[Session], here: Surroundings, event_id: Callable[[], str]) -> Page:
    """The next page: who was there, in another boot say, and is not any more has logged out."""
    there = {session.id: session for session in sessions}
    known = page.users if page.boot == here.boot else {}
    gone = [user for session, user in page.users.items() if session not in known or session not in there]
    come = [session for session in sessions if session.id not in known]
    notices = (
        *(Notice(event_id=event_id(), what=LOGGED_OUT, members={"user": user}) for user in gone),
        *(Notice(event_id=event_id(), what=LOGGED_IN, members=_members(session, here)) for session in come),
    )
    users = {session.id: session.user for session in sessions}
    return Page(boot=here.boot, users=users, waiting=(*page.waiting, *notices))


def _members(session: Session, here: Surroundings) -> dict[str, str]:
    return {
        "user": session.user,
        "language": here.language,
        "session": session.kind,
        "ostype": here.ostype,
        "osversion": here.osversion,
    }


class Ledger:
    """Implements ``ogagent.ogcore.line.Notices``. ``file`` is rewritten whole; what cannot be written, as the log says,
    counts as long as the agent lives.
    """

    def __init__(self, file: Path, here: Surroundings, event_id: Callable[[], str] = lambda: str(uuid.uuid4())) -> None:
        self._file = file
        self._here = here
        self._event_id = event_id
        self._page = Page()
        self._writing = asyncio.Lock()
        self.come = asyncio.Event()

    @property
    def first(self) -> Notice | None:
        return self._page.waiting[0] if self._page.waiting else None

    async def recall(self) -> None:
        """What an earlier agent has left."""
        try:
            self._page = msgspec.json.decode(await asyncio.to_thread(self._file.read_bytes), type=Page)
        except FileNotFoundError:
            pass
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            _log.error("%s cannot be read: nobody remembers who was logged in: %s", self._file, error)
        self.come.set()

    async def see(self, sessions: Sequence[Session]) -> None:
        page = turned(self._page, sessions, self._here, self._event_id)
        if page == self._page:
            return
        for notice in page.waiting[len(self._page.waiting) :]:
            _log.info("%s has %s", notice.members["user"], notice.what)
        if (many := len(page.waiting) - MOST_WAITING) > 0:
            _log.error("ogCore is away for too long: it will not be told of %d logins and logouts, the oldest", many)
            page = replace(page, waiting=page.waiting[many:])
        await self._turn(page)
        self.come.set()

    async def drop(self, notice: Notice) -> None:
        await self._turn(replace(self._page, waiting=tuple(each for each in self._page.waiting if each != notice)))

    async def _turn(self, page: Page) -> None:
        self._page = page
        try:
            async with self._writing:
                await asyncio.to_thread(_write, self._file, msgspec.json.encode(self._page))
        except OSError as error:
            _log.error("%s cannot be written: %s", self._file, error)


def _write(file: Path, content: bytes) -> None:
    """All of it is there afterwards, or what was there before."""
    part = file.with_suffix(".part")
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())
    part.replace(file)
