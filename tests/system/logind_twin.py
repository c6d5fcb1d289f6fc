"""systemd-logind on a bus of the test's own: what it is told is written down, and who asks is answered as it would."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest
from dbus_fast import Message, Variant
from dbus_fast.aio import MessageBus
from dbus_fast.constants import NameFlag

from ogagent.system.logind import MANAGER, NAME, PATH, SESSION

_CONFIG: Final = """<busconfig>
  <type>system</type>
  <listen>%s</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
  </policy>
</busconfig>
"""


class Bus:
    """A real dbus-daemon. It can go away and come back at the same place. ``connect`` is for those of the test, which
    end with it.
    """

    def __init__(self, folder: Path) -> None:
        self.address = f"unix:path={quote(str(folder / 'bus'))}"
        self._config = folder / "bus.conf"
        self._config.write_text(_CONFIG % self.address, encoding="utf-8")
        self._daemon: asyncio.subprocess.Process | None = None
        self._connections: list[MessageBus] = []

    async def connect(self) -> MessageBus:
        connection = await MessageBus(self.address, negotiate_unix_fd=True).connect()
        self._connections.append(connection)
        return connection

    async def start(self) -> None:
        command = ("dbus-daemon", f"--config-file={self._config}", "--nofork", "--nopidfile", "--print-address")
        self._daemon = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        assert self._daemon.stdout is not None
        assert await asyncio.wait_for(self._daemon.stdout.readline(), 300)

    async def stop(self) -> None:
        for connection in self._connections:
            connection.disconnect()
            await asyncio.wait({asyncio.ensure_future(_end_of(connection))})
        self._connections.clear()
        if self._daemon is not None:
            self._daemon.kill()
            await self._daemon.wait()
        self._daemon = None


async def _end_of(connection: MessageBus) -> None:
    with suppress(Exception):
        await connection.wait_for_disconnect()  # type: ignore[no-untyped-call]


@asynccontextmanager
async def private_bus() -> AsyncIterator[Bus]:
    """In a directory of its own: the address of a socket has to be short."""
    if shutil.which("dbus-daemon") is None:
        pytest.skip("dbus-daemon is not installed (package dbus-daemon)")
    with tempfile.TemporaryDirectory(prefix="bus-") as folder:
        bus = Bus(Path(folder))
        await bus.start()
        try:
            yield bus
        finally:
            await bus.stop()


def person(user: str, uid: int, **more: Any) -> dict[str, Any]:
    """The properties of a session, as far as anybody asks."""
    usual = {"Class": "user", "State": "active", "Type": "wayland", "Active": True, "Display": "", "Remote": False}
    return {
        "Name": user,
        "User": [uid, f"{PATH}/user/_{uid}"],
        "Seat": ["seat0", f"{PATH}/seat/seat0"],
        **usual,
        **more,
    }


_SIGNATURES: Final = {"User": "(uo)", "Seat": "(so)", "Active": "b", "Remote": "b"}


class Lock:
    """One that somebody has taken, and holds until ``released``."""

    def __init__(self, what: list[str]) -> None:
        self.what = what
        self._end, self.given = os.pipe()

    async def released(self) -> None:
        """Returns when it is; the descriptor that was given has then no copy any more."""
        loop = asyncio.get_running_loop()
        free: asyncio.Future[None] = loop.create_future()
        loop.add_reader(self._end, free.cancel)
        try:
            await asyncio.wait_for(asyncio.wait({free}), 300)
        finally:
            loop.remove_reader(self._end)
        os.close(self._end)

    @property
    def held(self) -> bool:
        os.set_blocking(self._end, False)
        try:
            return bool(os.read(self._end, 1))
        except BlockingIOError:
            return True


class LogindTwin:
    """``sessions`` by id. ``locks`` are all that were ever taken, ``ended`` the sessions that were to be."""

    def __init__(self) -> None:
        self.sessions: dict[str, dict[str, Any]] = {}
        self.hidden: set[str] = set()
        """Sessions that are in the list, and gone when they are asked for."""
        self.locks: list[Lock] = []
        self.ended: list[str] = []
        self.patience_s = 300
        self.locked = asyncio.Event()
        self._bus: MessageBus | None = None
        self._answers: set[asyncio.Task[None]] = set()

    async def come(self, bus: Bus) -> None:
        self._bus = await bus.connect()
        self._bus.add_message_handler(self._answer)
        await self._bus.request_name(NAME, NameFlag.DO_NOT_QUEUE)

    async def go(self) -> None:
        """As at a restart: sessions stay, and so does whoever holds a lock."""
        assert self._bus is not None
        self._bus.disconnect()
        self._bus = None

    def log_in(self, session: str, **properties: Any) -> None:
        self.sessions[session] = {"Id": session, **properties}
        self._tell("SessionNew", "so", session, self._path(session))

    def log_out(self, session: str) -> None:
        del self.sessions[session]
        self._tell("SessionRemoved", "so", session, self._path(session))

    def change(self, session: str, **properties: Any) -> None:
        """Of what has changed logind tells that of Active alone."""
        self.sessions[session] |= properties
        changed = {"Active": Variant("b", self.sessions[session]["Active"])}
        interface = "org.freedesktop.DBus.Properties"
        self._send(self._path(session), interface, "PropertiesChanged", "sa{sv}as", SESSION, changed, list[str]())

    def go_down(self, *, going: bool = True) -> None:
        self._tell("PrepareForShutdown", "b", going)

    async def lock(self, number: int) -> Lock:
        """The one of that number, from 0, once it is taken."""
        while len(self.locks) <= number:
            self.locked.clear()
            await asyncio.wait_for(self.locked.wait(), 300)
        return self.locks[number]

    def _path(self, session: str) -> str:
        """A number must not begin a name: sd_bus_path_encode(3)."""
        return f"{PATH}/session/_3{session}" if session[:1].isdigit() else f"{PATH}/session/{session}"

    def _tell(self, member: str, signature: str, *body: object) -> None:
        self._send(PATH, MANAGER, member, signature, *body)

    def _send(self, path: str, interface: str, member: str, signature: str, *body: object) -> None:
        assert self._bus is not None
        self._bus.send(Message.new_signal(path, interface, member, signature, list(body)))

    def _answer(self, message: Message) -> Message | bool | None:
        if message.member == "Inhibit":
            self._inhibit(message)
            return True
        match message.member:
            case "ListSessions":
                return Message.new_method_return(message, "a(susso)", [[self._row(each) for each in self.sessions]])
            case "GetAll":
                return self._properties(message)
            case "TerminateSession":
                return self._terminate(message)
            case "Get" if message.body == [MANAGER, "InhibitDelayMaxUSec"]:
                return Message.new_method_return(message, "v", [Variant("t", self.patience_s * 1_000_000)])
        return None

    def _row(self, session: str) -> list[Any]:
        known = self.sessions[session]
        return [session, known["User"][0], known["Name"], "seat0", self._path(session)]

    def _properties(self, message: Message) -> Message:
        for session, known in self.sessions.items():
            if self._path(session) == message.path and session not in self.hidden:
                told = {name: Variant(_SIGNATURES.get(name, "s"), value) for name, value in known.items()}
                return Message.new_method_return(message, "a{sv}", [told])
        return Message.new_error(message, "org.freedesktop.DBus.Error.UnknownObject", "Unknown object")

    def _terminate(self, message: Message) -> Message:
        session = message.body[0]
        if session not in self.sessions:
            return Message.new_error(message, f"{NAME}.NoSuchSession", f"No session '{session}' known")
        self.ended.append(session)
        self.log_out(session)
        return Message.new_method_return(message)

    def _inhibit(self, message: Message) -> None:
        lock = Lock(message.body)
        answer = asyncio.create_task(self._give(message, lock))
        self._answers.add(answer)
        answer.add_done_callback(self._answers.discard)

    async def _give(self, message: Message, lock: Lock) -> None:
        assert self._bus is not None
        await self._bus.send(Message.new_method_return(message, "h", [0], [lock.given]))
        os.close(lock.given)
        self.locks.append(lock)
        self.locked.set()
