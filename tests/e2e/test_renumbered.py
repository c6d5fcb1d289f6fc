"""A whole agent, from one boot of its PC to the next, at which the disks have changed places."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
from aiohttp import web

from simulator.certificates import Authority
from simulator.machine.gpt import LINUX_FILESYSTEM, Entry, write_table

pytestmark = pytest.mark.xdist_group("renumbered")

MIB: Final = 1 << 20
SYSTEM: Final = Entry(number=1, start=MIB, size=8 * MIB, type=LINUX_FILESYSTEM, name="Linux")
SECRET: Final = "0123456789abcdef" * 4
AGENT, OGCORE = "127.0.6.2", "127.0.6.1"
RESTORE: Final = "/CloningEngine/RestaurarImagen"
TLS_OFF: Final = False  # of the test's own calls: the agent shows a certificate of its own making


class OgCore:
    """Takes every report when ``taking``; it hears those that it does not take as well."""

    def __init__(self) -> None:
        self.finals: list[dict[str, Any]] = []
        self.taking = True
        self.heard = 0

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/{path:.*}", self._hear)
        return app

    async def _hear(self, request: web.Request) -> web.Response:
        body = await request.json()
        if "res" in body:
            self.heard += 1
            if not self.taking:
                return web.Response(status=503)
            self.finals.append(body)
        return web.Response()


@asynccontextmanager
async def served(app: web.Application, authority: Authority) -> AsyncIterator[int]:
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, OGCORE, 0, ssl_context=authority.server_context(OGCORE)).start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


class Agent:
    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def call(self, method: str, path: str, **members: str) -> tuple[int, dict[str, Any]]:
        body = {"dsk": "1", "par": "1", "idi": "1", "nci": "image-test", "ipr": "127.0.0.1", "ids": "0", **members}
        sent = body if method == "POST" else None
        async with self._session.request(method, f"https://{AGENT}:8000{path}", json=sent, ssl=TLS_OFF) as response:
            text = await response.text()
            return response.status, dict(json.loads(text)) if text else {}

    async def code(self, path: str, **members: str) -> str:
        """Of the refusal; every job and plan fails in the end, for there is no image."""
        return str((await self.call("POST", path, **members))[1].get("code", ""))


class Room:
    def __init__(self, folder: Path, port: int, ca: Path) -> None:
        self._folder = folder
        self.disks = [self._disk("first"), self._disk("second")]
        secret = folder / "secret"
        secret.touch(mode=0o600)
        secret.write_text(SECRET)
        (folder / "agent.toml").write_text(
            f'[server]\naddress = "{AGENT}"\n[access]\nsecret_file = "{secret}"\n'
            f'[ogcore]\nurl = "https://{OGCORE}:{port}"\nca = "{ca}"\n'
            f'[repository]\nurl = "file://{folder}/{{nci}}.img"\n'
            f'[cache]\nrequired = false\n[state]\ndir = "{folder / "state"}"\n'
        )

    def _disk(self, name: str) -> Path:
        path = self._folder / name
        with path.open("wb") as file:
            file.truncate(10 * MIB)
            write_table(file, 10 * MIB, (SYSTEM,))
        return path

    @asynccontextmanager
    async def booted(self, *disks: Path) -> AsyncIterator[Agent]:
        what = ("agent", "--config", str(self._folder / "agent.toml"), "--disk", *map(str, disks))
        command = [sys.executable, "-m", "simulator", *what]
        with (self._folder / "log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
        try:
            async with aiohttp.ClientSession(headers={"Authorization": SECRET}) as session:
                agent = Agent(session)
                await until_answered(process, agent)
                yield agent
            process.terminate()
            async with asyncio.timeout(300):
                assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def until_answered(process: asyncio.subprocess.Process, agent: Agent) -> None:
    async with asyncio.timeout(300):
        while True:
            try:
                await agent.call("GET", "/healthz")
            except aiohttp.ClientConnectionError:
                assert process.returncode is None
                await asyncio.sleep(0.05)
            else:
                return


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(300):
        while not condition():  # noqa: ASYNC110 - other processes change what is looked at
            await asyncio.sleep(0.02)


@pytest.fixture
def ogcore() -> OgCore:
    return OgCore()


@pytest.fixture
async def room(tmp_path: Path, ogcore: OgCore) -> AsyncIterator[Room]:
    authority = Authority(tmp_path / "ca")
    async with served(ogcore.app(), authority) as port:
        yield Room(tmp_path, port, authority.certificate)


async def test_an_inventory_is_told_by_whoever_asks_for_it(room: Room) -> None:
    first, second = room.disks
    async with room.booted(first, second) as agent:
        assert await agent.code("/plan") == "image-not-found"
        await agent.call("GET", "/disks")
    async with room.booted(second, first) as agent:
        for path in (RESTORE, "/plan"):
            status, problem = await agent.call("POST", path)
            assert (status, problem["code"], problem["number"], problem["field"]) == (409, "disk-renumbered", 92, "dsk")
            assert f"file:{second};size:{10 * MIB}" in problem["error"]
            assert f"file:{first};size:{10 * MIB}, which is disk 2 now" in problem["error"]
        assert (await agent.call("HEAD", "/disks"))[0] == 200
        await agent.call("GET", "/jobs")
        assert await agent.code("/plan") == "disk-renumbered"
        assert await agent.code("/plan", identity=f"file:{second};size:{10 * MIB}") == "image-not-found"
        _, inventory = await agent.call("GET", "/disks")
        assert [disk["device"] for disk in inventory["disks"]] == [str(second), str(first)]
        assert await agent.code("/plan") == "image-not-found"
        assert (await agent.call("POST", RESTORE))[0] == 200


async def test_a_final_report_tells_when_it_was_taken(room: Room, ogcore: OgCore) -> None:
    first, second = room.disks
    async with room.booted(first, second) as agent:
        assert (await agent.call("POST", RESTORE))[0] == 200
        await until(lambda: len(ogcore.finals) == 1)
    assert [row.get("identity") for row in ogcore.finals[0]["cfg"] if row["par"] == "0"] == [
        f"file:{disk};size:{10 * MIB}" for disk in (first, second)
    ]
    ogcore.taking = False
    async with room.booted(second, first) as agent:
        assert await agent.code(RESTORE) == "disk-renumbered"
        assert (await agent.call("POST", RESTORE, identity=f"file:{second};size:{10 * MIB}"))[0] == 200
        await until(lambda: ogcore.heard > 1)
        assert await agent.code(RESTORE) == "disk-renumbered"
    ogcore.taking = True
    async with room.booted(second, first) as agent:
        await until(lambda: len(ogcore.finals) == 2)
        async with asyncio.timeout(300):  # ogCore has it before the agent knows
            while await agent.code(RESTORE):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.02)
    async with room.booted(first, second) as agent:
        assert await agent.code(RESTORE) == "disk-renumbered"
