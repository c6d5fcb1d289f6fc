"""An ogCore that was away, and then the power was: what a job failed of is told all the same, for the CACHE knows."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from aiohttp import web

from simulator.certificates import Authority
from simulator.machine.gpt import LINUX_FILESYSTEM, Entry, write_table
from tests.e2e.test_service import MIB, OGCORE, REPOSITORY, SYSTEM, Peers, agent, deploy, ended, prepare, served, until

pytestmark = pytest.mark.xdist_group("service")

CACHE = Entry(number=4, start=9 * MIB, size=4 * MIB, type=LINUX_FILESYSTEM, name="CACHE")


class AwayAtFirst(Peers):
    def __init__(self) -> None:
        super().__init__()
        self.away = True

    def repository(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/image-test.img", self._no_image)
        return app

    async def _no_image(self, _request: web.Request) -> web.Response:
        return web.Response(body=b"this is no image " * 10000)

    async def _take(self, request: web.Request) -> web.Response:
        if self.away and request.path.endswith("webhook"):
            return web.Response(status=503)
        return await super()._take(request)


async def test_the_reason_of_a_failure_outlives_the_power(tmp_path: Path) -> None:
    authority, peers = Authority(tmp_path / "ca"), AwayAtFirst()
    async with (
        served(peers.ogcore(), OGCORE, authority) as ogcore,
        served(peers.repository(), REPOSITORY) as repository,
    ):
        prepare(tmp_path, ogcore, repository, authority)
        with (tmp_path / "disk").open("r+b") as disk:
            disk.truncate(14 * MIB)
            write_table(disk, 14 * MIB, (SYSTEM, CACHE))
        async with agent(tmp_path) as process:
            await until(lambda: bool(peers.calls))
            status, answer = await deploy()
            assert status == 200
            job_id = answer["job_id"]
            copy = tmp_path / "disk.cache4/opt/opengnsys/ogagent/reports" / f"{job_id}.json"
            await until(copy.exists)
            process.kill()
            await ended(process)
        assert not peers.finals
        shutil.rmtree(tmp_path / "state")
        peers.away = False
        async with agent(tmp_path):
            await until(lambda: bool(peers.finals))
            (report,) = peers.finals
            assert (report["job_id"], report["res"]) == (job_id, "2")
            assert report["der"].startswith("033-")
            await until(lambda: not copy.exists())
