from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient, AiohttpServer

from simulator.certificates import Authority
from simulator.ogcore.app import ogcore_app
from simulator.ogcore.clients import Client
from simulator.repository.app import repository_app
from simulator.sample import Sample, make_sample
from tests.simulator.image_stage import Stage
from tests.simulator.ogcore_room import FakeAgent, Room


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return make_sample(tmp_path_factory.mktemp("sample"))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    directory = tmp_path / "images"
    directory.mkdir()
    for name, data in (("image-test", b"good"), ("windows", b"win"), ("broken", b"broken")):
        (directory / f"{name}.img").write_bytes(data)
        (directory / f"{name}.img.full.sum").write_text(hashlib.md5(data).hexdigest())
    (directory / "broken.img").write_bytes(b"br0ken")
    (directory / "windows.img.info").write_text("partclone:zstd:NTFS:1:modelo\n")
    return directory


@pytest.fixture
async def room(tmp_path: Path, images: Path, aiohttp_server: AiohttpServer, aiohttp_client: AiohttpClient) -> Room:
    agent = FakeAgent()
    authority = Authority(tmp_path / "ca")
    agent_server = await aiohttp_server(agent.app(), ssl=authority.server_context("127.0.0.1"))
    repository = await aiohttp_server(repository_app(images))
    clients = [
        Client(name="pc1", mac="08:00:27:0b:88:be", ip="127.0.0.1", port=agent_server.port or 0),
        Client(name="pc2", mac="08:00:27:0b:88:bf", ip="127.0.0.2"),
    ]
    url = f"http://127.0.0.1:{repository.port}"
    app = await ogcore_app(clients, repository=url, memory=tmp_path / "memory")
    ogcore: TestClient[web.Request, web.Application] = await aiohttp_client(app)
    return Room(ogcore, agent, authority.fingerprint("127.0.0.1"))


@pytest.fixture
def stage(tmp_path: Path, aiohttp_server: AiohttpServer, aiohttp_client: AiohttpClient) -> Stage:
    return Stage(tmp_path, aiohttp_server, aiohttp_client)
