"""A deployment to a room: one session at the repository, from before the agents are called until all have ended."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient, AiohttpServer

from simulator.certificates import Authority
from simulator.ogcore.app import ogcore_app
from simulator.ogcore.clients import Client, Started
from simulator.repository.app import repository_app
from simulator.repository.crowd.offer import Crowd
from tests.simulator.crowd.room import IMAGE, LOOPBACK, PATIENCE_S, Repository, repository
from tests.simulator.ogcore_room import FINAL, JOB, SECRET, STARTED, WEBHOOK, FakeAgent, Members, Room

pytestmark = pytest.mark.xdist_group("room")

TOKEN = "word"
ORDER: Members = {"clients": ["pc1", "pc2", "pc3"], "image": IMAGE, "disk": 1, "partition": 2}


class Classroom(Room):
    """``pc1`` and ``pc2`` are in ogLive, one agent answers for both; ``pc3`` is off."""

    repository: Repository

    async def order(self, **changes: Any) -> tuple[int, Members]:
        return await self.post("/deploy", ORDER | changes)

    async def sessions(self, engine: str = "p2p") -> list[Members]:
        _, said = await self.repository.call("GET", f"/{engine}")
        return list(said["sessions"])

    @property
    def told(self) -> list[Members]:
        return [json.loads(body) for _, body, _ in self.agent.asked]

    async def end(self, number: int) -> None:
        """Of the client with this number, and the trace."""
        members = {"ids": str(number), "job_id": JOB, "seq": 100, "event_id": f"final-{number}"}
        headers = {"X-OgAgent-Event": members["event_id"]}
        status, _ = await self.tell(WEBHOOK, FINAL | members, secret=secret_of(number), headers=headers)
        assert status == 200

    async def until_ended(self, state: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while [session["state"] for session in await self.sessions()] != [state]:  # noqa: ASYNC110 - REST
                await asyncio.sleep(0.02)


def secret_of(number: int) -> str:
    return SECRET if number == 1 else f"{SECRET}-{number}"


@pytest.fixture
async def room(
    tmp_path: Path, aiohttp_server: AiohttpServer, aiohttp_client: AiohttpClient
) -> AsyncIterator[Classroom]:
    async with repository(tmp_path, Crowd(address=LOOPBACK), token=TOKEN) as served:
        authority, agent = Authority(tmp_path / "ca"), FakeAgent()
        clients = [Client(name=f"pc{number}", mac="", ip=f"127.0.0.{number}") for number in (1, 2, 3)]
        for client in clients[:2]:
            server = await aiohttp_server(agent.app(), host=client.ip, ssl=authority.server_context(client.ip))
            client.port = server.port or 0
        url = str(served.client.make_url("")).rstrip("/")
        app = await ogcore_app(clients, repository=url, token=TOKEN)
        ogcore: TestClient[web.Request, web.Application] = await aiohttp_client(app)
        found = Classroom(ogcore, agent, "")
        found.repository = served
        for number, client in enumerate(clients[:2], start=1):
            members = {"ip": client.ip, "fingerprint": authority.fingerprint(client.ip), "secret": secret_of(number)}
            said = {"mac": "", "ostype": "oglive"} | members
            assert (await found.tell(STARTED, said, secret=secret_of(number)))[0] == 200
        yield found


async def test_one_session_for_all(room: Classroom) -> None:
    """It is there before anybody is told of it."""
    states: list[str] = []

    async def look() -> None:
        states.extend(session["state"] for session in await room.sessions())

    room.agent.before_answer = look
    status, said = await room.order(method="p2p", session={"wait": 90})
    assert (status, said["method"]) == (200, "p2p peer:90")
    assert states == ["waiting", "waiting"]
    assert {each["method"] for each in room.told} == {"p2p peer:90"}
    (session,) = await room.sessions()
    assert said["session"] == session["id"]
    outcomes = {each["client"]: each for each in said["outcomes"]}
    assert {name: each["status"] for name, each in outcomes.items()} == {"pc1": 200, "pc2": 200, "pc3": 409}
    assert outcomes["pc3"]["error"] == "pc3 is off"
    traces = (await room.get(f"/traces?session={session['id']}"))["traces"]
    assert {trace["client"] for trace in traces} == {"pc1", "pc2"}
    assert {trace["method"] for trace in traces} == {"p2p"}


async def test_it_ends_with_the_last_of_them(room: Classroom) -> None:
    await room.order(method="p2p")
    await room.end(1)
    assert [session["ended"] for session in await room.sessions()] == [""]
    await room.end(2)
    await room.until_ended("cancelled")


async def test_the_job_of_somebody_else_is_nobodys_acceptance(room: Classroom) -> None:
    """Whom an agent refuses it tells which job has the disk."""
    room.agent.answer = (409, {"error": "disk 1 is in use", "code": "disk-busy", "hint": "wait", "job_id": JOB})
    _, said = await room.order()
    busy = [each for each in said["outcomes"] if each.get("code") == "disk-busy"]
    assert [(each["hint"], each.get("job_id")) for each in busy] == [("wait", None)] * 2


async def test_it_ends_when_all_agents_refuse(room: Classroom) -> None:
    room.agent.answer = (422, {"error": "there is no CACHE", "code": "cache-missing"})
    status, said = await room.order(method="p2p")
    assert (status, [each["status"] for each in said["outcomes"]]) == (200, [422, 422, 409])
    await room.until_ended("cancelled")


async def test_so_many_are_waited_for_as_are_there(room: Classroom) -> None:
    options = {"port": 9400, "speed": "90M"}
    status, said = await room.order(method="MULTICAST-direct", clients=["pc1", "pc3"], session=options)
    assert (status, said["method"]) == (200, "multicast-direct 9400:full-duplex:239.194.36.184:90M:1:120")
    assert [session["clients"] for session in await room.sessions("udpcast")] == [1]


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({"method": "multicast"}, 409, "the repository refuses the session: only one client of this machine can"),
        ({"method": "uftp"}, 409, "the repository refuses the session: uftp does not get through"),
        ({"method": "multicast", "session": {"port": 80}}, 400, "the repository refuses the session: Expected"),
        ({"method": "p2p", "session": {"colour": "red"}}, 400, "the order cannot be read"),
        ({"method": "p2p", "clients": []}, 400, "the order cannot be read"),
        ({"method": "p2p", "clients": ["pc1", "pc9"]}, 404, "there is no such client"),
        ({"method": "p2p", "image": "absent"}, 404, "the repository has no image absent"),
    ],
)
async def test_refused_nothing_has_begun(room: Classroom, changes: Members, status: int, said: str) -> None:
    answered, answer = await room.order(**changes)
    assert (answered, answer["error"][: len(said)]) == (status, said)
    assert room.agent.asked == []
    assert (await room.get("/traces"))["traces"] == []
    assert await room.sessions("udpcast") == await room.sessions("p2p") == []


async def test_a_repository_without_sessions(
    images: Path, aiohttp_server: AiohttpServer, aiohttp_client: AiohttpClient, room: Classroom
) -> None:
    server = await aiohttp_server(repository_app(images))
    client = Client(name="pc1", mac="", ip="127.0.0.1")
    client.started(Started(ip=client.ip, secret="x", fingerprint="00" * 32))
    app = await ogcore_app([client], repository=str(server.make_url("")))
    plain = Room(await aiohttp_client(app), room.agent, "")
    status, said = await plain.deploy(method="p2p")
    assert (status, said["error"]) == (404, "the repository has no sessions")


async def test_for_whom_is_off_none_begins(room: Classroom) -> None:
    status, said = await room.order(method="p2p", clients=["pc3"])
    assert (status, said["session"], said["outcomes"][0]["error"]) == (200, "", "pc3 is off")
    assert await room.sessions() == []


async def test_unicast_needs_none(room: Classroom) -> None:
    status, said = await room.order()
    assert (status, said["session"], said["method"]) == (200, "", "unicast")
    assert [each["method"] for each in room.told] == ["unicast", "unicast"]
    assert await room.sessions() == []


async def test_a_session_that_somebody_else_has_begun(room: Classroom) -> None:
    method = "multicast 9000:full-duplex:239.194.17.2:70M:20:120"
    status, said = await room.order(method=method)
    assert (status, said["session"], said["method"]) == (200, "", method)
    assert await room.sessions("udpcast") == []


async def test_whoever_tries_again_has_a_session_of_his_own(room: Classroom) -> None:
    await room.order(method="p2p", clients=["pc1"])
    await room.end(1)
    await room.until_ended("cancelled")
    assert (await room.post("/traces/1/retry"))[0] == 200
    assert [session["state"] for session in await room.sessions()] == ["cancelled", "waiting"]


async def test_what_the_job_says_of_it_is_with_its_trace(room: Classroom) -> None:
    sources = {"multicast": 61, "peers": 37, "repository": 2, "cache": 0}
    left = "left the session after 12 s: link too slow"
    room.agent.job = (200, {"job_id": JOB, "state": "succeeded", "sources": sources, "left": left})
    await room.order(method="p2p", clients=["pc1"])
    await room.end(1)
    async with asyncio.timeout(PATIENCE_S):
        while not (trace := await room.trace())["job"]:  # noqa: ASYNC110 - REST has no events
            await asyncio.sleep(0.02)
    assert (trace["sources"], trace["left"]) == (sources, left)
