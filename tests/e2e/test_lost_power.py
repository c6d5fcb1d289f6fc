"""An ogCore that was away, and then the power was: what it waits for is told all the same, for the CACHE or the disk
knows.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from aiohttp import web

from simulator.certificates import Authority
from simulator.machine.gpt import LINUX_FILESYSTEM, Entry, write_table
from tests.e2e.test_service import MIB, OGCORE, REPOSITORY, SYSTEM, Peers, agent, deploy, ended, prepare, served, until
from tests.e2e.test_state_on_cache import ask
from tests.records import record_in

pytestmark = pytest.mark.xdist_group("service")

TABLE = [{"ttp": "GPT", "che": "0"}, {"par": "1", "cpt": "LINUX", "sfi": "EXT4", "tam": "0", "ope": "1"}]
CACHE = Entry(number=4, start=9 * MIB, size=4 * MIB, type=LINUX_FILESYSTEM, name="CACHE")


class AwayAtFirst(Peers):
    def __init__(self) -> None:
        super().__init__()
        self.away = True
        self.missed: list[str] = []
        """Jobs whose end it might have heard of."""

    def repository(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/image-test.img", self._no_image)
        return app

    async def _no_image(self, _request: web.Request) -> web.Response:
        return web.Response(body=b"this is no image " * 10000)

    async def _take(self, request: web.Request) -> web.Response:
        if self.away and request.path.endswith("webhook"):
            report = await request.json()
            self.missed += [report["job_id"]] if "res" in report else []
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


async def test_a_disk_without_a_cache_says_whose_job_changed_its_table(tmp_path: Path) -> None:
    """Until ogCore knows; not how it ended, so that it is told as interrupted."""
    authority, peers = Authority(tmp_path / "ca"), AwayAtFirst()
    async with (
        served(peers.ogcore(), OGCORE, authority) as ogcore,
        served(peers.repository(), REPOSITORY) as repository,
    ):
        prepare(tmp_path, ogcore, repository, authority)
        async with agent(tmp_path) as process:
            await until(lambda: bool(peers.calls))
            job_id = await ask("Configurar", dsk="1", cfg=TABLE, ids="7")
            await until(lambda: job_id in peers.missed)
            process.kill()
            await ended(process)
        shutil.rmtree(tmp_path / "state")
        peers.away = False
        async with agent(tmp_path):
            await until(lambda: bool(peers.finals))
            await until(lambda: record_in((tmp_path / "disk").read_bytes()) is None)
        (report,) = peers.finals
        assert (report["job_id"], report["ids"], report["der"][:4]) == (job_id, "7", "093-")
        assert [row["fsi"] for row in report["cfg"]] == ["", "EXT4"]
        peers.calls.clear()
        shutil.rmtree(tmp_path / "state")
        async with agent(tmp_path):
            await until(lambda: bool(peers.calls))
            again = await ask("Actualizar")
            await until(lambda: again in [final["job_id"] for final in peers.finals])
    assert [final["job_id"] for final in peers.finals] == [again]
