"""The whole agent as it starts on an installed system, with a real bus and an ogCore that listens."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer, unused_port

from ogagent.system.os_release import system_name
from simulator.certificates import Authority
from tests.system.logind_twin import Bus, LogindTwin, person, private_bus

SECRET: Final = "0123456789abcdef" * 4
PREFIX: Final = "/opengnsys/rest/ogagent/"
TLS_OFF: Final = False  # of the test's own calls: the agent shows a certificate of its own making


class OgCore:
    """``deaf``: it takes no logins and logouts. ``slow``: it answers ``stopped`` when that is set."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.deaf = False
        self.slow = asyncio.Event()
        self.slow.set()
        self._changed = asyncio.Condition()

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/{path:.*}", self._take)
        return app

    async def _take(self, request: web.Request) -> web.Response:
        what = request.path.removeprefix(PREFIX)
        if self.deaf and what.startswith("logged"):
            return web.Response(status=503)
        async with self._changed:
            self.calls.append((what, json.loads(await request.read())))
            self._changed.notify_all()
        if what == "stopped":
            await self.slow.wait()
        return web.Response()

    def heard(self) -> list[str]:
        return [f"{what} {said['user']}" if "user" in said else what for what, said in self.calls]

    async def until(self, true: Callable[[list[str]], bool]) -> None:
        async with self._changed:
            await asyncio.wait_for(self._changed.wait_for(lambda: true(self.heard())), 300)


class Room:
    def __init__(self, folder: Path, bus: Bus, logind: LogindTwin, ogcore: OgCore, url: str, ca: Path) -> None:
        self.folder, self.bus, self.logind, self.ogcore = folder, bus, logind, ogcore
        self.port = unused_port()
        secret = folder / "secret"
        secret.touch(mode=0o600)
        secret.write_text(SECRET)
        self.config = folder / "ogagent.toml"
        self.config.write_text(
            f'[server]\naddress = "127.0.0.1"\nport = {self.port}\n[access]\nsecret_file = "{secret}"\n'
            f'[ogcore]\nurl = "{url}"\nca = "{ca}"\n'
            f'[machine]\nkind = "installed"\n[state]\ndir = "{folder / "state"}"\n'
        )

    @asynccontextmanager
    async def agent(self) -> AsyncIterator[asyncio.subprocess.Process]:
        """It ends in order at the end of the block, if it has not been ended before."""
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DBUS_SYSTEM_BUS_ADDRESS": self.bus.address}
        command = (sys.executable, "-m", "ogagent", "serve", "--config", str(self.config))
        root = Path(__file__).parents[2]
        with (self.folder / "log").open("ab") as log:
            agent = await asyncio.create_subprocess_exec(*command, env=environment, cwd=root, stdout=log, stderr=log)
        try:
            yield agent
            if agent.returncode is None:
                agent.terminate()
            assert await asyncio.wait_for(agent.wait(), 300) == 0, (self.folder / "log").read_text()
        finally:
            if agent.returncode is None:
                agent.kill()
                await agent.wait()

    async def call(self, method: str, path: str) -> tuple[int, Any]:
        async with (
            ClientSession(headers={"Authorization": SECRET}) as session,
            session.request(method, f"https://127.0.0.1:{self.port}{path}", ssl=TLS_OFF) as response,
        ):
            return response.status, await response.json(content_type=None)


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    authority, ogcore = Authority(tmp_path / "ca"), OgCore()
    server = TestServer(ogcore.app(), host="127.0.0.1", scheme="https")
    await server.start_server(ssl=authority.server_context("127.0.0.1"))
    async with private_bus() as bus:
        logind = LogindTwin()
        await logind.come(bus)
        yield Room(tmp_path, bus, logind, ogcore, f"https://127.0.0.1:{server.port}", authority.certificate)
    await server.close()


async def test_it_says_what_it_is_and_who_comes_and_goes(room: Room) -> None:
    async with room.agent():
        await room.ogcore.until(lambda heard: "started" in heard)
        assert room.ogcore.calls[0][1]["ostype"] == "Linux"
        assert room.ogcore.calls[0][1]["osversion"] == system_name()
        assert await room.call("GET", "/opengnsys/status") == (200, {"status": "linux", "loggedin": False})
        status, answer = await room.call("POST", "/CloningEngine/RestaurarImagen")
        assert (status, answer["code"]) == (409, "not-in-oglive")
        room.logind.log_in("c1", **person("gdm", 120, Class="greeter"))
        room.logind.log_in("2", **person("ana", 1000))
        await room.ogcore.until(lambda heard: heard[-1] == "loggedin ana")
        said = room.ogcore.calls[-1][1]
        assert {**said, "language": ""} == {
            "ip": "127.0.0.1", "user": "ana", "language": "", "session": "wayland", "ostype": "Linux",
            "osversion": system_name(),
        }  # fmt: skip
        assert await room.call("GET", "/opengnsys/status") == (200, {"status": "linux", "loggedin": True})
        room.logind.log_out("2")
        await room.ogcore.until(lambda heard: heard[-1] == "loggedout ana")
        assert room.ogcore.calls[-1][1] == {"ip": "127.0.0.1", "user": "ana"}
    assert room.ogcore.heard() == ["started", "loggedin ana", "loggedout ana", "stopped"]


async def test_the_pc_goes_down_when_ogcore_knows(room: Room) -> None:
    """The lock holds as long as ``stopped`` has no answer; and that is said once."""
    async with room.agent():
        lock = await room.logind.lock(0)
        room.logind.log_in("2", **person("ana", 1000))
        await room.ogcore.until(lambda heard: "loggedin ana" in heard)
        room.ogcore.slow.clear()
        room.logind.go_down()
        await room.ogcore.until(lambda heard: heard[-1] == "stopped")
        assert lock.held
        room.ogcore.slow.set()
        await lock.released()
        # The shutdown itself ends her session: that is after the last word.
        room.logind.log_out("2")
        await until_holds(room.folder / "state" / "sessions.json", "loggedout")
    assert room.ogcore.heard() == ["started", "loggedin ana", "stopped"]
    async with room.agent():
        await room.ogcore.until(lambda heard: "loggedout ana" in heard)
    assert room.ogcore.heard()[3:] == ["started", "loggedout ana", "stopped"]


async def test_a_shutdown_that_is_called_off(room: Room) -> None:
    async with room.agent():
        first = await room.logind.lock(0)
        await room.ogcore.until(lambda heard: "started" in heard)
        room.logind.go_down()
        await first.released()
        room.logind.go_down(going=False)
        assert (await room.logind.lock(1)).held
        await room.ogcore.until(lambda heard: heard == ["started", "stopped", "started"])
    assert room.ogcore.heard() == ["started", "stopped", "started", "stopped"]


async def test_what_ogcore_did_not_take_is_told_by_the_next(room: Room) -> None:
    room.ogcore.deaf = True
    async with room.agent():
        room.logind.log_in("2", **person("ana", 1000))
        sessions = room.folder / "state" / "sessions.json"
        await until_holds(sessions, "loggedin")
        room.logind.log_out("2")
        await until_holds(sessions, "loggedout")
    room.ogcore.deaf = False
    async with room.agent():
        await room.ogcore.until(lambda heard: "loggedout ana" in heard)
    assert [each for each in room.ogcore.heard() if "ana" in each] == ["loggedin ana", "loggedout ana"]


async def test_without_a_bus_it_works_all_the_same(room: Room) -> None:
    await room.bus.stop()
    async with room.agent():
        await room.ogcore.until(lambda heard: "started" in heard)
        assert await room.call("GET", "/opengnsys/status") == (200, {"status": "linux", "loggedin": False})
        assert await room.call("POST", "/opengnsys/logoff") == (200, {"op": "launched", "sessions": 0})
        assert (await room.call("GET", "/opengnsys/config"))[0] == 200
    assert "the system bus does not answer" in (room.folder / "log").read_text()


async def until_holds(file: Path, word: str) -> None:
    async with asyncio.timeout(300):
        while not _holds(file, f'"what":"{word}"'):  # noqa: ASYNC110 - the agent writes it
            await asyncio.sleep(0.01)


def _holds(file: Path, text: str) -> bool:
    return file.exists() and text in file.read_text()
