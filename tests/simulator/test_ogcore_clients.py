"""What ogCore knows of its clients, of their disks and of their jobs."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import aiohttp
import pytest

from simulator.ogcore.agents import Agents, Unreachable
from simulator.ogcore.clients import Client, Started
from simulator.ogcore.watch import kept_up
from tests.simulator.ogcore_room import FINAL, JOB, SECRET, STOPPED, Members, Room

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


async def test_a_pc_that_dies_while_it_is_called_is_told_of_in_words() -> None:
    async def die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1 << 16)
        writer.close()

    agent = Started(ip="127.0.0.1", secret=SECRET, fingerprint="00" * 32)
    async with await asyncio.start_server(die, "127.0.0.1", 0) as server, aiohttp.ClientSession() as session:
        port = server.sockets[0].getsockname()[1]
        client = Client(name="pc1", mac="", ip="127.0.0.1", port=port, agent=agent)
        with pytest.raises(Unreachable) as caught:
            await Agents(session).kill(client, JOB)
    assert "object at" not in str(caught.value)


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


LOGIN: dict[str, object] = {
    "ip": "127.0.0.1", "user": "ana", "language": "es_ES.UTF-8", "session": "wayland", "ostype": "Linux",
    "osversion": "Ubuntu 24.04 LTS",
}  # fmt: skip


async def test_who_logs_in_and_out_is_taken_as_it_is_told(room: Room) -> None:
    await room.start()
    prefix = "/opengnsys/rest/ogagent"
    assert (await room.tell(f"{prefix}/loggedin", LOGIN))[0] == 200
    assert (await room.tell(f"{prefix}/loggedout", {"ip": "127.0.0.1", "user": "ana"}))[0] == 200


@pytest.mark.parametrize(
    ("what", "said", "secret", "status"),
    [
        ("loggedin", LOGIN, "another" * 8, 401),
        ("loggedin", {**LOGIN, "ip": "127.0.0.9"}, SECRET, 404),
        ("loggedin", {"ip": "127.0.0.1", "user": "ana"}, SECRET, 400),
        ("loggedin", {**LOGIN, "user": ""}, SECRET, 400),
        ("loggedout", LOGIN, SECRET, 400),
    ],
)
async def test_what_is_no_word_of_a_session(
    room: Room, what: str, said: dict[str, object], secret: str, status: int
) -> None:
    await room.start()
    assert (await room.tell(f"/opengnsys/rest/ogagent/{what}", said, secret=secret))[0] == status


async def test_of_an_agent_that_is_not_known_nothing_is_taken(room: Room) -> None:
    assert (await room.tell("/opengnsys/rest/ogagent/loggedin", LOGIN))[0] == 401


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


# --- the watch over all of that ---------------------------------------------------------------------------------------


async def test_a_trace_that_cannot_be_kept_costs_nothing_else(
    room: Room, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await room.start()
    await room.wait_for_state("og-live")
    await room.deploy()
    await room.report(FINAL)
    with closing(sqlite3.connect(tmp_path / "memory")) as memory:
        memory.execute("DROP TABLE traces")
    room.agent.job = (200, {"job_id": JOB, "state": "succeeded"})
    async with asyncio.timeout(300):
        while (await room.trace())["job"] is None:  # noqa: ASYNC110 - REST has no events
            await asyncio.sleep(0.01)
    room.agent.status = {"status": "busy", "loggedin": False}
    await room.wait_for_state("busy")
    assert [
        (entry.levelname, entry.getMessage()) for entry in caplog.records if entry.name == "simulator.ogcore.app"
    ] == [("ERROR", "trace 1 is not kept: no such table: traces")]


async def test_a_look_that_fails_is_told_and_not_the_last(caplog: pytest.LogCaptureFixture) -> None:
    looks, seen = iter((RuntimeError("odd"), None, None)), asyncio.Event()

    async def look() -> None:
        if error := next(looks, None):
            raise error
        seen.set()

    watching = asyncio.create_task(kept_up("the watch", look, 0.001, 0.001))
    await asyncio.wait_for(seen.wait(), 300)
    watching.cancel()
    await asyncio.wait([watching])
    assert [entry.getMessage() for entry in caplog.records] == ["the watch has failed, and goes on"]
