"""ogCore between an operator, a repository and an agent, each over a real socket."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient, AiohttpServer

from simulator.certificates import Authority
from simulator.ogcore.app import ogcore_app
from simulator.ogcore.clients import Client
from simulator.repository.app import repository_app

SECRET = "0123456789abcdef"
JOB = "RestaurarImagen-dfa42888"
WEBHOOK = "/opengnsys/rest/clients/status/webhook"
STARTED = "/opengnsys/rest/ogagent/started"
STOPPED = "/opengnsys/rest/ogagent/stopped"
ORDER = {"image": "image-test", "disk": 1, "partition": "2"}
PROGRESS = {"nfn": "RestaurarImagen", "progress": 10, "phase": "fetching", "bytes": {"image": 5}, "rate": 1, "eta_s": 2}
ROW = {"disk": "1", "par": "0", "cpt": "2", "fsi": "", "soi": "", "tam": "100", "uso": "0"}
FINAL = {
    "nfn": "RESPUESTA_RestaurarImagen",
    "idi": "01936caf-facb-72ad-9446-97e7dbf2b96a",
    "dsk": "1",
    "par": "2",
    "ifs": "1",
    "res": "1",
    "der": "",
    "cfg": [ROW],
    "progress": 100,
    "ip": "127.0.0.1",
    "mac": "",
}

Members = dict[str, Any]


class FakeAgent:
    """Answers as it is told and remembers what it was asked. ``before_answer`` runs while ogCore waits."""

    def __init__(self) -> None:
        self.status: Members = {"status": "oglive", "loggedin": False}
        self.answer: tuple[int, Members | str] = (200, {"job_id": JOB})
        self.asked: list[tuple[str, str, str]] = []
        self.disks: Members = {"disks": [{"disk": 1, "size": 100, "partitions": []}]}
        self.job: tuple[int, Members] = (404, {"error": "there is no such job"})
        self.before_answer: Callable[[], Awaitable[None]] | None = None

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/opengnsys/status", self._status)
        app.router.add_get("/disks", self._disks)
        app.router.add_get("/jobs/{job}", self._job)
        app.router.add_post("/CloningEngine/{call}", self._call)
        app.router.add_post("/plan", self._call)
        return app

    async def _disks(self, request: web.Request) -> web.Response:
        self.asked.append((request.path, "", request.headers.get("Authorization", "")))
        return web.json_response(self.disks)

    async def _job(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == SECRET
        status, members = self.job
        return web.json_response(members, status=status)

    async def _status(self, request: web.Request) -> web.Response:
        assert "Authorization" not in request.headers
        return web.json_response(self.status)

    async def _call(self, request: web.Request) -> web.Response:
        self.asked.append((request.path, await request.text(), request.headers.get("Authorization", "")))
        if self.before_answer:
            await self.before_answer()
        status, body = self.answer
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(status=status, text=text, content_type="application/json")


class Room:
    """``ogcore`` is what an operator sees; the rest is what an agent does."""

    def __init__(self, ogcore: TestClient[web.Request, web.Application], agent: FakeAgent, fingerprint: str) -> None:
        self.ogcore = ogcore
        self.agent = agent
        self.fingerprint = fingerprint
        self.seq = 0

    async def get(self, path: str) -> Members:
        async with self.ogcore.get(path) as response:
            assert response.status == 200, await response.text()
            return dict(await response.json())

    async def post(self, path: str, members: object = None) -> tuple[int, Members]:
        async with self.ogcore.post(path, json=members) as response:
            return response.status, await response.json()

    async def tell(
        self, path: str, said: Members, *, secret: str = SECRET, body: bytes = b"", headers: Members | None = None
    ) -> tuple[int, Members]:
        """``body`` is for what is no JSON object."""
        body = json.dumps(said).encode() if said else body
        signature = f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"
        all_headers = {"X-OgAgent-Signature": signature, "User-Agent": "python-requests/0 test", **(headers or {})}
        async with self.ogcore.post(path, data=body, headers=all_headers) as response:
            return response.status, await response.json()

    async def start(self, **changes: str) -> tuple[int, Members]:
        members = {"ip": "127.0.0.1", "mac": "", "secret": SECRET, "fingerprint": self.fingerprint, "ostype": "oglive"}
        return await self.tell(STARTED, members | changes)

    async def report(self, report: Members, **changes: Any) -> tuple[int, Members]:
        self.seq += 1
        numbered = {"job_id": JOB, "ids": "1", "seq": self.seq, "event_id": f"event-{self.seq}"}
        members = report | numbered | changes
        return await self.tell(WEBHOOK, members, headers={"X-OgAgent-Event": members["event_id"]})

    async def deploy(self, **changes: Any) -> tuple[int, Members]:
        return await self.post("/clients/pc1/deploy", ORDER | changes)

    async def trace(self, number: int = 1) -> Members:
        return await self.get(f"/traces/{number}")

    async def wait_for_state(self, state: str) -> None:
        async with asyncio.timeout(300):
            while (await self.get("/clients/pc1"))["state"] != state:  # noqa: ASYNC110 - REST has no events
                await asyncio.sleep(0.01)

    async def violations(self) -> list[str]:
        return [violation["what"] for violation in (await self.get("/violations"))["violations"]]


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
    ogcore: TestClient[web.Request, web.Application] = await aiohttp_client(await ogcore_app(clients, repository=url))
    return Room(ogcore, agent, authority.fingerprint("127.0.0.1"))


# --- clients ----------------------------------------------------------------------------------------------------------


async def test_a_client_is_off_until_it_starts(room: Room) -> None:
    assert [client["state"] for client in (await room.get("/clients"))["clients"]] == ["off", "off"]
    assert (await room.start())[0] == 200
    await room.wait_for_state("og-live")
    assert "secret" not in json.dumps(await room.get("/clients"))


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ({"status": "busy", "loggedin": False}, "busy"),
        ({"status": "linux", "loggedin": False}, "linux"),
        ({"status": "linux", "loggedin": True}, "linux-session"),
        ({"status": "windows", "loggedin": True}, "windows-session"),
        ({"status": "macos", "loggedin": False}, "macos"),
    ],
)
async def test_the_state_is_what_the_agent_says(room: Room, status: Members, state: str) -> None:
    room.agent.status = status
    await room.start()
    await room.wait_for_state(state)


async def test_a_client_that_answers_nonsense_is_off(room: Room) -> None:
    await room.start()
    await room.wait_for_state("og-live")
    room.agent.status = {"state": "oglive"}
    await room.wait_for_state("off")


async def test_another_certificate_is_not_the_client(room: Room) -> None:
    await room.start(fingerprint="00" * 32)
    await room.wait_for_state("off")
    status, answer = await room.deploy()
    assert status == 502
    assert room.agent.asked == []
    assert (await room.trace())["state"] == "failed"
    assert (await room.trace())["text"] == answer["error"]


async def test_a_fingerprint_may_have_colons(room: Room) -> None:
    colons = ":".join(room.fingerprint[at : at + 2] for at in range(0, 64, 2)).upper()
    await room.start(fingerprint=colons)
    await room.wait_for_state("og-live")


async def test_a_client_that_stops_is_off(room: Room) -> None:
    await room.start()
    await room.wait_for_state("og-live")
    assert (await room.tell(STOPPED, {"ip": "127.0.0.1"}, secret="wrong"))[0] == 401
    await room.wait_for_state("og-live")
    assert (await room.tell(STOPPED, {"ip": "127.0.0.1"}))[0] == 200
    assert (await room.get("/clients/pc1"))["state"] == "off"


@pytest.mark.parametrize(
    ("changes", "status"),
    [({"ip": "127.9.9.9"}, 404), ({"secret": ""}, 400), ({"fingerprint": "xyz"}, 400), ({"secret": "other"}, 401)],
)
async def test_a_registration_that_is_refused(room: Room, changes: Members, status: int) -> None:
    assert (await room.start(**changes))[0] == status
    assert (await room.get("/clients/pc1"))["state"] == "off"


# --- deploying --------------------------------------------------------------------------------------------------------


async def test_the_call_is_that_of_the_documentation(room: Room) -> None:
    await room.start()
    assert await room.deploy() == (200, {"job_id": JOB, "trace": "1"})
    ((path, body, authorization),) = room.agent.asked
    assert (path, authorization) == ("/CloningEngine/RestaurarImagen", SECRET)
    assert json.loads(body) == {
        "dsk": "1",
        "par": "2",
        "cpt": "83",
        "ifs": "1",
        "idi": "01936caf-facb-72ad-9446-97e7dbf2b96a",
        "nci": "image-test",
        "ipr": "127.0.0.1",
        "nfn": "RestaurarImagen",
        "method": "unicast",
        "ids": "1",
    }
    assert (await room.trace())["state"] == "pending"


async def test_the_partition_code_follows_the_image(room: Room) -> None:
    await room.start()
    await room.deploy(image="windows")
    assert json.loads(room.agent.asked[0][1])["cpt"] == "7"


async def test_a_corrupt_image_is_not_offered(room: Room) -> None:
    await room.start()
    offered = (await room.get("/images"))["images"]
    assert [image["name"] for image in offered] == ["image-test", "windows"]
    status, answer = await room.deploy(image="broken")
    assert status == 422
    assert "broken.img.full.sum" in answer["error"]
    assert room.agent.asked == []


async def test_a_refusal_is_passed_on_in_the_agents_own_words(room: Room) -> None:
    await room.start()
    room.agent.answer = (409, {"error": "partition 4 is the CACHE", "code": "target-is-cache"})
    status, answer = await room.deploy(partition=4)
    assert (status, answer) == (409, {"error": "partition 4 is the CACHE", "code": "target-is-cache", "trace": "1"})
    trace = await room.trace()
    assert (trace["state"], trace["text"]) == ("failed", "partition 4 is the CACHE")


@pytest.mark.parametrize("answer", [(200, "<html>"), (200, "[]"), (200, {"job_id": 5}), (500, "["), (204, "")])
async def test_an_agent_that_answers_nonsense(room: Room, answer: tuple[int, Members | str]) -> None:
    await room.start()
    room.agent.answer = answer
    status, _ = await room.deploy()
    assert status == 502
    assert (await room.trace())["state"] == "failed"


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"image": "absent"}, 404),
        ({"image": ""}, 400),
        ({"image": 7}, 400),
        ({"disk": 0}, 400),
        ({"disk": "one"}, 400),
        ({"partition": -1}, 400),
        ({"surprise": 1}, 400),
    ],
)
async def test_an_order_that_cannot_be_carried_out(room: Room, changes: Members, status: int) -> None:
    await room.start()
    assert (await room.deploy(**changes))[0] == status
    assert room.agent.asked == []


async def test_a_client_that_is_off_gets_no_order(room: Room) -> None:
    status, answer = await room.deploy()
    assert (status, answer) == (409, {"error": "pc1 is off"})


async def test_a_plan_is_asked_for_and_leaves_no_trace(room: Room) -> None:
    await room.start()
    room.agent.answer = (200, {"target": {"disk": 1}})
    assert await room.post("/clients/pc1/plan", ORDER) == (200, {"target": {"disk": 1}})
    ((path, body, authorization),) = room.agent.asked
    assert (path, authorization, json.loads(body)["ids"]) == ("/plan", SECRET, "0")
    room.agent.answer = (422, {"error": "The image needs 9 bytes", "code": "image-too-large"})
    status, answer = await room.post("/clients/pc1/plan", ORDER)
    assert (status, answer) == (422, {"error": "The image needs 9 bytes", "code": "image-too-large"})
    assert (await room.get("/traces"))["traces"] == []


async def test_the_same_order_once_more(room: Room) -> None:
    await room.start()
    await room.deploy(method="unicast-direct")
    assert (await room.post("/traces/1/retry"))[0] == 409  # it has not ended
    await room.report(FINAL, res="2", der="033-The image is corrupt", progress=10)
    assert await room.post("/traces/1/retry") == (200, {"job_id": JOB, "trace": "2"})
    first, second = (json.loads(body) for _, body, _ in room.agent.asked)
    assert second == first | {"ids": "2"}


# --- disks and jobs ---------------------------------------------------------------------------------------------------


async def test_disks_as_they_are_and_as_they_were(room: Room) -> None:
    inventory = await room.get("/clients/pc1/disks")
    assert (inventory["current"], inventory["disks"]) == (False, [])
    await room.start()
    inventory = await room.get("/clients/pc1/disks")
    assert (inventory["current"], inventory["disks"][0]["size"]) == (True, 100)
    assert room.agent.asked == [("/disks", "", SECRET)]
    await room.get("/clients/pc1/disks")
    assert len(room.agent.asked) == 1  # nothing is likely to be new
    await room.report(FINAL, ids="0")
    room.agent.disks = {"disks": []}
    assert (await room.get("/clients/pc1/disks"))["disks"] == []
    room.agent.disks = {"disks": "?"}
    await room.report(FINAL, ids="0", job_id="RestaurarImagen-00000001")
    inventory = await room.get("/clients/pc1/disks")
    assert (inventory["current"], "pc1 cannot tell at /disks" in inventory["why"]) == (False, True)


async def test_the_agents_own_account_of_a_job_is_kept(room: Room) -> None:
    await room.start()
    await room.wait_for_state("og-live")
    await room.deploy()
    error = {"number": 33, "code": "image-corrupt", "message": "The image is corrupt", "hint": "capture it again"}
    room.agent.job = (200, {"job_id": JOB, "state": "failed", "error": error, "timings": {"fetching": 1.5}})
    await room.report(FINAL, res="2", der="033-The image is corrupt", progress=10)
    async with asyncio.timeout(300):
        while (job := (await room.trace())["job"]) is None:  # noqa: ASYNC110 - REST has no events
            await asyncio.sleep(0.01)
    assert (job["error"]["hint"], job["timings"]) == ("capture it again", {"fetching": 1.5})


async def test_a_client_that_boots_is_initializing_until_it_starts_or_fails(room: Room) -> None:
    await room.start()
    await room.wait_for_state("og-live")
    booting = "/opengnsys/rest/ogagent/booting"
    assert (await room.post(booting, {"ip": "127.0.0.1"}))[0] == 200
    assert (await room.get("/clients/pc1"))["state"] == "initializing"
    assert (await room.tell(STOPPED, {"ip": "127.0.0.1"}))[0] == 200  # the last word of the one before
    assert (await room.get("/clients/pc1"))["state"] == "initializing"
    assert (await room.post(booting, {"ip": "127.0.0.1", "failed": True}))[0] == 200
    assert (await room.get("/clients/pc1"))["state"] == "off"


async def test_an_agent_that_registers_again_has_not_started_anew(room: Room) -> None:
    await room.start()
    await room.wait_for_state("og-live")
    room.agent.status = {"status": "og-nothing", "loggedin": False}  # whatever is asked now changes no state
    assert (await room.start())[0] == 200
    assert (await room.get("/clients/pc1"))["state"] == "og-live"


# --- reports ----------------------------------------------------------------------------------------------------------


async def test_a_trace_from_order_to_success(room: Room) -> None:
    await room.start()
    await room.deploy()
    await room.report(PROGRESS)
    trace = await room.trace()
    assert (trace["state"], trace["progress"], trace["phase"]) == ("in-progress", 10, "fetching")
    await room.report(FINAL)
    trace = await room.trace()
    assert (trace["state"], trace["progress"], trace["text"]) == ("success", 100, "Completed successfully")
    assert [report["nfn"] for report in trace["reports"]] == ["RestaurarImagen", "RESPUESTA_RestaurarImagen"]
    assert await room.violations() == []


async def test_a_report_that_says_nothing_of_the_disks(room: Room) -> None:
    await room.start()
    await room.deploy()
    status, _ = await room.report({name: value for name, value in FINAL.items() if name != "cfg"})
    assert (status, (await room.trace())["state"]) == (200, "success")


@pytest.mark.parametrize(("der", "state"), [("033-The image is corrupt", "failed"), ("000-Cancelled", "cancelled")])
async def test_a_trace_that_ends_badly(room: Room, der: str, state: str) -> None:
    await room.start()
    await room.deploy()
    await room.report(FINAL, res="2", der=der, progress=10)
    trace = await room.trace()
    assert (trace["state"], trace["text"], trace["progress"]) == (state, der, 10)


async def test_a_report_may_overtake_the_answer_to_the_call(room: Room) -> None:
    async def hurry() -> None:
        await room.report(PROGRESS)

    await room.start()
    room.agent.before_answer = hurry
    await room.deploy()
    assert (await room.trace())["state"] == "in-progress"
    assert len((await room.get("/traces"))["traces"]) == 1
    assert await room.violations() == []


async def test_an_answer_for_another_job_is_noted(room: Room) -> None:
    async def confuse() -> None:
        await room.report(PROGRESS, job_id="RestaurarImagen-00000000")

    await room.start()
    room.agent.before_answer = confuse
    await room.deploy()
    assert len(await room.violations()) == 1


async def test_a_job_that_somebody_else_started_has_a_trace_too(room: Room) -> None:
    await room.start()
    await room.report(PROGRESS, ids="0")
    await room.report(FINAL, ids="0")
    (trace,) = (await room.get("/traces"))["traces"]
    assert (trace["client"], trace["job_id"], trace["state"]) == ("pc1", JOB, "success")


async def test_a_double_is_acknowledged_and_not_counted(room: Room) -> None:
    await room.start()
    await room.deploy()
    await room.report(PROGRESS)
    await room.report(PROGRESS, seq=1, event_id="event-1")
    await room.report(FINAL, seq=3, event_id="event-3")
    status, _ = await room.report(FINAL, seq=3, event_id="event-3")
    trace = await room.trace()
    assert status == 200
    assert (trace["doubles"], len(trace["reports"])) == (2, 2)
    assert await room.violations() == []


async def test_a_double_with_another_content_is_noted(room: Room) -> None:
    await room.start()
    await room.deploy()
    await room.report(PROGRESS)
    await room.report(PROGRESS, seq=1, event_id="event-1", progress=11)
    assert await room.violations() == ["event event-1 came again with another content"]


async def test_a_second_final_report_is_acknowledged_noted_and_does_not_count(room: Room) -> None:
    await room.start()
    await room.deploy()
    await room.report(FINAL, res="2", der="033-The image is corrupt", progress=10)
    assert (await room.report(FINAL))[0] == 200
    trace = await room.trace()
    assert trace["state"] == "failed"
    assert await room.violations() == ["a second final report after the final report"]
    assert [violation["what"] for violation in trace["violations"]] == await room.violations()


async def test_late_progress_does_not_turn_back_the_trace(room: Room) -> None:
    await room.start()
    await room.deploy()
    await room.report(PROGRESS, seq=7, progress=50)
    await room.report(PROGRESS, seq=6, progress=40)
    assert (await room.trace())["progress"] == 50
    assert await room.violations() == ["report 6 came after report 7", "progress went back from 50 to 40"]


async def test_reports_must_be_signed_by_a_client(room: Room) -> None:
    await room.start()
    await room.deploy()
    body = json.dumps(FINAL | {"job_id": JOB, "ids": "1", "seq": 1, "event_id": "e"}).encode()
    assert (await room.tell(WEBHOOK, {}, body=body, secret="wrong"))[0] == 401
    assert (await room.tell(WEBHOOK, {}, body=body, headers={"X-OgAgent-Signature": "sha256=ñ"}))[0] == 401
    assert (await room.trace())["state"] == "pending"
    assert len(await room.violations()) == 2


async def test_another_library_is_turned_away(room: Room) -> None:
    await room.start()
    status, _ = await room.tell(WEBHOOK, PROGRESS, headers={"User-Agent": "curl/8"})
    assert status == 403


async def test_the_event_of_header_and_body_must_agree(room: Room) -> None:
    await room.start()
    await room.deploy()
    members = PROGRESS | {"job_id": JOB, "ids": "1", "seq": 1, "event_id": "e"}
    await room.tell(WEBHOOK, members, headers={"X-OgAgent-Event": "other"})
    assert await room.violations() == ["X-OgAgent-Event is not the event_id of the report"]


HOSTILE = [
    b"",
    b"{",
    b"[]",
    b"\xff\xfe",
    b"[" * 200_000,
    b'{"nfn":' * 30_000,
    b'{"ip":1}',
    b'{"ip":"127.0.0.1"',
    b"null",
]


@pytest.mark.parametrize("body", HOSTILE)
@pytest.mark.parametrize("path", [WEBHOOK, STARTED, STOPPED, "/clients/pc1/deploy"])
async def test_hostile_bodies(room: Room, path: str, body: bytes) -> None:
    await room.start()
    status, _ = await room.tell(path, {}, body=body)
    assert 400 <= status < 500


@pytest.mark.parametrize(
    "changes",
    [
        {"progress": 101},
        {"progress": -1},
        {"progress": "41"},
        {"phase": "resting"},
        {"seq": -1},
        {"event_id": ""},
        {"bytes": {"image": -5}},
        {"nfn": "Other"},
        {"job_id": None},
    ],
)
async def test_a_report_of_the_wrong_shape(room: Room, changes: Members) -> None:
    await room.start()
    await room.deploy()
    members = PROGRESS | {"job_id": JOB, "ids": "1", "seq": 1, "event_id": "e"} | changes
    status, _ = await room.tell(WEBHOOK, members)
    assert status == 400
    assert len(await room.violations()) == 1
    assert (await room.trace())["state"] == "pending"


async def test_a_body_that_is_too_large(room: Room) -> None:
    status, _ = await room.tell(WEBHOOK, {}, body=b" " * (1 << 19))
    assert status == 413


# --- traces -----------------------------------------------------------------------------------------------------------


async def test_traces_are_filtered(room: Room) -> None:
    await room.start()
    await room.deploy()
    await room.report(FINAL)
    room.agent.answer = (409, {"error": "busy"})
    await room.deploy()

    async def ids(query: str) -> list[str]:
        return [trace["id"] for trace in (await room.get(f"/traces?{query}"))["traces"]]

    assert await ids("") == await ids("status=&command=&client=") == ["2", "1"]
    assert await ids("status=success") == ["1"]
    assert await ids("status=failed&client=pc1&command=deploy-image") == ["2"]
    assert await ids("client=pc2") == await ids("command=other") == await ids("status=pending") == []
    status = (await room.ogcore.get("/traces?status=sleepy")).status
    assert status == 400


async def test_cancel_kills_the_job(room: Room) -> None:
    await room.start()
    await room.deploy()
    room.agent.answer = (200, {"job_id": JOB, "state": "cancelled"})
    expected = (200, {"job_id": JOB, "state": "cancelled", "trace": "1"})
    assert await room.post("/clients/pc1/cancel") == expected
    assert await room.post("/traces/1/cancel") == expected
    assert [(path, json.loads(body)) for path, body, _ in room.agent.asked[1:]] == [
        ("/CloningEngine/KillJob", {"job_id": JOB})
    ] * 2


async def test_there_may_be_nothing_to_cancel(room: Room) -> None:
    assert (await room.post("/clients/pc1/cancel"))[0] == 409
    await room.start()
    await room.deploy()
    await room.report(FINAL)
    assert (await room.post("/traces/1/cancel"))[0] == 409


@pytest.mark.parametrize("path", ["/clients/nobody", "/traces/9", "/nothing"])
async def test_what_is_not_there(room: Room, path: str) -> None:
    async with room.ogcore.get(path) as response:
        assert response.status == 404
        assert "error" in await response.json()
