"""``state.dir = "cache"`` on a live system, whose /var/lib is in memory: what ogCore waits for outlives it."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from simulator.certificates import Authority
from simulator.machine.gpt import LINUX_FILESYSTEM, Entry, write_table
from tests.e2e import test_service as service
from tests.e2e.test_service import MIB, OGCORE, REPOSITORY, SYSTEM, Peers, agent, deploy, ended, served, until
from tests.machine.tools import missing

pytestmark = [
    pytest.mark.xdist_group("service"),
    pytest.mark.skipif(bool(missing("unshare")), reason="unshare is not installed"),
]

CACHE = Entry(number=4, start=9 * MIB, size=MIB // 2, type=LINUX_FILESYSTEM, name="CACHE")


LARGE = 64 * MIB
TABLE = [
    {"ttp": "GPT", "che": "1", "tch": "16384"},
    {"par": "1", "cpt": "LINUX", "sfi": "EXT4", "tam": "0", "ope": "1"},
]
"""Its CACHE begins elsewhere than the one that is there."""


def live(command: list[str]) -> list[str]:
    """With a /var/lib that is empty at its start and gone with its end."""
    alone = ["unshare", "--mount", *(["--map-root-user"] if os.geteuid() else [])]
    return [*alone, "sh", "-c", 'mount -t tmpfs tmpfs /var/lib && exec "$@"', "-", *command]


class Silent(Peers):
    """The repository says nothing at all: a restore has checked, and has nothing to write yet."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    async def _half(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        return await super()._half(request) if self.answering.is_set() else await self._nothing(request)

    async def _nothing(self, _request: web.Request) -> web.StreamResponse:
        await self.answering.wait()
        return web.Response(status=404)


@asynccontextmanager
async def peers_of(folder: Path, *partitions: Entry) -> AsyncIterator[Silent]:
    peers, authority = Silent(), Authority(folder / "ca")
    async with (
        served(peers.ogcore(), OGCORE, authority) as ogcore,
        served(peers.repository(), REPOSITORY) as repository,
    ):
        service.prepare(folder, ogcore, repository, authority)
        with (folder / "disk").open("r+b") as file:
            write_table(file, 10 * MIB, (SYSTEM, *partitions))
        config = folder / "agent.toml"
        config.write_text(config.read_text().replace(f'dir = "{folder / "state"}"', 'dir = "cache"'))
        yield peers


def started(peers: Peers) -> bool:
    return any(path.endswith("/started") for path, _ in peers.calls)


def copies(folder: Path) -> dict[str, Any]:
    """What lies on the CACHE, by name; while it is looked at files come and go."""
    found = {}
    with suppress(FileNotFoundError):
        for file in (folder / "disk.cache4/opt/opengnsys/ogagent/reports").glob("*.json"):
            with suppress(FileNotFoundError):
                found[file.name] = json.loads(file.read_bytes())
    return found


def copy(folder: Path) -> dict[str, Any] | None:
    """That of the one restore, if there is one."""
    return next((dict(each) for name, each in copies(folder).items() if name.startswith("RestaurarImagen-")), None)


def has_ended(folder: Path, job_id: str) -> bool:
    """By its copy."""
    return bool(copies(folder).get(f"{job_id}.json", {}).get("report"))


async def ask(function: str, **members: object) -> str:
    """The job."""
    async with (
        aiohttp.ClientSession(headers={"Authorization": service.SECRET}) as session,
        session.post(f"https://{service.AGENT}:8000/CloningEngine/{function}", json=members, ssl=False) as response,
    ):
        answer = json.loads(await response.read())
        assert response.status == 200, answer
        return str(answer["job_id"])


async def test_a_job_that_nothing_else_tells_of(tmp_path: Path) -> None:
    """It has been accepted, and nothing was written to its partition when the power went."""
    async with peers_of(tmp_path, CACHE) as peers:
        async with agent(tmp_path, live) as process:
            await until(lambda: started(peers))
            peers.answering.clear()
            _, answer = await deploy()
            await until(lambda: peers.asked > 0)
            process.kill()
            await ended(process)
        peers.begin_anew()
        async with agent(tmp_path, live) as process:
            await until(lambda: bool(peers.finals))
            await until(lambda: copy(tmp_path) is None)
            process.terminate()
            assert await ended(process) == 0
        (final,) = peers.finals
        assert (final["job_id"], final["res"], final["der"][:4]) == (answer["job_id"], "2", "093-")
        peers.calls.clear()
        async with agent(tmp_path, live) as process:
            await until(lambda: started(peers))
            process.terminate()
            assert await ended(process) == 0
        assert peers.finals == []
    assert "Traceback" not in (tmp_path / "log").read_text()


async def test_a_report_that_ogcore_has_not_taken(tmp_path: Path) -> None:
    """As it was made: the next agent says what this one would have said again."""
    async with peers_of(tmp_path, CACHE) as peers:
        async with agent(tmp_path, live) as process:
            await until(lambda: started(peers))
            peers.answering.clear()
            _, answer = await deploy()
            process.terminate()  # cancels the job; ogCore does not take what becomes of it
            await until(lambda: (copy(tmp_path) or {"report": None})["report"] is not None)
            process.kill()
            await ended(process)
        report = (copy(tmp_path) or {})["report"]
        peers.begin_anew()
        async with agent(tmp_path, live) as process:
            await until(lambda: bool(peers.finals))
            await until(lambda: copy(tmp_path) is None)
            process.terminate()
            assert await ended(process) == 0
    (final,) = peers.finals
    assert (final["job_id"], final["der"]) == (answer["job_id"], "000-Cancelled")
    assert {name: final[name] for name in report} == report
    assert "Traceback" not in (tmp_path / "log").read_text()


async def test_a_cache_that_configurar_makes_anew_has_what_the_old_one_had(tmp_path: Path) -> None:
    """A report that ogCore had not taken, and how the disks were numbered when it was last told."""
    async with peers_of(tmp_path, CACHE) as peers:
        with (tmp_path / "disk").open("r+b") as file:
            file.truncate(LARGE)
            write_table(file, LARGE, (SYSTEM, CACHE))
        async with agent(tmp_path, live) as process:
            await until(lambda: started(peers))
            await ask("Actualizar")
            await until(lambda: bool(peers.finals) and copies(tmp_path).keys() == {"numbers.json"})
            peers.answering.clear()
            script = await ask("EjecutarScript", scp="true")
            await until(lambda: has_ended(tmp_path, script))
            table = await ask("Configurar", dsk="1", cfg=TABLE)
            await until(lambda: has_ended(tmp_path, table))
            process.kill()
            await ended(process)
        assert copies(tmp_path).keys() == {f"{script}.json", f"{table}.json", "numbers.json"}
        peers.begin_anew()
        async with agent(tmp_path, live) as process:
            await until(lambda: len(peers.finals) == 2)
            process.terminate()
            assert await ended(process) == 0
    assert {final["job_id"]: final["res"] for final in peers.finals} == {script: "1", table: "1"}
    assert "Traceback" not in (tmp_path / "log").read_text()


async def test_without_a_cache_it_starts_and_says_what_that_means(tmp_path: Path) -> None:
    async with peers_of(tmp_path) as peers, agent(tmp_path, live) as process:
        await until(lambda: started(peers))
        _, answer = await deploy()
        process.terminate()
        assert await ended(process) == 0
        (final,) = peers.finals
        assert (final["job_id"], final["der"]) == (answer["job_id"], "000-Cancelled")
    log = (tmp_path / "log").read_text()
    (line,) = [line for line in log.splitlines() if "WARNING" in line and "state.dir" in line]
    assert "no disk has a CACHE to keep jobs and reports on; /var/lib/ogagent lies in memory (tmpfs)" in line
    assert "Traceback" not in log
