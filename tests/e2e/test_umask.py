"""An agent started by somebody whose files nobody else may read: of the images that it keeps others can have theirs."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from aiohttp import web

from ogagent.crowd.gifts import Gift, close_gifts, open_gifts
from simulator.certificates import Authority
from simulator.machine.gpt import LINUX_FILESYSTEM, Entry, write_table
from simulator.repository.crowd.torrents import make_torrent
from tests.e2e.test_service import (
    IMAGE,
    MIB,
    OGCORE,
    REPOSITORY,
    SYSTEM,
    Peers,
    agent,
    deploy,
    ended,
    prepare,
    served,
    until,
)
from tests.strange import strangely

pytestmark = pytest.mark.xdist_group("service")

CACHE: Final = Entry(number=2, start=9 * MIB, size=16 * MIB, type=LINUX_FILESYSTEM, name="CACHE")


class Whole(Peers):
    """The repository sends all of the image."""

    def repository(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/image-test.img", self._image)
        app.router.add_get("/image-test.img.full.sum", self._sum)
        return app

    async def _image(self, _request: web.Request) -> web.Response:
        return web.Response(body=IMAGE, headers={"ETag": '"1"'})

    async def _sum(self, _request: web.Request) -> web.Response:
        return web.Response(text=hashlib.md5(IMAGE, usedforsecurity=False).hexdigest())


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


async def test_an_image_that_is_kept_can_be_given(tmp_path: Path, authority: Authority) -> None:
    peers = Whole()
    async with (
        served(peers.ogcore(), OGCORE, authority) as ogcore,
        served(peers.repository(), REPOSITORY) as repository,
    ):
        prepare(tmp_path, ogcore, repository, authority)
        with (tmp_path / "disk").open("r+b") as disk:
            disk.truncate(32 * MIB)
            write_table(disk, 32 * MIB, (SYSTEM, CACHE))
        async with agent(tmp_path, partial(strangely, umask=0o077)) as process:
            await until(lambda: any(path.endswith("/started") for path, _ in peers.calls))
            assert (await deploy())[0] == 200
            await until(lambda: bool(peers.finals))
            process.terminate()
            assert await ended(process) == 0
    assert [final["res"] for final in peers.finals] == ["1"], peers.finals
    image = tmp_path / "disk.cache2/opt/opengnsys/images/image-test.img"
    assert {path.name for path in image.parent.iterdir()} == {image.name, f"{image.name}.full.sum"}
    assert {path.stat().st_mode & 0o777 for path in image.parent.iterdir()} == {0o644}
    assert gifts_of(tmp_path / "disk.cache2", image) == ["image-test"]


def gifts_of(cache: Path, image: Path) -> list[str]:
    image.with_name(f"{image.name}.torrent").write_bytes(make_torrent(image, "http://127.0.0.1:6969/announce"))
    gifts: list[Gift] = []
    open_gifts(cache, ["image-test"], gifts, others=False)
    close_gifts(gifts)
    return [gift.name for gift in gifts]
