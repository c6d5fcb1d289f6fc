"""What an installed system can be asked for, what it refuses, and what an ogLive answers to the same."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from ogagent.functions.table import FUNCTIONS
from ogagent.model.job import State
from ogagent.system.logind import Session
from tests.http.whole_agent import HTTPS, whole_agent
from tests.installed.agent import Agent, installed_agent

ANA: Final = Session(id="2", uid=1000, user="ana", kind="wayland", active=True)
LUIS: Final = Session(id="3", uid=1001, user="luis", kind="tty")


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Agent]:
    async with installed_agent(tmp_path) as agent:
        yield agent


def base64(text: str) -> str:
    return b64encode(text.encode()).decode()


async def test_its_state_is_that_of_an_installed_system(agent: Agent) -> None:
    assert await agent.get("/opengnsys/status") == (200, {"status": "linux", "loggedin": False})
    await agent.sees(LUIS)
    assert await agent.get("/opengnsys/status") == (200, {"status": "linux", "loggedin": True})


BODIES: Final = {"dsk": "1", "par": "3", "idi": "1", "nci": "x", "ipr": "127.0.0.1", "scp": "true", "cfg": []}


@pytest.mark.parametrize(
    "path", [*(f"/CloningEngine/{each.kind.name}" for each in FUNCTIONS), "/CloningEngine/KillJob"]
)
@pytest.mark.parametrize("body", [{}, BODIES], ids=["empty", "full"])
async def test_nothing_is_done_as_in_an_oglive(agent: Agent, path: str, body: object) -> None:
    status, answer = await agent.post(path, body)
    assert (status, answer["status"], answer["code"]) == (409, 409, "not-in-oglive")
    assert "here the system of this PC's own disk is running" in answer["error"]
    assert "restart the PC by the network" in answer["hint"]
    assert agent.jobs.jobs() == []


async def test_nothing_is_planned_either(agent: Agent) -> None:
    status, answer = await agent.post("/plan", {**BODIES, "nfn": "RestaurarImagen"})
    assert (status, answer["code"]) == (409, "not-in-oglive")


# --- what is asked of the machine ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("call", "done"), [("reboot", "restart"), ("poweroff", "switch off")])
async def test_it_goes_down(agent: Agent, call: str, done: str) -> None:
    assert await agent.post(f"/opengnsys/{call}") == (200, {"op": "launched"})
    assert (await agent.last_job()).state is State.SUCCEEDED
    await agent.jobs.aclose()
    assert agent.power.done == [done]


async def test_the_disks_are_told_as_they_are_seen(agent: Agent) -> None:
    status, answer = await agent.get("/opengnsys/config")
    assert status == 200
    assert [(row["par"], row["fsi"]) for row in answer["cfg"]] == [
        ("0", ""),
        ("1", "EXT4"),
        ("2", "EXT4"),
        ("3", "EXT4"),
    ]
    assert (await agent.get("/disks"))[1]["disks"][0]["partitions"][1]["mounted"] == "/"


async def test_hardware(agent: Agent) -> None:
    status, answer = await agent.get("/opengnsys/hardware")
    assert (status, answer["components"][0]["name"]) == (200, "a processor")


@pytest.mark.parametrize("query", ["", "?disk=1&part=2"])
async def test_software_of_the_running_system(agent: Agent, query: str) -> None:
    status, answer = await agent.get(f"/opengnsys/software{query}")
    assert (status, answer["system"]) == (200, "Debian GNU/Linux 12 (bookworm)")


@pytest.mark.parametrize(
    ("query", "refusal"),
    [
        ("?disk=1&part=3", (409, "not-in-oglive")),
        ("?disk=1&part=1", (409, "not-in-oglive")),
        ("?disk=1&part=9", (404, "partition-not-found")),
        ("?disk=2&part=1", (404, "disk-not-found")),
        ("?disk=1", (400, "missing-field")),
        ("?disk=1&part=x", (400, "invalid-field")),
    ],
)
async def test_software_of_another(agent: Agent, query: str, refusal: tuple[int, str]) -> None:
    status, answer = await agent.get(f"/opengnsys/software{query}")
    assert (status, answer["code"]) == refusal


# --- and for people -----------------------------------------------------------------------------------------------


async def test_all_are_logged_off(agent: Agent) -> None:
    await agent.sees(ANA, LUIS)
    assert await agent.post("/opengnsys/logoff") == (200, {"op": "launched", "sessions": 2})
    assert agent.seat.ended == ["2", "3"]


async def test_a_message_reaches_every_desktop(agent: Agent) -> None:
    await agent.sees(ANA, LUIS)
    message = "<script>alert(1)</script> $(reboot)\nin five minutes"
    assert await agent.post("/opengnsys/popup", {"title": "Exam", "message": message}) == (
        200,
        {"op": "launched", "sessions": 1},
    )
    assert await agent.post("/opengnsys/popup", {"message": "short"}) == (200, {"op": "launched", "sessions": 1})
    assert agent.desktop.shown == [("ana", "Exam", message), ("ana", "OpenGnsys", "short")]


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({}, "missing-field", "message"),
        ({"message": ""}, "missing-field", "message"),
        ({"message": "nothing\0more"}, "invalid-field", "message"),
        ({"message": ["x"]}, "invalid-field", "message"),
        ({"message": "x", "title": "two\nlines"}, "invalid-field", "title"),
        ({"message": "x", "title": "x" * 201}, "invalid-field", "title"),
    ],
)
async def test_what_is_no_message(agent: Agent, body: object, code: str, field: str) -> None:
    await agent.sees(ANA)
    status, answer = await agent.post("/opengnsys/popup", body)
    assert (status, answer["code"], answer["field"]) == (400, code, field)
    assert agent.desktop.shown == []


@pytest.mark.parametrize("client", [None, False, "false"])
async def test_a_script_runs_as_root_and_its_end_is_told(agent: Agent, client: object) -> None:
    body = {"script": base64("id -u; echo ñ"), **({} if client is None else {"client": client})}
    assert await agent.post("/opengnsys/script", body) == (200, {"op": "launched"})
    assert (await agent.last_job()).state is State.SUCCEEDED
    report = agent.final()
    assert (report["nfn"], report["res"]) == ("RESPUESTA_EjecutarScript", "1")
    assert report["out"] == f"{os.geteuid()}\nñ\n"


@pytest.mark.parametrize("client", [True, "true"])
async def test_a_script_runs_as_who_is_logged_in(agent: Agent, client: object) -> None:
    await agent.sees(LUIS, ANA)
    body = {"script": base64("echo $USER in $XDG_RUNTIME_DIR"), "client": client}
    assert await agent.post("/opengnsys/script", body) == (200, {"op": "launched"})
    job = await agent.last_job()
    assert job.state is State.SUCCEEDED
    assert agent.final()["out"] == f"ana in /run/user/{os.geteuid()}\n"


async def test_a_script_may_be_percent_encoded_inside(agent: Agent) -> None:
    """As ogAgent has always decoded it."""
    await agent.post("/opengnsys/script", {"script": base64("echo%20%24%28%286%2A7%29%29")})
    await agent.last_job()
    assert agent.final()["out"] == "42\n"


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({}, (400, "missing-field")),
        ({"script": "no base64!"}, (400, "invalid-field")),
        ({"script": b64encode(b"\xff\xfe").decode()}, (400, "invalid-field")),
        ({"script": base64("true"), "client": "perhaps"}, (400, "invalid-field")),
        ({"script": base64("true"), "client": True}, (409, "nobody-logged-in")),
    ],
)
async def test_what_is_no_script(agent: Agent, body: object, refusal: tuple[int, str]) -> None:
    status, answer = await agent.post("/opengnsys/script", body)
    assert (status, answer["code"]) == refusal
    assert agent.jobs.jobs() == []


async def test_scripts_may_be_switched_off(tmp_path: Path) -> None:
    async with installed_agent(tmp_path, scripts=False) as agent:
        status, answer = await agent.post("/opengnsys/script", {"script": base64("true")})
        assert (status, answer["code"]) == (403, "caller-not-allowed")


@pytest.mark.parametrize("call", ["logoff", "popup", "script", "reboot", "poweroff"])
async def test_nobody_without_a_credential(agent: Agent, call: str) -> None:
    async with agent.client.post(f"/opengnsys/{call}", data="{}", headers={"Authorization": "no"}) as response:
        assert response.status == 401
    assert agent.jobs.jobs() == []


# --- the same of an ogLive ----------------------------------------------------------------------------------------


async def test_in_an_oglive_nobody_is_there() -> None:
    """Nobody had to be logged off, nobody saw it: both are done, and told as what they are."""
    async with whole_agent(HTTPS) as agent:
        assert await agent.post("/opengnsys/logoff", {}) == (200, {"op": "launched", "sessions": 0})
        assert await agent.post("/opengnsys/popup", {"message": "x"}) == (200, {"op": "launched", "sessions": 0})
        status, answer = await agent.post("/opengnsys/script", {"script": base64("true"), "client": True})
        assert (status, answer["code"]) == (409, "nobody-logged-in")
        status, answer = await agent.post("/opengnsys/script", {"script": base64("true")})
        assert (status, answer["code"]) == (403, "caller-not-allowed"), "as its settings have it"
