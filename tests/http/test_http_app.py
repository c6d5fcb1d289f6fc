"""The calls over real sockets, with jobs that are a value in the test."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from pytest_aiohttp.plugin import AiohttpClient

from ogagent.check.finding import Finding, problem, warning
from ogagent.http.access import AddressAccess, SecretAccess
from ogagent.http.app import make_app
from ogagent.http.calls import CALLS
from ogagent.settings import AccessSettings
from ogagent.system.metrics import Metrics
from tests.http.asked import AskedFunctions
from tests.http.fake_jobs import FakeJobs

SECRET = "0123456789abcdef" * 4
CALL = (
    '{"dsk":"1", "par":"2", "cpt":"83", "ifs": "1", "idi":"01936caf-facb-72ad-9446-97e7dbf2b96a", '
    '"nci":"image-test", "ipr":"192.168.68.55", "nfn":"RestaurarImagen", "method": "unicast", "ids":"0"}'
)


@pytest.fixture
def jobs() -> FakeJobs:
    return FakeJobs()


@pytest.fixture
async def agent(aiohttp_client: AiohttpClient, jobs: FakeJobs) -> TestClient[Any, Any]:
    app = make_app(jobs, AskedFunctions(), SecretAccess(SECRET), Metrics())
    return await aiohttp_client(app, headers={"Authorization": SECRET})


@pytest.fixture
async def stranger(aiohttp_client: AiohttpClient, jobs: FakeJobs) -> TestClient[Any, Any]:
    return await aiohttp_client(make_app(jobs, AskedFunctions(), SecretAccess(SECRET), Metrics()))


async def said(client: TestClient[Any, Any], method: str, path: str, **options: Any) -> tuple[int, Any]:
    async with client.request(method, path, **options) as response:
        return response.status, await response.json(content_type=None)


async def deploy(client: TestClient[Any, Any], call: str = CALL) -> tuple[int, Any]:
    form = {"Content-Type": "application/x-www-form-urlencoded"}  # as curl --data has it
    return await said(client, "POST", "/CloningEngine/RestaurarImagen", data=call, headers=form)


async def test_the_documented_call(agent: TestClient[Any, Any], jobs: FakeJobs) -> None:
    assert await deploy(agent) == (200, {"job_id": "RestaurarImagen-00000000"})
    (request,) = jobs.asked
    assert (request.dsk, request.par, request.nci, request.ipr) == (1, 2, "image-test", "192.168.68.55")


async def test_a_refused_call_names_what_stands_in_the_way(agent: TestClient[Any, Any]) -> None:
    await deploy(agent)
    status, problem = await deploy(agent)
    assert (status, problem["code"], problem["job_id"]) == (409, "disk-busy", "RestaurarImagen-00000000")


async def plan(client: TestClient[Any, Any], call: str = CALL) -> tuple[int, Any]:
    return await said(client, "POST", "/plan", data=call)


async def test_a_plan_shows_target_source_and_image_and_starts_nothing(
    agent: TestClient[Any, Any], jobs: FakeJobs
) -> None:
    status, preview = await plan(agent)
    assert (status, list(preview)) == (200, ["target", "source", "image", "warnings", "finish"])
    assert (preview["target"]["device"], preview["image"]["device_size"]) == ("/dev/sda2", 1)
    assert preview["source"] == "https://repository/image-test.img"
    assert (jobs.asked, jobs.known) == ([], {})


async def test_a_plan_is_refused_as_the_call_would_be(agent: TestClient[Any, Any]) -> None:
    assert (await plan(agent, CALL.replace('"2"', '"two"')))[1]["field"] == "par"
    status, problem = await plan(agent, CALL.replace("image-test", "too-large"))
    assert (status, problem["code"], problem["number"]) == (422, "image-too-large", 30)
    await deploy(agent)
    status, problem = await plan(agent)
    assert (status, problem["code"]) == (409, "disk-busy")


async def test_a_wrong_member_is_named(agent: TestClient[Any, Any], jobs: FakeJobs) -> None:
    status, problem = await deploy(agent, CALL.replace('"2"', '"two"'))
    assert (status, problem["code"], problem["field"]) == (400, "invalid-field", "par")
    status, problem = await deploy(agent, "{}")
    assert (status, problem["code"], problem["field"]) == (400, "missing-field", "dsk")
    assert jobs.asked == []


async def test_a_call_that_is_too_large(agent: TestClient[Any, Any], jobs: FakeJobs) -> None:
    status, problem = await deploy(agent, CALL.ljust(64 * 1024 + 1))
    assert (status, problem["code"]) == (413, "body-too-large")
    assert (await deploy(agent, CALL.ljust(64 * 1024)))[0] == 200


async def test_status_is_busy_while_a_job_runs(agent: TestClient[Any, Any], stranger: TestClient[Any, Any]) -> None:
    assert await said(stranger, "GET", "/opengnsys/status") == (200, {"status": "oglive", "loggedin": False})
    await deploy(agent)
    assert await said(stranger, "GET", "/opengnsys/status") == (200, {"status": "busy", "loggedin": False})


async def test_jobs_newest_first(agent: TestClient[Any, Any]) -> None:
    assert await said(agent, "GET", "/jobs") == (200, {"jobs": []})
    await deploy(agent)
    await said(agent, "DELETE", "/jobs/RestaurarImagen-00000000")
    await deploy(agent)
    status, answer = await said(agent, "GET", "/jobs")
    assert [job["job_id"] for job in answer["jobs"]] == ["RestaurarImagen-00000001", "RestaurarImagen-00000000"]
    assert (status, answer["jobs"][1]["state"]) == (200, "cancelled")


async def test_one_job(agent: TestClient[Any, Any]) -> None:
    await deploy(agent)
    status, job = await said(agent, "GET", "/jobs/RestaurarImagen-00000000")
    assert status == 200
    assert (job["state"], job["phase"], job["progress"]) == ("running", "fetching", 41)
    assert job["target"] == {"disk": 1, "partition": 2, "device": "/dev/sda2", "identity": "wwn-1"}
    assert job["request"]["idi"] == "01936caf-facb-72ad-9446-97e7dbf2b96a"
    phases = {"checking", "fetching", "flushing", "reading-back", "committing", "caching", "finishing"}
    assert set(job["timings"]) == {*phases, "bottleneck"}


async def test_kill_job(agent: TestClient[Any, Any]) -> None:
    await deploy(agent)
    body = {"job_id": "RestaurarImagen-00000000"}
    answer = {"job_id": "RestaurarImagen-00000000", "state": "cancelled"}
    assert await said(agent, "POST", "/CloningEngine/KillJob", json=body) == (200, answer)
    status, problem = await said(agent, "POST", "/CloningEngine/KillJob", json=body)
    assert (status, problem["code"], problem["job_id"]) == (409, "job-finished", body["job_id"])


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "missing-field"),
        ({"job_id": 7}, 400, "invalid-field"),
        ({"job_id": "\ud800"}, 400, "invalid-field"),
        ({"job_id": "RestaurarImagen-ffffffff"}, 404, "job-not-found"),
    ],
)
async def test_a_job_to_kill_that_is_none(agent: TestClient[Any, Any], body: Any, status: int, code: str) -> None:
    answered, problem = await said(agent, "POST", "/CloningEngine/KillJob", json=body)
    assert (answered, problem["code"]) == (status, code)


async def test_delete_job(agent: TestClient[Any, Any]) -> None:
    await deploy(agent)
    answer = {"job_id": "RestaurarImagen-00000000", "state": "cancelled"}
    assert await said(agent, "DELETE", "/jobs/RestaurarImagen-00000000") == (200, answer)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("job_id", ["RestaurarImagen-ffffffff", "%FF", "%ED%A0%80", "%0A", "x" * 5000])
async def test_a_job_that_is_not_there(agent: TestClient[Any, Any], method: str, job_id: str) -> None:
    status, problem = await said(agent, method, f"/jobs/{job_id}")
    assert (status, problem["code"]) == (404, "job-not-found")


async def test_disks(agent: TestClient[Any, Any]) -> None:
    status, inventory = await said(agent, "GET", "/disks")
    assert (status, inventory["disks"][0]["partitions"][0]["device"]) == (200, "/dev/sda2")
    assert inventory["disks"][0]["partitions"][0]["mounted"] is None


async def test_health(stranger: TestClient[Any, Any]) -> None:
    assert await said(stranger, "GET", "/healthz") == (200, {"ok": True})


async def test_an_unknown_path(agent: TestClient[Any, Any]) -> None:
    for path in ("/", "/nothing", "/healthz/", "/jobs/", "/jobs/a/b/c"):
        status, problem = await said(agent, "GET", path)
        assert (status, problem["code"]) == (404, "unknown-path")


async def test_a_method_that_a_path_does_not_take(agent: TestClient[Any, Any]) -> None:
    async with agent.get("/CloningEngine/KillJob") as response:
        assert response.status == 405
        assert response.headers["Allow"] == "POST"
        assert (await response.json(content_type=None))["code"] == "method-not-allowed"
    async with agent.put("/jobs/x") as response:
        assert response.headers["Allow"] == "DELETE,GET,HEAD"


EVERYTHING = [(call.method, call.path) for call in CALLS] + [("GET", "/nothing"), ("PUT", "/jobs")]


@pytest.mark.parametrize(("method", "path"), EVERYTHING)
async def test_without_a_credential_only_two_calls_answer(
    stranger: TestClient[Any, Any], method: str, path: str
) -> None:
    async with stranger.request(method, path) as response:
        if path in ("/healthz", "/opengnsys/status"):
            assert response.status == 200
        else:
            assert response.status == 401
            assert "WWW-Authenticate" in response.headers
            assert "Allow" not in response.headers
            assert (await response.json(content_type=None))["code"] == "credential-missing"


async def test_who_guesses_is_told_to_wait_but_status_still_answers(stranger: TestClient[Any, Any]) -> None:
    guess = {"Authorization": "guess"}
    seen = []
    for _ in range(22):
        async with stranger.get("/jobs", headers=guess) as response:
            seen.append(response.status)
            after = response.headers.get("Retry-After")
    assert seen == [401] * 20 + [429] * 2
    assert after == "60"
    assert (await said(stranger, "GET", "/opengnsys/status"))[0] == 200


async def test_an_address_that_is_not_allowed(aiohttp_client: AiohttpClient, jobs: FakeJobs) -> None:
    networks = AccessSettings(mode="address", allow=("192.0.2.0/24",)).networks
    client = await aiohttp_client(make_app(jobs, AskedFunctions(), AddressAccess(networks), Metrics()))
    status, problem = await said(client, "GET", "/jobs")
    assert (status, problem["code"]) == (403, "caller-not-allowed")
    assert (await said(client, "GET", "/healthz"))[0] == 200


async def test_an_address_that_is_allowed(aiohttp_client: AiohttpClient, jobs: FakeJobs) -> None:
    networks = AccessSettings(mode="address", allow=("127.0.0.0/8",)).networks
    client = await aiohttp_client(make_app(jobs, AskedFunctions(), AddressAccess(networks), Metrics()))
    assert (await deploy(client))[0] == 200


async def test_metrics_count_what_was_refused(agent: TestClient[Any, Any]) -> None:
    await said(agent, "GET", "/jobs/RestaurarImagen-ffffffff")
    await said(agent, "GET", "/nothing")
    await said(agent, "GET", "/jobs", headers={"Authorization": "wrong"})
    async with agent.get("/metrics") as response:
        text = await response.text()
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    for code in ("job-not-found", "unknown-path", "credential-wrong"):
        assert f'ogagent_refused_calls_total{{code="{code}"}} 1.0' in text


async def test_what_it_depends_on(aiohttp_client: AiohttpClient, jobs: FakeJobs) -> None:
    found = [warning("partclone", "not installed", "apt install partclone")]

    async def look() -> list[Finding]:
        return found

    app = make_app(jobs, AskedFunctions(), SecretAccess(SECRET), Metrics(), look=look)
    client = await aiohttp_client(app, headers={"Authorization": SECRET})
    row = {"what": "partclone", "state": "warning", "said": "not installed", "hint": "apt install partclone"}
    assert await said(client, "GET", "/capabilities") == (200, {"ok": True, "checks": [row]})
    found.append(problem("clock", "it is wrong", "set it"))
    assert (await said(client, "GET", "/capabilities"))[1]["ok"] is False
