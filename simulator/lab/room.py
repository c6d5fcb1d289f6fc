"""A computer room on this machine: every host a process, with an address of its own."""

from __future__ import annotations

import contextlib
import secrets
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from shutil import copytree
from typing import Final

import msgspec

from simulator.certificates import Authority
from simulator.errors import LabError
from simulator.faults import FaultFile
from simulator.http_client import Place, Server, Unreachable
from simulator.lab.hosts import LOOPBACK, Host, Site
from simulator.machine.file_power import RESTARTS, SWITCHED_OFF, boot_next
from simulator.machine.making import copy_sparse, make_disk
from simulator.machine.profile import DiskProfile
from simulator.processes import Peer, peer
from simulator.repository.crowd.offer import LEGACY_PORT, TRACKER_PORT

_OGSIM: Final = (sys.executable, "-m", "simulator")
_SERVERS: Final = ("repository", "ogcore")
_BOOTING: Final = "/opengnsys/rest/ogagent/booting"
_POLL_S: Final = 0.1
_PATIENCE_S: Final = 120.0


class Room:
    """Everything lies below ``directory``; what the hosts say, in ``logs``. Its methods block. Those that start and
    stop one host must not run at the same time for the same host.
    """

    def __init__(self, directory: Path, hosts: Sequence[Host], stack: ExitStack, site: Site = LOOPBACK) -> None:
        self.directory = directory
        self.site = site
        self.images = directory / "images"
        self.logs = directory / "logs"
        self.authority = Authority(directory / "ca")
        self.ogcore = Server(site.ogcore, self.authority.client_context())
        self.repository = Server(site.repository, self.authority.client_context())
        self.repository_faults = FaultFile(directory / "repository.faults")
        self.token_file = directory / "repository.token"
        self.token_file.touch(mode=0o600)
        self.token_file.write_text(secrets.token_urlsafe(), encoding="ascii")
        self.hosts = {host.name: host for host in hosts}
        self._stock = directory / "new-disks"
        self._templates: dict[DiskProfile, Path] = {}
        self._making = threading.Lock()
        self._closing = threading.Event()
        self._peers: dict[str, Peer] = {}
        self._stacks = {name: stack.enter_context(ExitStack()) for name in (*_SERVERS, *self.hosts)}
        for place in (self.images, self.logs, self._stock, *(host.directory for host in hosts)):
            place.mkdir()

    # --- servers --------------------------------------------------------------------------------------------------

    def start_servers(self, *, mbit: int, crowd: bool = False) -> None:
        """``mbit`` is how many megabits a second the repository gives to each connection, 0 for all there are.
        ``crowd``: it brings images to many at once, too.
        """
        speed: tuple[str, ...] = ("--mbit", str(mbit)) if mbit else ()
        files: tuple[str | Path, ...] = ("--images", self.images, "--faults", self.directory / "repository.faults")
        files += ("--token-file", self.token_file, *(["--crowd"] if crowd else []))
        self._start("repository", "repository", *files, *speed, *_where(self.site.repository), *self._tls)
        self.start_ogcore()
        self.wait_for("the repository answers", lambda: _answers(self.repository, "/ogrepository/images"))
        self.wait_for("ogCore answers", lambda: _answers(self.ogcore, "/clients"))

    def start_ogcore(self) -> None:
        """Once more, it remembers what it knew."""
        clients = self.directory / "clients.json"
        clients.write_bytes(msgspec.json.encode([host.row() for host in self.hosts.values()]))
        files = ("--clients", clients, "--memory", self.directory / "ogcore.sqlite", "--token-file", self.token_file)
        others = ("--repository", self.site.repository.url, "--lab", self.site.own)
        self._start("ogcore", "ogcore", *files, *others, *_where(self.site.ogcore), *self._tls)

    # --- clients --------------------------------------------------------------------------------------------------

    def start_client(self, name: str) -> None:
        """With ogLive, that is, with the agent; on new disks when it has none yet."""
        host = self.furnished(name)
        self._announce(host)
        self._start(name, "agent", *self._files_of(host), "--faults", host.faults_file)

    def furnished(self, name: str) -> Host:
        """With disks, new ones when it has none yet."""
        host = self.hosts[name]
        if not host.config.exists():
            self._furnish(host)
        return host

    def restart_from_disk(self, name: str, place: tuple[int, int] | None = None) -> None:
        """``place``: disk and partition, in place of those that are meant for images."""
        host = self.hosts[name]
        self._announce(host)
        self.stop(name)
        boots = ("--boots", *map(str, place or host.target), "--keyboard", str(host.keyboard.port))
        self._start(name, "boot", *self._files_of(host), *boots)

    def log_in(self, name: str) -> None:
        self._keyboard(name).post("/lab/login")

    def log_out(self, name: str) -> None:
        self._keyboard(name).post("/lab/logout")

    def state(self, name: str) -> str:
        return str(self.ogcore.get(f"/clients/{name}")["state"])

    def wait_for_state(self, name: str, state: str) -> None:
        self.wait_for(f"{name} is {state}", lambda: self.state(name) == state)

    # --- all of them ----------------------------------------------------------------------------------------------

    def stop(self, name: str) -> None:
        """In order, as at a shutdown."""
        self._peers.pop(name, None)
        self._stacks[name].close()

    def kill(self, name: str) -> None:
        """Without a word, as at a power cut."""
        if running := self._peers.pop(name, None):
            running.kill()
        self._stacks[name].close()

    def runs(self, name: str) -> bool:
        return name in self._peers

    def pid(self, name: str) -> int | None:
        """Of what runs on the host."""
        running = self._peers.get(name)
        return running.pid if running else None

    def wait_for(self, what: str, condition: Callable[[], bool], *, patience_s: float = _PATIENCE_S) -> None:
        """Raises LabError when that does not come true in time, or when a host has died."""
        give_up = time.monotonic() + patience_s
        while not condition():
            self.check()
            if time.monotonic() > give_up:
                raise LabError(f"waited {patience_s:.0f} seconds in vain until {what}", hint=f"see {self.logs}")
            if self._closing.wait(_POLL_S):
                raise LabError("the room is being closed")

    def check(self) -> None:
        """Raises LabError when a host has died; one that was told to go down has not."""
        for each in list(self._peers.values()):
            if each.status not in (RESTARTS, SWITCHED_OFF):
                each.check()

    def check_servers(self) -> None:
        """Raises LabError when one has died; one that was stopped has not."""
        for name in _SERVERS:
            if running := self._peers.get(name):
                running.check()

    def ended(self, name: str) -> LabError | None:
        """Why a host that was started is not there any more. It counts as stopped from then on.

        One whose agent was told to restart or switch it off does so.
        """
        running = self._peers.get(name)
        try:
            if running and running.status == SWITCHED_OFF:
                self.stop(name)
            elif running and running.status == RESTARTS:
                self._restart(name)
            elif running:
                running.check()
        except LabError as error:
            self.stop(name)
            self._announce(self.hosts[name], failed=True)
            return error
        return None

    def close(self) -> None:
        """The clients at the same time, then what they talk to. Nothing is started or waited for from then on."""
        self._closing.set()
        with ThreadPoolExecutor() as pool:
            list(pool.map(self.stop, self.hosts))
            list(pool.map(self.stop, _SERVERS))

    # --------------------------------------------------------------------------------------------------------------

    @property
    def _tls(self) -> tuple[str, Path]:
        return ("--tls", self.authority.directory)

    def _files_of(self, host: Host) -> tuple[str | Path, ...]:
        files = ("--config", host.config, "--profile", host.profile_file, "--nvram", host.nvram)
        return (*files, "--disk", *host.disks)

    def _start(self, name: str, *arguments: str | Path) -> None:
        self.stop(name)
        if self._closing.is_set():
            raise LabError("the room is being closed")
        log = self.logs / f"{name}.log"
        command = [*self.site.prefixes.get(name, ()), *_OGSIM, *arguments]
        self._peers[name] = self._stacks[name].enter_context(peer(name, command, log))

    def _restart(self, name: str) -> None:
        if place := boot_next(self.hosts[name].nvram):
            self.restart_from_disk(name, place)
        else:
            self.start_client(name)

    def _furnish(self, host: Host) -> None:
        for disk, profile in zip(host.disks, host.profile.disks, strict=True):
            with self._making:
                if profile not in self._templates:
                    template = self._stock / f"{len(self._templates)}.raw"
                    make_disk(template, profile)
                    self._templates[profile] = template
            copy_sparse(self._templates[profile], disk)
        host.profile_file.write_bytes(msgspec.json.encode(host.profile))
        host.write_configuration(self.authority.certificate, self.token_file)

    def _announce(self, host: Host, *, failed: bool = False) -> None:
        """As the first thing that boots over the network does. Nothing depends on it but what people see."""
        with contextlib.suppress(LabError):
            self.ogcore.post(_BOOTING, {"ip": host.place.address, "failed": failed})

    def _keyboard(self, name: str) -> Server:
        return Server(self.hosts[name].keyboard, None)


@contextlib.contextmanager
def open_room(directory: Path, hosts: Sequence[Host], site: Site = LOOPBACK) -> Iterator[Room]:
    """Raises LabError when an address is taken. At the end of the block no process of the room is left."""
    if site is LOOPBACK:  # elsewhere nobody else is
        _demand_free(hosts)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        with ExitStack() as stack:
            try:
                yield Room(directory, hosts, stack, site)
            finally:
                # Whoever is impatient now would leave processes behind.
                for number in handlers:
                    signal.signal(number, signal.SIG_IGN)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def with_logs(error: LabError, directory: Path) -> LabError:
    """The same error; what the hosts said is brought to where it outlives the room."""
    logs = directory / "logs"
    if not logs.is_dir() or not any(logs.iterdir()):
        return error
    kept = Path(tempfile.mkdtemp(prefix="ogsim-logs-"))
    copytree(logs, kept, dirs_exist_ok=True)
    return LabError(error.message, hint=f"the logs are in {kept}")


def _demand_free(hosts: Sequence[Host]) -> None:
    of_hosts = (place for host in hosts for place in (host.place, host.wiring.agent, host.keyboard))
    of_crowd = (Place(LOOPBACK.repository.address, port) for port in (TRACKER_PORT, LEGACY_PORT))
    for place in (LOOPBACK.ogcore, LOOPBACK.repository, *of_crowd, *of_hosts):
        _check_free(place)


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
