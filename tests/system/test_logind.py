"""What logind says, over a real bus."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import pytest
from dbus_fast import Message

from ogagent.errors import SessionsUnknown
from ogagent.system.logind import MANAGER, NAME, PATH, SESSION, RealLogind, Session
from tests.system.logind_twin import Bus, LogindTwin, person, private_bus

BUS = "org.freedesktop.DBus"


@pytest.fixture
async def bus() -> AsyncIterator[Bus]:
    async with private_bus() as bus:
        yield bus


@pytest.fixture
async def twin(bus: Bus) -> LogindTwin:
    twin = LogindTwin()
    await twin.come(bus)
    return twin


class Listener:
    """Implements ``Attendant``, and writes down what it is told."""

    def __init__(self) -> None:
        self.sessions: tuple[Session, ...] | None = None
        self.told: list[str] = []
        self.patience_s = 0.0
        self.may_leave = asyncio.Event()
        self._changed = asyncio.Condition()

    async def present(self, sessions: Sequence[Session]) -> None:
        await self._note(lambda: setattr(self, "sessions", tuple(sessions)))

    async def leaving(self, patience_s: float) -> None:
        self.patience_s = patience_s
        await self._note(lambda: self.told.append("leaving"))
        await self.may_leave.wait()

    async def staying(self) -> None:
        await self._note(lambda: self.told.append("staying"))

    async def until(self, true: Callable[[], bool]) -> None:
        async with self._changed:
            await asyncio.wait_for(self._changed.wait_for(true), 300)

    async def until_there(self, *users: str) -> None:
        await self.until(lambda: self.sessions is not None and sorted(self.users()) == sorted(users))

    def users(self) -> list[str]:
        return [session.user for session in self.sessions or ()]

    async def _note(self, note: Callable[[], object]) -> None:
        async with self._changed:
            note()
            self._changed.notify_all()


@asynccontextmanager
async def attended(bus: Bus) -> AsyncIterator[tuple[Listener, asyncio.Task[None]]]:
    listener = Listener()
    task = asyncio.create_task(RealLogind(bus.address).attend(listener))
    try:
        yield listener, task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, SessionsUnknown):
            await task


async def test_who_is_there_comes_and_goes(bus: Bus, twin: LogindTwin) -> None:
    twin.sessions["2"] = {"Id": "2", **person("ana", 1000, Display=":0", Type="x11")}
    async with attended(bus) as (listener, _):
        await listener.until_there("ana")
        assert listener.sessions == (Session(id="2", uid=1000, user="ana", kind="x11", display=":0", active=True),)
        twin.log_in("c3", **person("luis", 1001, Type="tty", Active=False))
        await listener.until_there("ana", "luis")
        assert [session.graphical for session in listener.sessions or ()] == [True, False]
        twin.log_out("2")
        await listener.until_there("luis")


@pytest.mark.parametrize("kind", ["greeter", "lock-screen", "background", "manager", "user-early"])
async def test_who_is_nobody(bus: Bus, twin: LogindTwin, kind: str) -> None:
    async with attended(bus) as (listener, _):
        twin.log_in("c1", **person("gdm", 120, Class=kind))
        twin.log_in("2", **person("ana", 1000))
        await listener.until_there("ana")


async def test_who_is_closing_has_logged_out(bus: Bus, twin: LogindTwin) -> None:
    """What she has left running keeps the session for a while."""
    async with attended(bus) as (listener, _):
        twin.log_in("2", **person("ana", 1000))
        await listener.until_there("ana")
        twin.change("2", State="closing", Active=False)
        await listener.until_there()


async def test_who_goes_while_it_is_asked(bus: Bus, twin: LogindTwin) -> None:
    twin.sessions["2"] = {"Id": "2", **person("ana", 1000)}
    twin.sessions["3"] = {"Id": "3", **person("luis", 1001)}
    twin.hidden.add("2")
    async with attended(bus) as (listener, _):
        await listener.until_there("luis")


async def test_a_session_is_ended(bus: Bus, twin: LogindTwin) -> None:
    async with attended(bus) as (listener, _):
        twin.log_in("2", **person("ana", 1000))
        await listener.until_there("ana")
        assert listener.sessions is not None
        (session,) = listener.sessions
        await RealLogind(bus.address).end(session)
        await listener.until_there()
        await RealLogind(bus.address).end(session)
    assert twin.ended == ["2"]


# --- the machine goes down ----------------------------------------------------------------------------------------


async def test_it_does_not_go_down_before_that_was_told(bus: Bus, twin: LogindTwin) -> None:
    async with attended(bus) as (listener, _):
        lock = await twin.lock(0)
        assert (lock.what[0], lock.what[1], lock.what[3]) == ("shutdown", "ogagent", "delay")
        await listener.until_there()
        twin.go_down()
        await listener.until(lambda: listener.told == ["leaving"])
        assert lock.held
        assert listener.patience_s == 0.8 * twin.patience_s
        listener.may_leave.set()
        await lock.released()
        assert len(twin.locks) == 1


async def test_it_stays_after_all(bus: Bus, twin: LogindTwin) -> None:
    async with attended(bus) as (listener, _):
        first = await twin.lock(0)
        await listener.until_there()
        listener.may_leave.set()
        twin.go_down()
        await first.released()
        twin.go_down(going=False)
        second = await twin.lock(1)
        await listener.until(lambda: listener.told == ["leaving", "staying"])
        assert second.held


async def test_the_lock_goes_with_whoever_holds_it(bus: Bus, twin: LogindTwin) -> None:
    async with attended(bus) as (listener, _):
        lock = await twin.lock(0)
        await listener.until_there()
    await lock.released()


async def test_nobody_else_says_so(bus: Bus, twin: LogindTwin) -> None:
    """Every user may send a signal to a connection that she knows the name of; the names are no secret."""
    async with attended(bus) as (listener, _):
        await listener.until_there()
        stranger = await bus.connect()
        own = await stranger.call(
            Message(destination=BUS, path=f"/{BUS.replace('.', '/')}", interface=BUS, member="ListNames")
        )
        assert own is not None
        for name in own.body[0]:
            for member, signature, body in (
                ("PrepareForShutdown", "b", [True]),
                ("NameOwnerChanged", "sss", [NAME, "", stranger.unique_name]),
            ):
                signal = Message.new_signal(PATH, MANAGER, member, signature, body)
                signal.destination = name
                await stranger.send(signal)
        await stranger.call(Message(destination=BUS, path="/", interface="org.freedesktop.DBus.Peer", member="Ping"))
        twin.log_in("2", **person("ana", 1000))
        await listener.until_there("ana")
        assert listener.told == []
        assert len(twin.locks) == 1


# --- and what goes wrong ------------------------------------------------------------------------------------------


async def test_logind_starts_anew(bus: Bus, twin: LogindTwin) -> None:
    """Meanwhile whoever was logged in still is."""
    async with attended(bus) as (listener, task):
        twin.log_in("2", **person("ana", 1000))
        await listener.until_there("ana")
        first = await twin.lock(0)
        await twin.go()
        again = LogindTwin()
        again.sessions = {**twin.sessions, "3": {"Id": "3", **person("luis", 1001)}}
        await again.come(bus)
        await listener.until_there("ana", "luis")
        await again.lock(0)
        await first.released()
        assert not task.done()


async def test_a_bus_that_goes_away(bus: Bus, twin: LogindTwin) -> None:
    async with attended(bus) as (listener, task):
        lock = await twin.lock(0)
        await listener.until_there()
        await bus.stop()
        with suppress(SessionsUnknown):
            await asyncio.wait_for(task, 300)
        await lock.released()


async def test_there_is_no_bus(bus: Bus) -> None:
    await bus.stop()
    with pytest.raises(SessionsUnknown, match="the system bus does not answer"):
        await RealLogind(bus.address).attend(Listener())


async def test_there_is_no_logind(bus: Bus) -> None:
    with pytest.raises(SessionsUnknown, match="systemd-logind refuses Get"):
        await RealLogind(bus.address).attend(Listener())
    with pytest.raises(SessionsUnknown, match="systemd-logind refuses TerminateSession"):
        await RealLogind(bus.address).end(Session(id="2", uid=1000, user="ana", kind="tty"))


# --- the twin -----------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not shutil.which("busctl"), reason="busctl is not installed (package systemd)")
async def test_systemds_own_tool_reads_the_twin(bus: Bus, twin: LogindTwin) -> None:
    """In the types of org.freedesktop.login1(5)."""
    twin.sessions["2"] = {"Id": "2", **person("ana", 1000)}

    async def busctl(path: str, interface: str, *words: str) -> str:
        call = ("busctl", f"--address={bus.address}", "call", NAME, path, interface, *words)
        process = await asyncio.create_subprocess_exec(
            *call, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        said, _ = await asyncio.wait_for(process.communicate(), 300)
        return said.decode().strip()

    session = f"{PATH}/session/_32"
    assert await busctl(PATH, MANAGER, "ListSessions") == f'a(susso) 1 "2" 1000 "ana" "seat0" "{session}"'
    told = await busctl(session, "org.freedesktop.DBus.Properties", "GetAll", "s", SESSION)
    assert told.startswith("a{sv} ")
    for part in (f'"User" (uo) 1000 "{PATH}/user/_1000"', '"Class" s "user"', '"Active" b true'):
        assert part in told
    inhibit = ("Inhibit", "ssss", "shutdown", "somebody", "why", "delay")
    assert await busctl(PATH, MANAGER, *inhibit) == "h 4"
    await (await twin.lock(0)).released()
    assert await busctl(PATH, MANAGER, "TerminateSession", "s", "2") == ""
    assert twin.ended == ["2"]
    assert await busctl(PATH, MANAGER, "TerminateSession", "s", "2") == "Call failed: No session '2' known"
