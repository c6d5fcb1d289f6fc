"""The repository of the room: ogsim's own, with sessions, in a namespace of its own."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from simulator.bench.crowd.pc import REPOSITORY_PORT
from simulator.certificates import Authority
from simulator.http_client import Place, Server, Unreachable
from simulator.processes import Peer, peer
from simulator.switch import Host

_IMAGES: Final = "/ogrepository/images"
_SESSIONS: Final = "/ogrepository/v1"


class Repository:
    def __init__(self, host: Host, images: Path, authority: Authority, log: Path) -> None:
        self.host = host
        self._log = log
        self._server = Server(Place(host.address, REPOSITORY_PORT), authority.client_context())
        where = ["--address", host.address, "--port", str(REPOSITORY_PORT), "--tls", str(authority.directory)]
        self._command = [*host.bound, sys.executable, "-m", "simulator", "repository", "--crowd"]
        self._command += ["--interface", "eth0", "--images", str(images), *where]
        self._process: Peer | None = None

    @contextmanager
    def running(self) -> Iterator[None]:
        with peer("the repository", self._command, self._log) as self._process:
            yield

    def answers(self) -> bool:
        """Raises LabError when it has ended."""
        if self._process:
            self._process.check()
        with suppress(Unreachable):
            self._server.get(_IMAGES)
            return True
        return False

    def begin(self, engine: str, image: str, **members: Any) -> str:
        """The method that the agents are to be told. Raises LabError."""
        return str(self._server.post(f"{_SESSIONS}/{engine}", {"image": image, **members})["method"])

    def kill_sender(self) -> None:
        """Without a last word. The repository itself goes on."""
        own = self._process.pid if self._process else 0
        for pid in self.host.pids():
            if pid != own:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
