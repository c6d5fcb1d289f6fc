"""The whole agent at work: how soon it answers meanwhile, and how much memory it takes."""

from __future__ import annotations

import http.client
import json
import re
import secrets
import statistics
import sys
import time
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from simulator.certificates import Authority
from simulator.errors import LabError
from simulator.http_client import Place, Server, Unreachable
from simulator.machine.gpt import LINUX_FILESYSTEM, Entry, write_table
from simulator.processes import Peer, peer
from simulator.tree import MIB

_AGENT: Final = Place("127.0.2.9", 8000)
_POLL_S: Final = 0.01
_PATIENCE_S: Final = 120.0
_PEAK: Final = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)


class Served(Struct, frozen=True):
    """Of one restore by ``ogsim agent``: milliseconds of ``GET /opengnsys/status``, bytes of memory, seconds."""

    status_p50_ms: float
    status_p99_ms: float
    asked: int
    peak_rss: int
    seconds: float


def restore_and_watch(image: Path, size: int, scratch: Path) -> Served:
    """``image`` onto a new partition of ``size`` bytes, read back. Raises LabError when that fails."""
    directory = scratch / f"agent-{size >> 30}"
    directory.mkdir()
    disk = directory / "disk.raw"
    with disk.open("wb") as file:
        file.truncate(size + 2 * MIB)
        write_table(file, size + 2 * MIB, [Entry(number=1, start=MIB, size=size, type=LINUX_FILESYSTEM, name="system")])
    authority = Authority(directory / "ca")
    authority.server_context(_AGENT.address)
    secret = secrets.token_urlsafe()
    config = _write_configuration(directory, image, secret)
    try:
        command = [sys.executable, "-m", "simulator", "agent", "--config", str(config), "--disk", str(disk)]
        with peer("the agent", command, directory / "agent.log") as agent:
            _wait(Server(_AGENT, authority.client_context()), agent)
            return _watch(authority, secret, agent, image.stem)
    finally:
        disk.unlink()


def _watch(authority: Authority, secret: str, agent: Peer, name: str) -> Served:
    where = (_AGENT.address, _AGENT.port)
    connection = http.client.HTTPSConnection(*where, timeout=_PATIENCE_S, context=authority.client_context())
    order = {"dsk": "1", "par": "1", "idi": "1", "nci": name, "ipr": "127.0.0.1"}
    authorization = {"Authorization": secret}
    began = time.monotonic()
    try:
        job = _ask(connection, "POST", "/CloningEngine/RestaurarImagen", json.dumps(order), authorization)["job_id"]
        waits = []
        while True:
            asked = time.monotonic()
            status = _ask(connection, "GET", "/opengnsys/status")["status"]
            waits.append((time.monotonic() - asked) * 1000)
            if status != "busy":
                break
            time.sleep(_POLL_S)
        seconds = time.monotonic() - began
        found = _ask(connection, "GET", f"/jobs/{job}", None, authorization)
    finally:
        connection.close()
    if found["state"] != "succeeded":
        raise LabError(f"the restore ended as {found['state']}: {found['error']}")
    shares = statistics.quantiles(waits, n=100)
    return Served(shares[49], shares[98], len(waits), _peak_rss(agent), seconds)


def _ask(
    connection: http.client.HTTPSConnection,
    method: str,
    path: str,
    body: str | None = None,
    headers: dict[str, str] | None = None,
) -> dict[str, Any]:
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    members: dict[str, Any] = json.loads(answer.read())
    if answer.status != 200:
        raise LabError(f"{path} answered {answer.status}: {members.get('error')}")
    return members


def _wait(server: Server, agent: Peer) -> None:
    give_up = time.monotonic() + _PATIENCE_S
    while True:
        try:
            server.get("/healthz")
        except Unreachable:
            agent.check()
            if time.monotonic() > give_up:
                raise
            time.sleep(0.1)
        else:
            return


def _peak_rss(agent: Peer) -> int:
    found = _PEAK.search(Path(f"/proc/{agent.pid}/status").read_text("utf-8", errors="replace"))
    if found is None:
        raise LabError("the kernel does not tell how much memory the agent took")
    return int(found[1]) << 10


def _write_configuration(directory: Path, image: Path, secret: str) -> Path:
    secret_file = directory / "secret"
    secret_file.touch(mode=0o600)
    secret_file.write_text(secret, encoding="utf-8")
    config, ca = directory / "agent.toml", directory / "ca"
    text = f"""\
[server]
address = "{_AGENT.address}"
port = {_AGENT.port}
certificate = "{ca}/{_AGENT.address}.pem"
key = "{ca}/{_AGENT.address}.key"
[access]
secret_file = "{secret_file}"
[repository]
url = "file://{image.parent}/{{nci}}.img"
[cache]
required = false
[finish]
grow = false
identity = false
boot = false
agent = false
[state]
dir = "{directory}/state"
"""
    config.write_text(text, encoding="utf-8")
    return config
