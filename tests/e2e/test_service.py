"""The service as systemd sees it: what it says and when, and how it stops while a job runs and ogCore is silent."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import socket
import struct
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest
from aiohttp import web

from ogagent.disk.record import JobRecord
from ogagent.jobs.journal import Journal
from simulator.certificates import Authority
from simulator.machine.gpt import LINUX_FILESYSTEM, Entry, write_table
from tests.records import record_in
from tests.strange import strangely

pytestmark = pytest.mark.xdist_group("service")

Start = Callable[[list[str]], list[str]]

MIB: Final = 1 << 20
SYSTEM: Final = Entry(number=1, start=MIB, size=8 * MIB, type=LINUX_FILESYSTEM, name="Linux")
SUPERBLOCK: Final = struct.pack(">4sIQ", b"XFSB", 4096, SYSTEM.size // 4096)
IMAGE: Final = SUPERBLOCK + random.Random(1).randbytes(SYSTEM.size - len(SUPERBLOCK))
SECRET: Final = "0123456789abcdef" * 4
AGENT, OGCORE, REPOSITORY = "127.0.5.2", "127.0.5.1", "127.0.5.55"
CALL: Final = {"dsk": "1", "par": "1", "idi": "1", "nci": "image-test", "ipr": REPOSITORY, "ids": "0"}
TLS_OFF: Final = False  # of the test's own calls: the agent shows a certificate of its own making


class Peers:
    """ogCore and the repository. The repository sends half of the image, ogCore answers reports as it is told."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.answering = asyncio.Event()
        self.answering.set()
        self.waiting = 0

    def ogcore(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/{path:.*}", self._take)
        return app

    def repository(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/image-test.img", self._half)
        return app

    @property
    def finals(self) -> list[dict[str, Any]]:
        return [body for _, body in self.calls if "res" in body]

    def begin_anew(self) -> None:
        """What a dead agent has said, and is answered only now, is no call of the next one."""
        self.calls = []
        self.answering.set()

    async def _take(self, request: web.Request) -> web.Response:
        calls = self.calls
        body = await request.json()
        if request.path.endswith("webhook"):
            self.waiting += 1
            await self.answering.wait()
            self.waiting -= 1
        calls.append((request.path, body))
        return web.Response()

    async def _half(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(IMAGE)), "ETag": '"1"'})
        await response.prepare(request)
        await response.write(IMAGE[: len(IMAGE) // 2])
        await asyncio.sleep(3600)
        return response


class Systemd:
    """Its end of the notification socket."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "notify")
        self.said: list[str] = []
        self.listening_at_ready: bool | None = None
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.setblocking(False)
        asyncio.get_running_loop().add_reader(self._socket, self._hear)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def _hear(self) -> None:
        text = self._socket.recv(4096).decode()
        if text == "READY=1":
            with socket.socket() as probe:
                probe.settimeout(300)
                self.listening_at_ready = probe.connect_ex((AGENT, 8000)) == 0
        self.said.append(text)


@asynccontextmanager
async def served(app: web.Application, address: str, authority: Authority | None = None) -> AsyncIterator[int]:
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        context = authority.server_context(address) if authority else None
        await web.TCPSite(runner, address, 0, ssl_context=context).start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


def prepare(folder: Path, ogcore: int, repository: int, authority: Authority) -> None:
    with (folder / "disk").open("wb") as file:
        file.truncate(10 * MIB)
        write_table(file, 10 * MIB, (SYSTEM,))
    secret = folder / "secret"
    secret.touch(mode=0o600)
    secret.write_text(SECRET)
    (folder / "agent.toml").write_text(
        f'[server]\naddress = "{AGENT}"\n[access]\nsecret_file = "{secret}"\n'
        f'[ogcore]\nurl = "https://{OGCORE}:{ogcore}"\nca = "{authority.certificate}"\n'
        f'[repository]\nurl = "http://{REPOSITORY}:{repository}/{{nci}}.img"\n'
        f'[cache]\nrequired = false\n[state]\ndir = "{folder / "state"}"\n'
    )


@asynccontextmanager
async def agent(folder: Path, start: Start = list, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    what = ("agent", "--config", str(folder / "agent.toml"), "--disk", str(folder / "disk"))
    command = start([sys.executable, "-m", "simulator", *what])
    with (folder / "log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=log, stderr=log, env={**os.environ, **environment}
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(300):
        while not condition():  # noqa: ASYNC110 - other processes change what is looked at
            await asyncio.sleep(0.02)


async def deploy() -> tuple[int, dict[str, Any]]:
    async with (
        aiohttp.ClientSession(headers={"Authorization": SECRET}) as session,
        session.post(f"https://{AGENT}:8000/CloningEngine/RestaurarImagen", json=CALL, ssl=TLS_OFF) as response,
    ):
        return response.status, dict(json.loads(await response.read()))


async def ended(process: asyncio.subprocess.Process) -> int:
    async with asyncio.timeout(300):
        return await process.wait()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


async def test_what_systemd_is_told(tmp_path: Path, authority: Authority) -> None:
    peers, systemd = Peers(), Systemd(tmp_path)
    async with (
        served(peers.ogcore(), OGCORE, authority) as ogcore,
        served(peers.repository(), REPOSITORY) as repository,
    ):
        prepare(tmp_path, ogcore, repository, authority)
        async with agent(tmp_path, NOTIFY_SOCKET=systemd.path, WATCHDOG_USEC="100000") as process:
            await until(lambda: "READY=1" in systemd.said)
            assert systemd.listening_at_ready
            await until(lambda: "STATUS=waiting for calls" in systemd.said)
            status, answer = await deploy()
            assert status == 200
            text = f"STATUS={answer['job_id']}, the restore of image-test onto partition 1 of disk 1: "
            await until(lambda: any(said.startswith(text) for said in systemd.said))
            beats = systemd.said.count("WATCHDOG=1")
            await until(lambda: systemd.said.count("WATCHDOG=1") > beats + 3)
            process.send_signal(signal.SIGINT)  # Ctrl-C goes the same way as systemd's SIGTERM
            assert await ended(process) == 0
            await until(lambda: "STOPPING=1" in systemd.said)
    systemd.close()
    assert [final["der"] for final in peers.finals] == ["000-Cancelled"]
    assert peers.calls[-1][0].endswith("/stopped")


async def test_a_stop_while_ogcore_does_not_answer(tmp_path: Path, authority: Authority) -> None:
    """New calls are refused, the report is kept, the status is 0; the next agent delivers."""
    peers = Peers()
    async with (
        served(peers.ogcore(), OGCORE, authority) as ogcore,
        served(peers.repository(), REPOSITORY) as repository,
    ):
        prepare(tmp_path, ogcore, repository, authority)
        async with agent(tmp_path) as process:
            await until(lambda: any(path.endswith("/started") for path, _ in peers.calls))
            peers.answering.clear()
            _, answer = await deploy()
            await until(lambda: peers.waiting > 0)
            process.terminate()
            await until(lambda: "stopping" in (tmp_path / "log").read_text())
            status, problem = await deploy()
            assert (status, problem["code"]) == (503, "stopping")
            process.send_signal(signal.SIGINT)  # an impatient operator changes nothing
            assert await ended(process) == 0
        assert peers.finals == []
        journal = Journal.open(tmp_path / "state")
        ((job_id, report),) = journal.undelivered()
        journal.close()
        assert (job_id, report["der"]) == (answer["job_id"], "000-Cancelled")
        peers.begin_anew()
        async with agent(tmp_path) as process:
            await until(lambda: bool(peers.finals))
            process.terminate()
            assert await ended(process) == 0
    (final,) = peers.finals
    assert {key: final[key] for key in report} == report
    assert "Traceback" not in (tmp_path / "log").read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("closed", [(), (0, 1, 2)])
async def test_whoever_starts_it_it_serves_and_ends(
    tmp_path: Path, authority: Authority, number: signal.Signals, closed: tuple[int, ...]
) -> None:
    """All signals ignored and blocked, streams closed; and with a umask of 0 nobody else may write what it writes."""
    peers = Peers()
    async with (
        served(peers.ogcore(), OGCORE, authority) as ogcore,
        served(peers.repository(), REPOSITORY) as repository,
    ):
        prepare(tmp_path, ogcore, repository, authority)
        state = tmp_path / "state"
        state.mkdir()
        async with agent(tmp_path, partial(strangely, closed=closed)) as process:
            await until(lambda: any(path.endswith("/started") for path, _ in peers.calls))
            process.send_signal(signal.SIGHUP)
            assert (await deploy())[0] == 200
            process.send_signal(number)
            assert await ended(process) == 0
    assert [final["der"] for final in peers.finals] == ["000-Cancelled"]
    assert [path.name for path in state.iterdir() if path.stat().st_mode & 0o022] == []


async def test_a_second_agent_leaves_the_jobs_of_the_first_alone(tmp_path: Path, authority: Authority) -> None:
    """Somebody starts it by hand, to look at something, while the service restores."""
    peers = Peers()
    async with (
        served(peers.ogcore(), OGCORE, authority) as ogcore,
        served(peers.repository(), REPOSITORY) as repository,
    ):
        prepare(tmp_path, ogcore, repository, authority)
        async with agent(tmp_path) as first:
            await until(lambda: any(path.endswith("/started") for path, _ in peers.calls))
            _, answer = await deploy()
            await until(lambda: any(body.get("phase") == "fetching" for _, body in peers.calls))
            log = (tmp_path / "log").read_text()
            async with agent(tmp_path) as second:
                assert await ended(second) == 78
            (line,) = (tmp_path / "log").read_text().removeprefix(log).splitlines()
            assert f"state.dir {tmp_path / 'state'} is in use by another ogagent: process {first.pid}, since" in line
            first.terminate()
            assert await ended(first) == 0
        (final,) = peers.finals
        assert (final["job_id"], final["der"]) == (answer["job_id"], "000-Cancelled")
        async with agent(tmp_path) as third:
            await until(lambda: len([path for path, _ in peers.calls if path.endswith("/started")]) == 2)
            third.terminate()
            assert await ended(third) == 0
    assert len(peers.finals) == 1


async def test_a_state_directory_that_was_lost(tmp_path: Path, authority: Authority) -> None:
    """Power cut and boot from the network: the partition says whose restore it was, and ogCore hears of it, once."""
    peers = Peers()
    async with (
        served(peers.ogcore(), OGCORE, authority) as ogcore,
        served(peers.repository(), REPOSITORY) as repository,
    ):
        prepare(tmp_path, ogcore, repository, authority)
        async with agent(tmp_path) as process:
            await until(lambda: any(path.endswith("/started") for path, _ in peers.calls))
            _, answer = await deploy()
            await until(lambda: on(tmp_path / "disk") is not None)
            process.kill()
            await ended(process)
        heard = []
        for _ in range(3):
            shutil.rmtree(tmp_path / "state")
            peers.calls.clear()
            async with agent(tmp_path) as process:
                await until(lambda: any(path.endswith("/started") for path, _ in peers.calls))
                await until(lambda: reported(tmp_path / "disk"))
                process.terminate()
                assert await ended(process) == 0
            heard += peers.finals
    (final,) = heard
    assert (final["job_id"], final["res"], final["der"][:4]) == (answer["job_id"], "2", "093-")
    assert [row["fsi"] for row in final["cfg"] if row["par"] == "1"] == ["INCOMPLETE"]
    assert "Traceback" not in (tmp_path / "log").read_text()


def on(disk: Path) -> JobRecord | None:
    return record_in(disk.read_bytes()[SYSTEM.start :])


def reported(disk: Path) -> bool:
    record = on(disk)
    return record is not None and record.reported
