"""What can be done in somebody's session: a notification, and a program that runs as she does.

A notification is a call on her own bus (Desktop Notifications Specification 1.2), which lets in nobody but her: so it
is made by a program that runs as she does. ``busctl`` comes with systemd, as logind does, and takes each text as one
argument; ``notify-send`` may be missing, and hands markup on as markup.
"""

from __future__ import annotations

import asyncio
from html import escape
from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct

from ogagent.errors import ToolFailed
from ogagent.system import process
from ogagent.system.account import Account, account_of
from ogagent.system.logind import Session

_NAME: Final = "org.freedesktop.Notifications"
_PATH: Final = "/org/freedesktop/Notifications"
_MARKUP: Final = "body-markup"
_ASK_S: Final = 10.0


class Desktop(Protocol):
    async def account(self, session: Session) -> Account:
        """Whose session it is. Raises ToolFailed."""

    async def show(self, session: Session, title: str, message: str) -> None:
        """As text: nothing in it is markup. Raises ToolMissing, ToolFailed."""


class RealDesktop:
    """Implements ``Desktop``."""

    async def account(self, session: Session) -> Account:
        try:
            return await asyncio.to_thread(account_of, session.uid, session.display)
        except KeyError:
            raise ToolFailed(f"nobody has the number {session.uid}, of the session of {session.user}") from None

    async def show(self, session: Session, title: str, message: str) -> None:
        await notify(await self.account(session), title, message)


class _Answer(Struct, frozen=True):
    data: list[Any]


async def notify(account: Account, title: str, message: str) -> None:
    """Raises ToolMissing, ToolFailed. A desktop that knows markup shows it in a message, unless it is escaped; one that
    knows none would show what was escaped.
    """
    told = await _call(account, "GetCapabilities")
    body = escape(message, quote=False) if _MARKUP in told[0] else message
    # name, the notification that it replaces, icon, summary, body, no actions, no hints, and it stays as long as usual
    await _call(account, "Notify", "susssasa{sv}i", "OpenGnsys", "0", "", title, body, "0", "0", "-1")


async def _call(account: Account, method: str, *arguments: str) -> list[Any]:
    call = ["busctl", "--user", "--json=short", "call", "--", _NAME, _PATH, _NAME, method, *arguments]
    answer = await process.run(call, timeout_s=_ASK_S, account=account)
    try:
        return msgspec.json.decode(answer, type=_Answer).data
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ToolFailed(f"busctl answers nonsense: {error}") from error
