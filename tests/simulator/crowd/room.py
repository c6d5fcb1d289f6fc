"""A repository with one image that goes to many, and PCs with network namespaces of their own that fetch it by hand."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import Application, Request

from simulator.processes import allowed_environment, run
from simulator.repository.app import repository_app
from simulator.repository.crowd.offer import Crowd

SERVER: Final = "10.79.0.1"
LOOPBACK: Final = "127.0.68.55"
BRIDGE: Final = "crowd"
DATA: Final = os.urandom(3_000_000)
IMAGE: Final = "aula/ubuntu"
V1: Final = "/ogrepository/v1"
PATIENCE_S: Final = 300

Members = dict[str, Any]

in_namespaces = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces with links need root")


class Repository:
    def __init__(self, client: TestClient[Request, Application], images: Path) -> None:
        self.client = client
        self.images = images

    async def call(self, method: str, path: str, members: object = None, token: str = "") -> tuple[int, Members]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self.client.request(method, V1 + path, json=members, headers=headers) as response:
            return response.status, await response.json()

    async def begin(self, engine: str, **members: Any) -> Members:
        status, said = await self.call("POST", f"/{engine}", {"image": IMAGE} | members)
        assert status == 201, said
        return said

    async def session(self, session: Members) -> Members:
        status, said = await self.call("GET", f"/{session['engine']}/{session['id']}")
        assert status == 200, said
        return said

    async def cancel(self, session: Members) -> Members:
        status, said = await self.call("DELETE", f"/{session['engine']}/{session['id']}")
        assert status == 200, said
        return said

    async def until(self, session: Members, *states: str) -> Members:
        async with asyncio.timeout(PATIENCE_S):
            while (said := await self.session(session))["state"] not in states:  # noqa: ASYNC110 - REST has no events
                await asyncio.sleep(0.02)
        return said


def image_in(folder: Path) -> Path:
    images = folder / "images"
    (images / "aula").mkdir(parents=True)
    (images / f"{IMAGE}.img").write_bytes(DATA)
    return images


@asynccontextmanager
async def repository(folder: Path, crowd: Crowd, token: str = "") -> AsyncIterator[Repository]:
    images = image_in(folder)
    server = TestServer(repository_app(images, token=token, crowd=crowd), host=crowd.address)
    async with TestClient(server) as client:
        yield Repository(client, images)


def children_of(pid: int) -> set[int]:
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended since
            found |= set(map(int, (task / "children").read_text().split()))
    return found


def runs(pid: int) -> bool:
    """Not when it is only waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@contextmanager
def pcs(count: int) -> Iterator[list[str]]:
    """Names of namespaces, each with a cable to a bridge in the namespace of the run."""
    with ExitStack() as stack:
        run(["ip", "link", "add", BRIDGE, "type", "bridge", "forward_delay", "0", "mcast_snooping", "0"])
        stack.callback(run, ["ip", "link", "delete", BRIDGE])
        run(["ip", "address", "add", f"{SERVER}/24", "dev", BRIDGE])
        run(["ip", "link", "set", BRIDGE, "up"])
        names = []
        for number in range(count):
            name = f"ogsim-crowd-{os.getpid()}-{number}"
            run(["ip", "netns", "add", name])
            stack.callback(run, ["ip", "netns", "delete", name])
            _cable(name, number)
            stack.callback(run, ["ip", "link", "delete", f"pc{number}"])  # with its namespace it would go later
            names.append(name)
        yield names


def _cable(name: str, number: int) -> None:
    run(["ip", "link", "add", f"pc{number}", "type", "veth", "peer", "name", "eth0", "netns", name])
    run(["ip", "link", "set", f"pc{number}", "master", BRIDGE, "up"])
    run(["ip", "-n", name, "address", "add", f"10.79.0.{number + 2}/24", "dev", "eth0"])
    for device in ("lo", "eth0"):
        run(["ip", "-n", name, "link", "set", device, "up"])
    run(["ip", "-n", name, "route", "add", "224.0.0.0/4", "dev", "eth0"])


@asynccontextmanager
async def at(pc: str, command: Sequence[object]) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program in a namespace, in this one when ``pc`` is empty. What it says is at its standard output."""
    inside = ("ip", "netns", "exec", pc) if pc else ()
    process = await asyncio.create_subprocess_exec(
        *inside, "setpriv", "--pdeathsig", "KILL", "--", *map(str, command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=allowed_environment(),
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def done(process: asyncio.subprocess.Process) -> tuple[int, str]:
    async with asyncio.timeout(PATIENCE_S):
        said, _ = await process.communicate()
    return process.returncode or 0, said.decode(errors="replace")
