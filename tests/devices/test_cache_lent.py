"""A CACHE that is really full when an image is to be lent to others, or becomes so meanwhile."""

from __future__ import annotations

import asyncio
import os
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

import pytest
from aiohttp.test_utils import TestClient, TestServer

from ogagent.errors import CacheFull
from ogagent.source.image_shelf import ImageShelf
from ogagent.source.room import IMAGES, LENT
from simulator.repository.app import PREFIX, repository_app
from simulator.repository.crowd.offer import Crowd
from tests.faults.peers import IMAGE, Pc, image_in
from tests.simulator.crowd.room import LOOPBACK, Repository

MIB: Final = 1 << 20
SIZE: Final = 40 * MIB
OTHER: Final = 65_519

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts, and gives files to others")


def fill(root: Path, left: int = 0) -> None:
    """With what the agent does not remove; so many bytes are left."""
    foreign = root / "foreign"
    with foreign.open("wb", buffering=0) as file, suppress(OSError):
        for _ in range(os.statvfs(root).f_blocks):
            file.write(bytes(MIB))
    os.truncate(foreign, foreign.stat().st_size - left)


def test_it_is_not_lent_without_room(root: Path) -> None:
    fill(root, SIZE // 2)
    with closing(ImageShelf(root, "x", evict=True)) as shelf:
        kept = shelf.partial("0" * 16, SIZE, 10)
        assert kept is not None
        with pytest.raises(CacheFull, match=r"has room for .*, the image needs 40\.0 MiB"):
            shelf.lend(kept, "name", SIZE, OTHER, OTHER)
        folder = root.joinpath(*IMAGES)
        assert [each.name for each in folder.iterdir() if each.name.endswith(LENT)] == []
        assert {each.stat().st_uid for each in folder.iterdir()} == {0}


async def test_it_becomes_full_while_peers_fill_it(root: Path, tmp_path: Path) -> None:
    """From then on the repository gives the image, and the disk holds it."""
    images = image_in(tmp_path / "images")
    app = repository_app(images, crowd=Crowd(address=LOOPBACK))
    async with TestClient(TestServer(app, host=LOOPBACK)) as client, asyncio.timeout(600):
        status, _ = await Repository(client, images).call("POST", "/p2p", {"image": "x", "speed": "30M"})
        assert status == 201
        pc = Pc(tmp_path / "pc", 2, cache=root)
        job = asyncio.create_task(pc.deploy(str(client.make_url(f"{PREFIX}/x.img"))))
        await pc.has(4 * MIB)
        await asyncio.to_thread(fill, root)
        await job
    assert pc.content == IMAGE
    assert [warning[:4] for warning in pc.progress.warnings] == ["057-", "016-"]
    assert "No space left on device" in str(pc.progress.left_crowd)
    assert pc.progress.sources.peers >= 4 * MIB
