"""How fast images come in: over the loopback, and over a link of a classroom's speed, where ``curl`` is the measure."""

from __future__ import annotations

import json
import os
import socket
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from msgspec import Struct

from simulator.errors import LabError, ToolFailed
from simulator.processes import measure, peer, run

_ROUNDS: Final = 3
_PORT: Final = 8480
_LOOPBACK: Final = "127.0.68.56"
SERVER: Final = (f"ogsim-bench-repo-{os.getpid()}", "192.168.68.55")
CLIENT: Final = (f"ogsim-bench-pc-{os.getpid()}", "192.168.68.2")
"""Names of network namespaces, and the addresses there."""
_PATIENCE_S: Final = 120.0


class Arrival(Struct, frozen=True):
    """Bytes a second of the image file, and of the blocks that come out of it."""

    received_per_s: float
    written_per_s: float


class Link(Struct, frozen=True):
    """Seconds for the same file over the same link."""

    engine_s: float
    curl_s: float


def over_loopback(image: Path, scratch: Path) -> Arrival:
    """The median of some runs."""
    with _served(image, _LOOPBACK, scratch):
        runs = [_swallow(_LOOPBACK, ()) for _ in range(_ROUNDS)]
    run_ = sorted(runs, key=lambda each: each["seconds"])[_ROUNDS // 2]
    return Arrival(run_["received"] / run_["seconds"], run_["written"] / run_["seconds"])


def over_link(image: Path, scratch: Path, rate: str = "1gbit") -> Link:
    """Two network namespaces, and between them a link of that rate. Raises LabError where there can be none."""
    inside = ("ip", "netns", "exec", CLIENT[0])
    url = f"http://{SERVER[1]}:{_PORT}/image"
    with link(rate), _served(image, SERVER[1], scratch, ("ip", "netns", "exec", SERVER[0])):
        engine, curl = [], []
        for _ in range(_ROUNDS):
            engine.append(_swallow(SERVER[1], inside)["seconds"])
            curl.append(measure([[*inside, "curl", "-sf", "-o", "/dev/null", url]]).wall_s)
    return Link(statistics.median(engine), statistics.median(curl))


def _swallow(address: str, inside: Sequence[str]) -> dict[str, float]:
    command = [*inside, sys.executable, "-m", "simulator.bench.sink", f"http://{address}:{_PORT}/image"]
    found: dict[str, float] = json.loads(measure([command]).said.splitlines()[-1])
    return found


@contextmanager
def _served(image: Path, address: str, scratch: Path, inside: Sequence[str] = ()) -> Iterator[None]:
    command = [*inside, sys.executable, "-m", "simulator.bench.fileserver", str(image), address, str(_PORT)]
    with peer("the file server", command, scratch / "fileserver.log") as server:
        give_up = time.monotonic() + _PATIENCE_S
        while not _answers(address, inside):
            server.check()
            if time.monotonic() > give_up:
                raise LabError(f"nobody listens on {address} port {_PORT}")
            time.sleep(0.1)
        yield


def _answers(address: str, inside: Sequence[str]) -> bool:
    if inside:
        with suppress(ToolFailed):
            run([*inside, "curl", "-s", "-o", "/dev/null", f"http://{address}:{_PORT}/"])
            return True
        return False
    with socket.socket() as probe:
        return probe.connect_ex((address, _PORT)) == 0


@contextmanager
def link(rate: str) -> Iterator[None]:
    """Between the namespaces of ``SERVER`` and ``CLIENT``. Raises LabError where there can be none."""
    (server, server_ip), (client, client_ip) = SERVER, CLIENT
    with ExitStack() as stack:
        for namespace in (server, client):
            run(["ip", "netns", "add", namespace])
            stack.callback(run, ["ip", "netns", "delete", namespace])
        run(["ip", "link", "add", "eth0", "netns", server, "type", "veth", "peer", "name", "eth0", "netns", client])
        for namespace, address in ((server, server_ip), (client, client_ip)):
            run(["ip", "-n", namespace, "address", "add", f"{address}/24", "dev", "eth0"])
            run(["ip", "-n", namespace, "link", "set", "lo", "up"])
            run(["ip", "-n", namespace, "link", "set", "eth0", "up"])
            shaped = ["root", "tbf", "rate", rate, "burst", "256kb", "latency", "50ms"]
            run(["tc", "-n", namespace, "qdisc", "add", "dev", "eth0", *shaped])
        yield
