"""A client that has booted from its disk: the real agent, ogCore that learns of it, and somebody at the keyboard."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, TCPConnector
from aiohttp.test_utils import unused_port
from pytest_aiohttp.plugin import AiohttpServer

from ogagent.settings import Settings
from ogagent.settings_state import StateSettings
from simulator.certificates import Authority
from simulator.errors import LabError
from simulator.ext4 import fill, make_filesystem
from simulator.machine.booted import booted_host, own_state
from simulator.machine.classroom import SYSTEM, make_disk
from simulator.machine.file_power import RESTARTS, FilePower
from simulator.machine.seat import Seat, SeatDesktop
from simulator.machine.system import installed_system
from simulator.ogcore.app import ogcore_app
from simulator.ogcore.clients import Client
from simulator.tree import linux_tree

UUID = "01936caf-facb-72ad-9446-97e7dbf2b96a"
SECRET = "0123456789abcdef" * 4


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk"
    make_disk(path)
    make_filesystem(path, SYSTEM.size, uuid=UUID, label="", offset=SYSTEM.start)
    fill(path, linux_tree(UUID), offset=SYSTEM.start)
    return path


class Room:
    def __init__(self, folder: Path, disk: Path, clients: list[Client], ogcore: str, authority: Authority) -> None:
        self.folder, self.disk, self.client, self.ogcore = folder, disk, clients[0], ogcore
        self.keyboard = unused_port()
        self._tls = authority.client_context()
        secret = folder / "secret"
        secret.touch(mode=0o600)
        secret.write_text(SECRET)
        self.config = folder / "agent.toml"
        self.config.write_text(
            f'[server]\naddress = "127.0.0.1"\nport = {self.client.port}\n[access]\nsecret_file = "{secret}"\n'
            f'[ogcore]\nurl = "{ogcore}"\nca = "{authority.certificate}"\n[state]\ndir = "{folder / "state"}"\n'
        )

    @asynccontextmanager
    async def booted(self) -> AsyncIterator[asyncio.subprocess.Process]:
        what = ("--config", self.config, "--disk", self.disk, "--keyboard", str(self.keyboard))
        command = (sys.executable, "-m", "simulator", "boot", *map(str, what))
        with (self.folder / "log").open("wb") as log:
            agent = await asyncio.create_subprocess_exec(
                *command, cwd=Path(__file__).parents[2], stdout=log, stderr=log
            )
        try:
            yield agent
            if agent.returncode is None:
                agent.terminate()
            await asyncio.wait_for(agent.wait(), 300)
        finally:
            if agent.returncode is None:
                agent.kill()
                await agent.wait()

    async def until(self, true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """As ogCore's console sees the client."""
        async with ClientSession(connector=TCPConnector(ssl=self._tls)) as session, asyncio.timeout(300):
            while True:
                async with session.get(f"{self.ogcore}/clients/pc1") as response:
                    if true(seen := await response.json()):
                        return dict(seen)
                await asyncio.sleep(0.01)

    async def press(self, key: str) -> int:
        url = f"http://127.0.0.1:{self.keyboard}/lab/{key}"
        async with ClientSession() as session, session.post(url) as response:
            return response.status

    async def call(self, path: str) -> int:
        async with ClientSession(headers={"Authorization": SECRET}) as session:
            url = f"https://127.0.0.1:{self.client.port}{path}"
            async with session.post(url, data="{}", ssl=False) as response:
                return response.status


@pytest.fixture
async def room(tmp_path: Path, disk: Path, aiohttp_server: AiohttpServer) -> Room:
    authority = Authority(tmp_path / "ca")
    clients = [Client(name="pc1", mac="08:00:27:0b:88:be", ip="127.0.0.1", port=unused_port())]
    core = await ogcore_app(clients, repository="http://127.0.0.1:9")
    url = str((await aiohttp_server(core, ssl=authority.server_context("127.0.0.1"))).make_url(""))
    return Room(tmp_path, disk, clients, url, authority)


async def test_ogcore_sees_linux_and_who_logs_in(room: Room) -> None:
    async with room.booted():
        seen = await room.until(lambda client: client["state"] == "linux")
        assert seen["system"] == installed_system(room.disk, SYSTEM.number)
        assert await room.press("login") == 204
        await room.until(lambda client: client["state"] == "linux-session")
        assert await room.press("logout") == 204
        await room.until(lambda client: client["state"] == "linux")
        assert await room.call("/CloningEngine/RestaurarImagen") == 409
    await room.until(lambda client: client["state"] == "off")
    assert list(room.client.people) == [(True, "alumno"), (False, "alumno")]


async def test_whoever_is_logged_in_is_logged_off(room: Room) -> None:
    async with room.booted():
        await room.until(lambda client: client["state"] == "linux")
        await room.press("login")
        await room.until(lambda client: client["state"] == "linux-session")
        assert await room.call("/opengnsys/logoff") == 200
        await room.until(lambda client: client["state"] == "linux")


async def test_it_restarts_when_it_is_told_to(room: Room) -> None:
    async with room.booted() as agent:
        await room.until(lambda client: client["state"] == "linux")
        assert await room.call("/opengnsys/reboot") == 200
        assert await asyncio.wait_for(agent.wait(), 300) == RESTARTS


# --- the host -----------------------------------------------------------------------------------------------------


async def test_the_running_system_is_seen_from_within(tmp_path: Path, disk: Path) -> None:
    host = booted_host([disk], (1, SYSTEM.number), Seat(), FilePower([disk], tmp_path / "nvram"))
    (found,) = (await host.disks.inventory()).disks
    assert [row.partition for row in found.partitions if row.mounted == "/"] == [SYSTEM.number]
    software = await host.insight.software_here()
    assert host.here.osversion == installed_system(disk, SYSTEM.number)
    assert host.here.osversion.startswith(software.system or "nothing")
    assert not hasattr(host.disks, "open_target"), "nothing that could write"
    assert {component.code for component in (await host.insight.hardware()).components} >= {"cpu", "dis"}


def test_a_partition_that_does_not_boot(tmp_path: Path, disk: Path) -> None:
    with pytest.raises(LabError, match="no partition 9"):
        booted_host([disk], (1, 9), Seat(), FilePower([disk], tmp_path / "nvram"))
    with pytest.raises(LabError, match="there is no disk 2"):
        booted_host([disk], (2, 1), Seat(), FilePower([disk], tmp_path / "nvram"))


def test_two_systems_of_a_pc_share_no_state() -> None:
    settings = Settings(state=StateSettings(dir="/var/lib/ogagent"))
    assert own_state(settings).state.dir == "/var/lib/ogagent-installed"


async def test_a_seat_shows_what_is_shown() -> None:
    desktop, seat = SeatDesktop(), Seat()
    session = seat.log_in()
    await desktop.show(session, "Exam", "starts")
    assert desktop.shown == [("alumno", "Exam", "starts")]
    assert (await desktop.account(session)).name == "alumno"
