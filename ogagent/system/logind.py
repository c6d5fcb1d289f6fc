"""Who is logged in, and when the machine goes down: what systemd-logind says over D-Bus, org.freedesktop.login1(5)."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, Protocol

from dbus_fast import AuthError, DBusError, InvalidAddressError, Message, MessageType
from dbus_fast.aio import MessageBus
from dbus_fast.constants import BusType
from msgspec import Struct

from ogagent.errors import SessionsUnknown

NAME: Final = "org.freedesktop.login1"
PATH: Final = "/org/freedesktop/login1"
MANAGER: Final = f"{NAME}.Manager"
SESSION: Final = f"{NAME}.Session"
_BUS: Final = "org.freedesktop.DBus"
_BUS_PATH: Final = "/org/freedesktop/DBus"
_PROPERTIES: Final = f"{_BUS}.Properties"
_GRAPHICAL: Final = frozenset({"x11", "wayland", "mir"})
_RULES: Final = (
    f"type='signal',sender='{NAME}',path_namespace='{PATH}'",
    f"type='signal',sender='{_BUS}',member='NameOwnerChanged',arg0='{NAME}'",
)
_GONE: Final = frozenset({f"{_BUS}.Error.UnknownObject", f"{NAME}.NoSuchSession"})
"""A session that has ended since it was told of."""
_ANSWER_S: Final = 10.0
_SHARE: Final = 0.8
"""Of the time that logind waits, usually 5 s (InhibitDelayMaxSec in logind.conf)."""
_LOOK_EVERY_S: Final = 15.0
"""A session that is closing does not say so: its State has no signal of its own."""


class Session(Struct, frozen=True, kw_only=True):
    """``kind`` as logind has it: ``tty``, ``x11``, ``wayland``, …; ``display`` that of X11, ``:0`` say, or empty."""

    id: str
    uid: int
    user: str
    kind: str
    display: str = ""
    active: bool = False

    @property
    def graphical(self) -> bool:
        return self.kind in _GRAPHICAL


class Attendant(Protocol):
    """Who is told."""

    async def present(self, sessions: Sequence[Session]) -> None:
        """All sessions of people, at the beginning and whenever something may have changed."""

    async def leaving(self, patience_s: float) -> None:
        """The machine goes down when this returns, or soon after so many seconds."""

    async def staying(self) -> None:
        """It does not go down after all."""


class Logind(Protocol):
    async def attend(self, attendant: Attendant) -> None:
        """Returns when logind, or the bus, cannot be asked any more. Raises SessionsUnknown when it never could."""

    async def end(self, session: Session) -> None:
        """Also when it has ended by itself. Raises SessionsUnknown."""


class RealLogind:
    """Implements ``Logind``. ``address`` of the bus; empty: that of the system."""

    def __init__(self, address: str = "") -> None:
        self._address = address

    async def attend(self, attendant: Attendant) -> None:
        async with self._bus() as bus:
            await _Watch(bus, attendant).run()

    async def end(self, session: Session) -> None:
        async with self._bus() as bus:
            with suppress(_NoSession):
                await _ask(bus, PATH, MANAGER, "TerminateSession", "s", session.id)

    @asynccontextmanager
    async def _bus(self) -> AsyncIterator[MessageBus]:
        try:
            bus = MessageBus(self._address or None, BusType.SYSTEM, negotiate_unix_fd=True)
            async with asyncio.timeout(_ANSWER_S):
                await bus.connect()
        except (OSError, AuthError, InvalidAddressError, EOFError) as error:  # TimeoutError is an OSError
            raise SessionsUnknown(f"the system bus does not answer: {error}", hint="systemctl status dbus") from error
        try:
            yield bus
        finally:
            bus.disconnect()


class _NoSession(Exception):
    """It is not there any more."""


async def _ask(bus: MessageBus, path: str, interface: str, member: str, signature: str = "", *body: object) -> Message:
    """Raises SessionsUnknown, _NoSession."""
    name = _BUS if interface == _BUS else NAME
    message = Message(
        destination=name, path=path, interface=interface, member=member, signature=signature, body=list(body)
    )
    try:
        async with asyncio.timeout(_ANSWER_S):
            answer = await bus.call(message)
    except (OSError, EOFError, DBusError) as error:
        raise SessionsUnknown(f"systemd-logind does not answer: {error}", hint=_HINT) from error
    if answer.message_type is not MessageType.ERROR:
        return answer
    if answer.error_name in _GONE:
        raise _NoSession
    raise SessionsUnknown(f"systemd-logind refuses {member}: {answer.error_name}", hint=_HINT)


_HINT: Final = "systemctl status systemd-logind"


class _Watch:
    """``_stale``: what is known of sessions may not be true any more. ``_going``: None when there is no news of it."""

    def __init__(self, bus: MessageBus, attendant: Attendant) -> None:
        self._bus = bus
        self._attendant = attendant
        self._news = asyncio.Event()
        self._stale = True
        self._owner = ""
        self._new_owner = False
        self._going: bool | None = None
        self._lock = -1
        self._patience_s = 0.0

    async def run(self) -> None:
        self._bus.add_message_handler(self._hear)
        for rule in _RULES:
            await _ask(self._bus, _BUS_PATH, _BUS, "AddMatch", "s", rule)
        told = await _ask(self._bus, PATH, _PROPERTIES, "Get", "ss", MANAGER, "InhibitDelayMaxUSec")
        self._patience_s = told.body[0].value / 1e6
        # Before the lock is taken: whoever lets go of it must have heard why.
        self._owner = (await _ask(self._bus, _BUS_PATH, _BUS, "GetNameOwner", "s", NAME)).body[0]
        await self._hold()
        gone = asyncio.ensure_future(_end_of(self._bus))
        gone.add_done_callback(lambda _: self._news.set())
        try:
            while not gone.done():
                self._news.clear()
                await self._deal()
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_EVERY_S):
                        await self._news.wait()
                        continue
                self._stale = True
        finally:
            self._bus.remove_message_handler(self._hear)
            self._release()
            gone.cancel()
            await asyncio.wait({gone})

    def _hear(self, message: Message) -> None:
        """Anybody may send a signal to this very connection, whatever it says: it counts by who has sent it."""
        if message.message_type is not MessageType.SIGNAL or message.sender not in (self._owner, _BUS):
            return
        if message.sender == _BUS:
            if message.member != "NameOwnerChanged" or message.body[0] != NAME:
                return
            # While nobody has the name, logind starts anew: sessions go on meanwhile.
            self._owner = message.body[2]
            self._new_owner = bool(self._owner)
        elif message.member == "PrepareForShutdown":
            self._going = bool(message.body[0])
        if self._owner:
            self._stale = True
            self._news.set()

    async def _deal(self) -> None:
        if self._new_owner:
            self._new_owner = False
            await self._hold()
        if self._stale:
            self._stale = False
            await self._attendant.present(await self._sessions())
        if self._going is None:
            return
        going, self._going = self._going, None
        if going:
            try:
                await self._attendant.leaving(_SHARE * self._patience_s)
            finally:
                self._release()
        else:
            await self._hold()
            await self._attendant.staying()

    async def _hold(self) -> None:
        """The machine does not go down before this descriptor is closed."""
        why = "ogCore is told that this PC goes down"
        answer = await _ask(self._bus, PATH, MANAGER, "Inhibit", "ssss", "shutdown", "ogagent", why, "delay")
        self._release()
        self._lock = answer.unix_fds[answer.body[0]]

    def _release(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
        self._lock = -1

    async def _sessions(self) -> list[Session]:
        answer = await _ask(self._bus, PATH, MANAGER, "ListSessions")
        found = []
        for _, _, _, _, path in answer.body[0]:
            with suppress(_NoSession):
                told = await _ask(self._bus, path, _PROPERTIES, "GetAll", "s", SESSION)
                found.append({name: value.value for name, value in told.body[0].items()})
        return [_session(each) for each in found if _counts(each)]


async def _end_of(bus: MessageBus) -> None:
    """Returns however it ends."""
    with suppress(Exception):
        await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]


def _counts(session: dict[str, Any]) -> bool:
    """Greeters, lock screens and services are nobody; who is closing has logged out, whatever of it still runs."""
    return session.get("Class") == "user" and session.get("State") != "closing"


def _session(properties: dict[str, Any]) -> Session:
    return Session(
        id=str(properties["Id"]),
        uid=int(properties["User"][0]),
        user=str(properties["Name"]),
        kind=str(properties.get("Type", "")),
        display=str(properties.get("Display", "")),
        active=bool(properties.get("Active", False)),
    )
