"""Peers that lose their seed, or whoever tells them of each other: the repository gives what they cannot have."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Final

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from ogagent.imagefile.torrent import make_torrent
from ogagent.settings import CrowdSettings
from ogagent.source.ranges import Ranges
from simulator.faults import parse_fault
from simulator.repository.app import PREFIX, repository_app
from simulator.repository.crowd.offer import Crowd
from tests.crowd.kept import Kept
from tests.crowd.test_swarm import station, swarm
from tests.faults.images import MIB
from tests.faults.peers import IMAGE, SIZE, Pc, image_in
from tests.simulator.crowd.room import LOOPBACK, Repository

PACE: Final = parse_fault("repository:slow=1MiB")
"""Of each connection: peers are faster."""


@pytest.mark.parametrize("indexed", [True, False])
async def test_the_rest_is_fetched_once_and_not_by_each(tmp_path: Path, *, indexed: bool) -> None:
    sent = 0

    async def count(request: web.Request, response: web.StreamResponse) -> None:
        nonlocal sent
        if response.status == 206:  # a whole one is broken off behind the header
            sent += response.content_length or 0

    images = image_in(tmp_path / "images")
    image = images / "x.img"
    if not indexed:
        (images / "x.img.index").unlink()
        (images / "x.img.full.sum").write_text(hashlib.md5(image.read_bytes(), usedforsecurity=False).hexdigest())
    app = repository_app(images, faults=lambda: (PACE,), crowd=Crowd(address=LOOPBACK))
    app.on_response_prepare.append(count)
    async with TestClient(TestServer(app, host=LOOPBACK)) as client:
        repository = Repository(client, images)
        status, session = await repository.call("POST", "/p2p", {"image": "x"})
        assert status == 201
        await repository.cancel(session)
        pcs = [Pc(tmp_path / f"pc{number}", number) for number in (2, 3)]
        url = str(client.make_url(f"{PREFIX}/x.img"))
        async with asyncio.timeout(600), aclosing(seed_of_half(tmp_path / "seed", image)) as seed:
            seeding = asyncio.create_task(anext(seed))
            jobs = [asyncio.create_task(pc.deploy(url)) for pc in pcs]
            await asyncio.gather(*(pc.has(image.stat().st_size // MIB // 2 * MIB) for pc in pcs))
            seeding.cancel()
            await asyncio.wait([seeding])
            await asyncio.gather(*jobs)
    assert all(pc.content == IMAGE for pc in pcs)
    rest = max(pc.rest for pc in pcs)
    assert rest > SIZE // 4
    assert sent < 2 * rest


def seed_of_half(folder: Path, image: Path) -> AsyncGenerator[tuple[int, int], None]:
    """Gives the first half of the pieces, as long as it is asked for more, which it does not take."""
    data = image.read_bytes()
    kept = Kept(folder, data)
    kept.put(0, len(data) // MIB // 2 * MIB)
    return swarm(station(9), image.with_name("x.img.torrent").read_bytes(), kept, Ranges(), len(data)).stretches()


async def test_a_tracker_that_is_gone(tmp_path: Path) -> None:
    """Nobody hears of anybody."""
    images = image_in(tmp_path / "images")
    make_torrent(images / "x.img", f"http://{LOOPBACK}:1/announce")
    settings = CrowdSettings(join_timeout_s=2)
    pcs = [Pc(tmp_path / f"pc{number}", number, settings) for number in (2, 3)]
    async with TestClient(TestServer(repository_app(images), host=LOOPBACK)) as client, asyncio.timeout(600):
        await asyncio.gather(*(pc.deploy(str(client.make_url(f"{PREFIX}/x.img"))) for pc in pcs))
    for pc in pcs:
        assert pc.content == IMAGE
        assert pc.progress.sources.peers == 0
        assert [warning[:4] for warning in pc.progress.warnings] == ["060-"]
        assert "no peer" in str(pc.progress.left_crowd)
