"""``state.dir = "cache"`` on a live system, whose /var/lib is in memory: what ogCore waits for outlives it."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

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


def copy(folder: Path) -> dict[str, Any] | None:
    """That of the one job, if there is one."""
    files = [*(folder / "disk.cache4/opt/opengnsys/ogagent/reports").glob("RestaurarImagen-*.json")]
    return dict(json.loads(files[0].read_bytes())) if files else None


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
        peers.answering.set()
        peers.calls.clear()
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
        peers.answering.set()
        peers.calls.clear()
        async with agent(tmp_path, live) as process:
            await until(lambda: bool(peers.finals))
            await until(lambda: copy(tmp_path) is None)
            process.terminate()
            assert await ended(process) == 0
    (final,) = peers.finals
    assert (final["job_id"], final["der"]) == (answer["job_id"], "000-Cancelled")
    assert {name: final[name] for name in report} == report
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
