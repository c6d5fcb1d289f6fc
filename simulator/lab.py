"""A computer room on this machine: every host a process, on a loopback address of its own."""

from __future__ import annotations

import contextlib
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from simulator.certificates import Authority
from simulator.errors import LabError
from simulator.http_client import Place, Server, Unreachable
from simulator.machine.classroom import make_disk
from simulator.ogcore.clients import demo_room
from simulator.processes import Peer, peer

OGCORE: Final = Place("127.0.2.1", 8443)
REPOSITORY: Final = Place("127.0.68.55", 8443)
CLIENTS: Final = {client.name: Place(client.ip, client.port) for client in demo_room()}

_OGSIM: Final = (sys.executable, "-m", "simulator")
_MBIT: Final = "100"  # a classroom's network: fast enough to watch, slow enough to see something
_POLL_S: Final = 0.1
_PATIENCE_S: Final = 30.0


class Host:
    """A client: its disk, and the files that belong to it. ``authorization`` is the header for curl."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.place = CLIENTS[name]
        self.directory = directory
        self.disk = directory / "disk.raw"
        self.config = directory / "agent.toml"
        self.secret = directory / "secret"
        self.authorization = directory / "authorization"


class Room:
    """Everything lies below ``directory``; what the hosts say, in ``logs``."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.images = directory / "images"
        self.logs = directory / "logs"
        self.authority = Authority(directory / "ca")
        self.ogcore = Server(OGCORE, self.authority.client_context())
        self.repository = Server(REPOSITORY, self.authority.client_context())
        self.hosts = {name: Host(name, directory / name) for name in CLIENTS}
        self._stack = stack
        self._peers: dict[str, Peer] = {}
        for place in (self.images, self.logs, *(host.directory for host in self.hosts.values())):
            place.mkdir()

    def start_servers(self) -> None:
        tls = ("--tls", self.authority.directory)
        self._start("repository", "repository", "--images", self.images, "--mbit", _MBIT, *_where(REPOSITORY), *tls)
        self._start("ogcore", "ogcore", "--repository", REPOSITORY.url, *_where(OGCORE), *tls)
        self.wait_for("the repository answers", lambda: _answers(self.repository, "/ogrepository/images"))
        self.wait_for("ogCore answers", lambda: _answers(self.ogcore, "/clients"))

    def start_client(self, name: str) -> None:
        """With ogLive, that is, with the agent, on a new disk."""
        host = self.hosts[name]
        make_disk(host.disk)
        _write_configuration(host, self.authority.certificate)
        self._start(name, "agent", "--config", host.config, "--disk", host.disk)

    def restart_from_disk(self, name: str, partition: int) -> None:
        host = self.hosts[name]
        self._peers[name].stop()
        more = ("--ogcore", OGCORE.url, "--tls", self.authority.directory)
        self._start(name, "boot", "--disk", host.disk, "--partition", str(partition), *_where(host.place), *more)

    def log_in(self, name: str) -> None:
        Server(self.hosts[name].place, self.authority.client_context()).post("/lab/login")

    def state(self, name: str) -> str:
        return str(self.ogcore.get(f"/clients/{name}")["state"])

    def wait_for_state(self, name: str, state: str) -> None:
        self.wait_for(f"{name} is {state}", lambda: self.state(name) == state)

    def wait_for(self, what: str, condition: Callable[[], bool], *, patience_s: float = _PATIENCE_S) -> None:
        """Raises LabError when that does not come true in time, or when a host has died."""
        give_up = time.monotonic() + patience_s
        while not condition():
            self.check()
            if time.monotonic() > give_up:
                raise LabError(f"waited {patience_s:.0f} seconds in vain until {what}", hint=f"see {self.logs}")
            time.sleep(_POLL_S)

    def check(self) -> None:
        for each in self._peers.values():
            each.check()

    def _start(self, name: str, *arguments: str | Path) -> None:
        log = self.logs / f"{name}.log"
        self._peers[name] = self._stack.enter_context(peer(name, [*_OGSIM, *arguments], log))


@contextlib.contextmanager
def open_room(directory: Path) -> Iterator[Room]:
    """Raises LabError when an address is taken. At the end of the block no process of the room is left."""
    for place in (OGCORE, REPOSITORY, *CLIENTS.values()):
        _check_free(place)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        with ExitStack() as stack:
            try:
                yield Room(directory, stack)
            finally:
                # Whoever is impatient now would leave processes behind.
                for number in handlers:
                    signal.signal(number, signal.SIG_IGN)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _check_free(place: Place) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((place.address, place.port))
        except OSError as error:
            raise LabError(
                f"port {place.port} of {place.address} cannot be used: {error.strerror}",
                hint="stop what listens there, another lab perhaps",
            ) from None


def _answers(server: Server, path: str) -> bool:
    with contextlib.suppress(Unreachable):
        server.get(path)
        return True
    return False


def _where(place: Place) -> tuple[str, ...]:
    return ("--address", place.address, "--port", str(place.port))


def _write_configuration(host: Host, ca: Path) -> None:
    secret = secrets.token_urlsafe()
    for path, text in ((host.secret, f"{secret}\n"), (host.authorization, f"Authorization: {secret}\n")):
        path.touch(mode=0o600)
        path.write_text(text)
    sections: dict[str, dict[str, Any]] = {
        "server": {"address": host.place.address, "port": host.place.port},
        "access": {"secret_file": str(host.secret)},
        "ogcore": {"url": OGCORE.url, "ca": str(ca)},
        "repository": {"url": f"https://{{ipr}}:{REPOSITORY.port}/ogrepository/images/{{nci}}.img", "ca": str(ca)},
        "state": {"dir": str(host.directory / "state")},
    }
    lines = []
    for section, members in sections.items():
        lines += [f"[{section}]", *(f"{name} = {_toml(value)}" for name, value in members.items()), ""]
    host.config.write_text("\n".join(lines))


def _toml(value: str | int) -> str:
    if isinstance(value, int):
        return str(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
