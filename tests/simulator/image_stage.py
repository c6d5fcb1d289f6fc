"""An ogCore that creates images, with an agent and a repository that answer as the test says."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from simulator.certificates import Authority
from simulator.ogcore.app import ogcore_app
from simulator.ogcore.clients import Client
from tests.simulator.fake_repository import TOKEN, FakeRepository
from tests.simulator.ogcore_room import FINAL, ROW, FakeAgent, Members, Room

JOB = "CrearImagen-dfa42888"
ORDER: Members = {"image": "aula/ubuntu", "description": "With LibreOffice", "disk": 1, "partition": "2"}
ID = str(uuid.uuid5(uuid.NAMESPACE_URL, "aula/ubuntu"))
FOUND = {"size": 3000, "used": 9000, "filesystem": "EXT4", "digest": "0123456789abcdef" * 2}
CREATED = {
    **{name: FINAL[name] for name in ("res", "der", "dsk", "par", "progress", "ip", "mac")},
    "nfn": "RESPUESTA_CrearImagen",
    "idi": ID,
    "cpt": "83",
    "ipr": "127.0.0.1",
    "cfg": [ROW, ROW | {"par": "2", "cpt": "83", "fsi": "EXT4", "soi": "Ubuntu 24.04"}],
    "image": FOUND,
}
FAILED = {name: value for name, value in CREATED.items() if name != "image"} | {
    "res": "2",
    "der": "041-x",
    "progress": 5,
}
BEFORE = {"size": 2000, "modified": "2026-11-01T08:00:00+00:00"}

Serve = Callable[..., Awaitable[TestServer]]
Visit = Callable[..., Awaitable[TestClient[web.Request, web.Application]]]


class Stage:
    """An ogCore that can be started anew, with what it remembers, between an agent and a repository."""

    def __init__(self, directory: Path, server: Serve, client: Visit) -> None:
        self.repository, self.agent = FakeRepository(), FakeAgent()
        self.agent.answer = (200, {"job_id": JOB})
        self._memory, self._server, self._client = directory / "memory", server, client
        self._authority = Authority(directory / "ca")

    async def room(self, token: str = TOKEN) -> Room:
        agent = await self._server(self.agent.app(), ssl=self._authority.server_context("127.0.0.1"))
        repository = await self._server(self.repository.app())
        clients = [Client(name="pc1", mac="", ip="127.0.0.1", port=agent.port or 0)]
        url = f"http://127.0.0.1:{repository.port}/"
        app = await ogcore_app(clients, repository=url, token=token, memory=self._memory)
        room = Room(await self._client(app), self.agent, self._authority.fingerprint("127.0.0.1"))
        await room.start()
        return room


async def create(room: Room, **changes: Any) -> tuple[int, Members]:
    return await room.post("/clients/pc1/create-image", ORDER | changes)


async def created(room: Room, *, number: int = 1, **changes: Any) -> None:
    """The order, and its end."""
    job_id = f"CrearImagen-0000000{number}"
    room.agent.answer = (200, {"job_id": job_id})
    assert await create(room) == (200, {"job_id": job_id, "trace": str(number)})
    status, _ = await room.report(CREATED | changes, job_id=job_id, ids=str(number))
    assert status == 200


async def image(room: Room, name: str = "aula/ubuntu") -> Members:
    images = (await room.get("/images?corrupt=1"))["images"]
    return next(dict(each) for each in images if each["name"] == name)
