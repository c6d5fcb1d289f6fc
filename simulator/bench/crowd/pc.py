"""A PC of the room: the real agent in a namespace of its own, on a disk that is a file, with a CACHE."""

from __future__ import annotations

import http.client
import json
import re
import secrets
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from ogagent.model.job import Job
from simulator.certificates import Authority
from simulator.errors import LabError
from simulator.machine.making import make_disk
from simulator.machine.profile import DiskProfile, PartitionProfile
from simulator.processes import Peer, peer
from simulator.switch import Host
from simulator.tree import MIB

PORT: Final = 8000
REPOSITORY_PORT: Final = 8443
_PATIENCE_S: Final = 10.0
_PEAK: Final = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)
_SPARE_MIB: Final = 16


class Pc:
    """``peak_rss`` of the agent and ``engine_rss`` of what it has started, in bytes, as far as it was looked at."""

    def __init__(self, host: Host, directory: Path, size: int, authority: Authority) -> None:
        """``size`` is that of the partition for the image, in bytes."""
        self.host = host
        self.disk = directory / "disk.raw"
        self.job: Job | None = None
        self.peak_rss = 0
        self.engine_rss = 0
        self.dead = False
        self._config = directory / "agent.toml"
        self._log = directory / "agent.log"
        self._secret = secrets.token_urlsafe()
        self._tls = authority.client_context()
        self._agent: Peer | None = None
        self._connection: http.client.HTTPSConnection | None = None
        directory.mkdir()
        make_disk(self.disk, _profile(size))
        authority.server_context(host.address)
        _write_configuration(self._config, directory, host.address, authority, self._secret)

    @contextmanager
    def running(self) -> Iterator[None]:
        command = [*self.host.bound, sys.executable, "-m", "simulator", "agent"]
        with peer(self.host.name, [*command, "--config", self._config, "--disk", self.disk], self._log) as self._agent:
            try:
                yield
            finally:
                self._hang_up()

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def answers(self) -> bool:
        """Raises LabError when the agent has ended."""
        if self._agent:
            self._agent.check()
        try:
            return bool(self._ask("GET", "/healthz"))
        except OSError:
            return False

    def order(self, image: str, method: str, repository: str) -> None:
        """Raises LabError when it is refused."""
        self._hang_up()  # one that comes late has been silent for longer than the agent waits
        order = {"dsk": "1", "par": "1", "idi": "1", "nci": image, "ipr": repository, "method": method}
        accepted = self._ask("POST", "/CloningEngine/RestaurarImagen", json.dumps(order))
        self.job = self._job(accepted["job_id"])

    def look(self) -> None:
        """How far it is; nothing, when it does not answer just now."""
        if self.job is None or self.job.final or self.dead:
            return
        self._measure()
        with suppress(OSError):
            self.job = self._job(self.job.job_id)

    @property
    def ended(self) -> bool:
        return self.dead or (self.job is not None and self.job.final)

    def arrived(self, image: int) -> float:
        """Which share of the ``image`` file has come."""
        sources = self.job.sources if self.job else msgspec.UNSET
        if sources is msgspec.UNSET:
            return 0.0
        return (sources.multicast + sources.peers + sources.repository + sources.cache) / image

    def lose_power(self) -> None:
        self.dead = True
        self.host.lose_power()

    def prove(self, content: Path) -> None:
        """That the partition holds ``content``, when the job says so. Raises LabError."""
        if self.job is None or self.job.state != "succeeded":
            return
        with self.disk.open("rb") as disk, content.open("rb") as expected:
            disk.seek(MIB)
            while piece := expected.read(MIB):
                if disk.read(len(piece)) != piece:
                    raise LabError(f"{self.host.name} reports success, and its disk does not hold the image")

    def _job(self, name: str) -> Job:
        return msgspec.convert(self._ask("GET", f"/jobs/{name}"), Job)

    def _measure(self) -> None:
        """Engines come and go; the agent's own peak is kept by the kernel."""
        agent = self._agent.pid if self._agent else 0
        own = _command_line(agent)  # also of what has not become an engine yet
        engines = [_peak(child) for child in _children(agent) if _command_line(child) != own]
        self.peak_rss, self.engine_rss = max(self.peak_rss, _peak(agent)), max(self.engine_rss, sum(engines))

    def _ask(self, method: str, path: str, body: str | None = None) -> Any:
        """Over one connection as long as it lives. Raises OSError, and LabError for a refusal."""
        if self._connection is None:
            where = self.host.address, PORT
            self._connection = http.client.HTTPSConnection(*where, timeout=_PATIENCE_S, context=self._tls)
        try:
            self._connection.request(method, path, body, {"Authorization": self._secret})
            answer = self._connection.getresponse()
            status, members = answer.status, json.loads(answer.read())
        except (OSError, http.client.HTTPException, ssl.SSLError) as error:
            self._hang_up()
            raise ConnectionError(f"{self.host.name} does not answer: {error}") from None
        if status != http.client.OK:
            raise LabError(f"{self.host.name} answered {status}: {members.get('error')}")
        return members


def _profile(size: int) -> DiskProfile:
    """The CACHE is a directory beside the disk; its partition says how large it may be."""
    own, cache = size // MIB, 2 * size // MIB + _SPARE_MIB
    partitions = (
        PartitionProfile(number=1, start_mib=1, size_mib=own, kind="linux", name="system"),
        PartitionProfile(number=2, start_mib=1 + own, size_mib=cache, kind="cache", name="CACHE", label="CACHE"),
    )
    return DiskProfile(model="SATA SSD", size_mib=own + cache + 2, table="gpt", partitions=partitions)


def _children(pid: int) -> list[int]:
    found = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(word) for word in (task / "children").read_text(encoding="ascii").split()]
    return found


def _command_line(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def _peak(pid: int) -> int:
    """0 for one that is gone."""
    with suppress(OSError):
        found = _PEAK.search(Path(f"/proc/{pid}/status").read_text("utf-8", errors="replace"))
        return int(found[1]) << 10 if found else 0
    return 0


def _write_configuration(config: Path, directory: Path, address: str, authority: Authority, secret: str) -> None:
    secret_file, tls = directory / "secret", authority.directory
    secret_file.touch(mode=0o600)
    secret_file.write_text(secret, encoding="utf-8")
    text = f"""\
[server]
address = "{address}"
port = {PORT}
certificate = "{tls}/{address}.pem"
key = "{tls}/{address}.key"
[access]
secret_file = "{secret_file}"
[repository]
url = "https://{{ipr}}:{REPOSITORY_PORT}/ogrepository/images/{{nci}}.img"
ca = "{authority.certificate}"
[finish]
grow = false
identity = false
boot = false
agent = false
[state]
dir = "{directory}/state"
"""
    config.write_text(text, encoding="utf-8")
