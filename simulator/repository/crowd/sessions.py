"""The sessions in which one image goes to many at once: what runs, how it ended, and that nothing outlives it."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from simulator.children import Child, start_child
from simulator.errors import ToolMissing
from simulator.processes import demand
from simulator.repository.catalogue import Catalogue
from simulator.repository.crowd.engines import Engine
from simulator.repository.crowd.torrents import Torrents
from simulator.repository.crowd.wanted import Place, Plan, SessionRefused, Wanted, plan, ports_to_try
from simulator.repository.names import IMAGE_SUFFIX, LOCK_SUFFIX, beside

State = Literal["waiting", "sending", "ended", "failed", "cancelled"]

_MOST_RUNNING: Final = 8
_MOST_ENDED: Final = 20
_READY_S: Final = 30.0
_GRACE_S: Final = 3.0
_LOOPBACK: Final = "lo"
_INSTEAD: Final = "p2p reaches several here; in ogsim lab --switch all methods do"
_TRY_AGAIN: Final = "cancel one, or wait until one has ended"


class SessionView(Struct, frozen=True, kw_only=True):
    """``method`` is what a client must be told. ``ended`` is empty while it runs; then ``status`` is the exit status of
    the program, and ``said`` the last that it has said. Times in UTC, ISO 8601; speed in Mbit/s, waiting in seconds.
    """

    id: str
    engine: str
    image: str
    method: str
    port: int
    address: str
    interface: str
    speed: int
    clients: int
    wait: int
    since: str
    state: State
    ended: str = ""
    status: int | None = None
    said: str = ""


class Session:
    def __init__(self, engine: Engine, what: Plan) -> None:
        self.id = f"{engine.name}-{secrets.token_hex(4)}"
        self.engine = engine
        self.plan = what
        self.since = _now()
        self.state: State = "waiting"
        self.ended = ""
        self.status: int | None = None
        self.there = False
        self.settled = asyncio.Event()
        """Whether it is there is known."""
        self.child: Child | None = None
        self.watch: asyncio.Task[None] | None = None

    def hear(self, line: str) -> None:
        """What the program says tells how far it is."""
        if self.engine.ready in line:
            self.is_there()
        if self.engine.sending in line and self.state == "waiting":
            self.state = "sending"

    def is_there(self) -> None:
        self.there = True
        self.settled.set()

    def end(self, status: int | None) -> None:
        """One that nobody has come to has failed, whatever it says itself. No status: there was no program yet."""
        self.status, self.ended = status, _now()
        if self.state != "cancelled":
            self.state = "ended" if status == 0 and self.state == "sending" else "failed"
        self.settled.set()

    def view(self) -> SessionView:
        what = self.plan
        said = self.child.said if self.child else ()
        return SessionView(
            id=self.id,
            engine=self.engine.name,
            image=what.image,
            method=self.engine.method(what),
            port=what.port,
            address=what.address,
            interface=what.place.interface,
            speed=what.speed,
            clients=what.clients,
            wait=what.wait,
            since=self.since,
            state=self.state,
            ended=self.ended,
            status=self.status,
            said=said[-1] if self.ended and said else "",
        )


class Sessions:
    """At most eight at once; the last twenty that have ended are remembered."""

    def __init__(self, catalogue: Catalogue, torrents: Torrents, place: Place) -> None:
        self._catalogue = catalogue
        self._torrents = torrents
        self._place = place
        self._sessions: dict[str, Session] = {}
        self._turn = asyncio.Lock()
        self._reading = asyncio.Lock()

    def all(self) -> list[Session]:
        """Oldest first."""
        return list(self._sessions.values())

    def named(self, session_id: str) -> Session | None:
        return self._sessions.get(session_id)

    async def begin(self, engine: Engine, wanted: Wanted) -> Session:
        """Returns when the program is there. Raises SessionRefused."""
        path = await self._image(wanted)
        self._demand_reach(engine, wanted)
        if engine.name == "p2p":
            await self._make_torrent(path, wanted)
        async with self._turn:
            if len(self._running()) >= _MOST_RUNNING:
                raise SessionRefused(503, f"{_MOST_RUNNING} sessions run already", hint=_TRY_AGAIN)
            port = self._free_port(engine, wanted)
            session = Session(engine, plan(engine.name, wanted, path, self._place, port))
            await self._start(session)
            self._sessions[session.id] = session
            self._forget_oldest()
        try:
            async with asyncio.timeout(_READY_S):
                await session.settled.wait()
        except TimeoutError:
            await self.cancel(session)
        if not session.there:
            self._sessions.pop(session.id, None)
            raise SessionRefused(409, f"{engine.name} could not begin: {session.view().said or 'it said nothing'}")
        return session

    async def cancel(self, session: Session) -> None:
        """Returns when nothing of it is left."""
        if not session.ended:
            session.state = "cancelled"
            if session.child:
                await session.child.stop(session.engine.stop, _GRACE_S)
            elif session.watch:
                session.watch.cancel()
        if session.watch:
            await asyncio.wait([session.watch])
        if not session.ended:  # its task was cancelled before its first step
            session.end(None)

    async def close(self) -> None:
        async with self._turn:
            await asyncio.gather(*(self.cancel(session) for session in self._running()))

    # --------------------------------------------------------------------------------------------------------------

    async def _image(self, wanted: Wanted) -> Path:
        path = await asyncio.to_thread(self._catalogue.file, wanted.image + IMAGE_SUFFIX)
        if path is None:
            raise SessionRefused(404, f"there is no image {wanted.image}", field="image")
        if await asyncio.to_thread(beside(path, LOCK_SUFFIX).exists):
            raise SessionRefused(409, f"{wanted.image} is being worked on", field="image")
        return path

    async def _make_torrent(self, image: Path, wanted: Wanted) -> None:
        """The image is read whole, unless it is there already; no two at once, which would take the threads that answer
        clients.
        """
        try:
            async with self._reading:
                await asyncio.to_thread(self._torrents.beside, image)
        except OSError as error:
            raise SessionRefused(500, f"the .torrent of {wanted.image} cannot be made: {error.strerror}") from None

    def _demand_reach(self, engine: Engine, wanted: Wanted) -> None:
        """udp-receiver and uftpd both want the port for themselves: one machine is one client."""
        if self._place.interface != _LOOPBACK or engine.name == "p2p":
            return
        if engine.name == "uftp":
            raise SessionRefused(409, "uftp does not get through the loopback interface", hint=_INSTEAD)
        if wanted.clients > 1:
            error = f"only one client of this machine can receive multicast, not {wanted.clients}"
            raise SessionRefused(409, error, field="clients", hint=_INSTEAD)

    def _free_port(self, engine: Engine, wanted: Wanted) -> int:
        taken = {
            session.plan.port + more for session in self._running() for more in range(session.engine.ports)
        }  # fmt: skip
        for port in ports_to_try(engine.name, wanted):
            own = range(port, port + engine.ports)
            if port == 0 or (taken.isdisjoint(own) and _is_free(engine, own[-1])):
                return port
        raise SessionRefused(409, f"port {wanted.port or 'of a session'} is in use", field="port")

    async def _start(self, session: Session) -> None:
        command = session.engine.command(session.plan)
        try:
            if session.engine.waits:
                demand(str(command[0]))
                session.is_there()
            else:
                session.child = await start_child(command, session.hear)
        except ToolMissing as error:
            raise SessionRefused(503, error.message, hint=error.hint) from None
        session.watch = asyncio.create_task(self._run(session, command))

    async def _run(self, session: Session, command: Sequence[str | Path]) -> None:
        status = None
        try:
            if session.child is None:
                await asyncio.sleep(session.plan.wait)
                session.child = await start_child(command, session.hear)
            status = await session.child.wait()
        finally:
            session.end(status)

    def _running(self) -> list[Session]:
        return [session for session in self._sessions.values() if not session.ended]

    def _forget_oldest(self) -> None:
        ended = [session for session in self._sessions.values() if session.ended]
        for session in ended[:-_MOST_ENDED]:
            del self._sessions[session.id]


def _is_free(engine: Engine, port: int) -> bool:
    """The one that a sender listens on; a receiver on this machine may have the other."""
    kind = socket.SOCK_STREAM if engine.name == "p2p" else socket.SOCK_DGRAM
    if engine.name == "uftp":  # it sends from any
        return True
    with socket.socket(socket.AF_INET, kind) as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
