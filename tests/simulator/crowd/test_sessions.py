"""Sessions over HTTP: what is refused, how they end, and that nothing of them is left."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from aiohttp import web

from simulator.errors import LabError
from simulator.repository.app import repository_app
from simulator.repository.crowd.offer import LEGACY_PORT, TRACKER_PORT, Crowd
from simulator.repository.crowd.wanted import read_session, read_wanted
from tests.simulator.crowd.conftest import Begun
from tests.simulator.crowd.room import (
    IMAGE,
    LOOPBACK,
    PATIENCE_S,
    Members,
    Repository,
    at,
    children_of,
    repository,
    runs,
)

pytestmark = pytest.mark.xdist_group("room")

ONE = {"image": IMAGE, "clients": 1}


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Repository]:
    async with repository(tmp_path, Crowd(address=LOOPBACK)) as found:
        yield found


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({}, "image"),
        ({"image": 7}, "image"),
        ({**ONE, "port": 80}, "port"),
        ({**ONE, "port": 65535}, "port"),
        ({**ONE, "port": "x"}, "port"),
        ({**ONE, "address": "10.0.0.1"}, "address"),
        ({**ONE, "address": "224.0.0.7"}, "address"),
        ({**ONE, "address": "here"}, "address"),
        ({**ONE, "speed": 0}, "speed"),
        ({**ONE, "speed": "fast"}, "speed"),
        ({**ONE, "speed": "99999G"}, "speed"),
        ({"image": IMAGE, "clients": 0}, "clients"),
        ({**ONE, "wait": 0}, "wait"),
        ({**ONE, "mode": "carrier-pigeon"}, "mode"),
        ({**ONE, "colour": "red"}, "colour"),
        ([], ""),
    ],
)
async def test_what_is_wrong_is_named(served: Repository, members: object, field: str) -> None:
    status, said = await served.call("POST", "/udpcast", members)
    assert (status, said.get("field", "")) == (400, field)
    assert said["error"]
    assert await served.call("GET", "/udpcast") == (200, {"sessions": []})


async def test_numbers_may_be_strings(served: Repository) -> None:
    session = await served.begin("udpcast", port="9300", clients="1", speed="1G", wait="7")
    assert (session["port"], session["speed"], session["wait"]) == (9300, 1000, 7)
    assert session["method"] == "multicast 9300:full-duplex:239.194.36.84:1000M:1:7"


@pytest.mark.parametrize("image", ["absent", "../secret", "/etc/passwd", "aula"])
async def test_an_unknown_image(served: Repository, image: str) -> None:
    status, said = await served.call("POST", "/udpcast", {"image": image, "clients": 1})
    assert (status, said["field"]) == (404, "image")


async def test_an_image_that_is_being_written(served: Repository) -> None:
    (served.images / f"{IMAGE}.img.lock").touch()
    status, said = await served.call("POST", "/udpcast", ONE)
    assert (status, said["error"]) == (409, f"{IMAGE} is being worked on")


async def test_a_port_has_one_session(served: Repository) -> None:
    """udpcast has two ports: the one after its own as well."""
    first = await served.begin("udpcast", clients=1)
    for port in (first["port"] - 1, first["port"], first["port"] + 1):
        status, said = await served.call("POST", "/udpcast", ONE | {"port": port})
        assert (status, said["error"], said["field"]) == (409, f"port {port} is in use", "port")
    second = await served.begin("udpcast", clients=1)
    assert second["port"] == first["port"] + 2
    assert second["address"] != first["address"]


async def test_a_port_that_another_program_has(served: Repository) -> None:
    other, _ = await asyncio.get_running_loop().create_datagram_endpoint(asyncio.DatagramProtocol, ("0.0.0.0", 9201))
    try:
        status, said = await served.call("POST", "/udpcast", ONE | {"port": 9200})
        assert (status, said["field"]) == (409, "port")
    finally:
        other.close()


async def test_there_is_a_bound(served: Repository) -> None:
    sessions = [await served.begin("udpcast", clients=1) for _ in range(8)]
    status, said = await served.call("POST", "/udpcast", ONE)
    assert (status, said["error"]) == (503, "8 sessions run already")
    await served.cancel(sessions[0])
    await served.begin("udpcast", clients=1)


async def test_of_those_that_have_ended_the_last_are_remembered(served: Repository) -> None:
    last: list[Members] = []
    for _ in range(23):
        last.append(await served.begin("udpcast", clients=1))
        await served.cancel(last[-1])
    _, said = await served.call("GET", "/udpcast")
    ended = [session["id"] for session in said["sessions"]]
    assert ended == [session["id"] for session in last[-len(ended) :]]
    assert len(ended) in {20, 21}  # they are counted when the next one begins


async def test_cancelled_it_is_gone(served: Repository, begun: Begun) -> None:
    session = await served.begin("udpcast", clients=1)
    cancelled = await served.cancel(session)
    assert (cancelled["state"], bool(cancelled["ended"])) == ("cancelled", True)
    assert begun() == set()
    assert await served.cancel(session) == cancelled
    assert (await served.call("DELETE", "/uftp/" + session["id"]))[0] == 404
    assert (await served.call("DELETE", "/udpcast/other"))[0] == 404


async def test_one_that_is_stuck_is_killed(served: Repository, begun: Begun) -> None:
    session = await served.begin("udpcast", clients=1)
    (pid,) = begun()
    os.kill(pid, signal.SIGSTOP)
    assert (await served.cancel(session))["state"] == "cancelled"
    assert begun() == set()


async def test_one_that_dies_has_failed(served: Repository, begun: Begun) -> None:
    session = await served.begin("udpcast", clients=1)
    (pid,) = begun()
    os.kill(pid, signal.SIGKILL)
    failed = await served.until(session, "failed")
    assert failed["status"] == -signal.SIGKILL


async def test_an_interface_that_there_is_not(tmp_path: Path) -> None:
    async with repository(tmp_path, Crowd(address=LOOPBACK, interface="eth9")) as served:
        status, said = await served.call("POST", "/udpcast", ONE)
        assert status == 409
        assert said["error"].startswith("udpcast could not begin: ")
        assert await served.call("GET", "/udpcast") == (200, {"sessions": []})


async def test_with_the_repository_all_of_them_end(tmp_path: Path, begun: Begun) -> None:
    async with repository(tmp_path, Crowd(address=LOOPBACK)) as served:
        await served.begin("udpcast", clients=1)
        await served.begin("p2p")
        assert len(begun()) == 2
    assert begun() == set()


async def test_also_when_it_is_killed(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    (images / "X.img").write_bytes(b"x" * 5000)
    command = [sys.executable, "-m", "simulator", "repository", "--crowd", "--plain", "--images", images]
    async with at("", [*command, "--port", "8480"]) as killed:
        async with asyncio.timeout(PATIENCE_S):
            while not await _begun(8480):  # noqa: ASYNC110 - it is another process
                await asyncio.sleep(0.05)
            (pid,) = children_of(killed.pid)
            killed.kill()
            while runs(pid):  # noqa: ASYNC110 - likewise
                await asyncio.sleep(0.01)


async def _begun(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return False
    body = json.dumps({"image": "X", "clients": 1})
    head = f"POST /ogrepository/v1/udpcast HTTP/1.1\r\nHost: {LOOPBACK}:{port}\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write((head + body).encode())
    status = (await reader.readline()).split()[1]
    writer.close()
    await writer.wait_closed()
    return status == b"201"


async def test_where_there_is_a_token_it_is_needed(tmp_path: Path) -> None:
    async with repository(tmp_path, Crowd(address=LOOPBACK), token="word") as served:
        for path, method in (("/udpcast", "POST"), ("/udpcast/x", "DELETE")):
            assert await _status(served, method, path, "") == 401
            assert await _status(served, method, path, "other") == 403
        assert await _status(served, "POST", "/udpcast", "word") == 201
        assert await _status(served, "GET", "/udpcast", "") == 200


async def test_where_it_cannot_be_shown_nobody_begins_any(tmp_path: Path) -> None:
    async with repository(tmp_path, Crowd(address=LOOPBACK), token="word"):
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(LOOPBACK, LEGACY_PORT)


async def _status(served: Repository, method: str, path: str, token: str) -> int:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    url = f"/ogrepository/v1{path}"
    async with served.client.request(method, url, json=ONE if method == "POST" else None, headers=headers) as response:
        return response.status


@pytest.mark.parametrize(
    "text",
    [b"", b"\xff" * 20, b"START_MULTICAST", b"START_MULTICAST absent 9000:full:239.194.17.2:70M:1:1", b"x" * 1000]
    + [f"START_MULTICAST {IMAGE} {session}".encode() for session in ("9000", "1:full:239.194.17.2:70M:1:1")],
)
async def test_who_asks_for_nonsense_hears_nothing(served: Repository, text: bytes) -> None:
    reader, writer = await asyncio.open_connection(LOOPBACK, LEGACY_PORT)
    writer.write(text)
    writer.write_eof()
    async with asyncio.timeout(PATIENCE_S):
        with suppress(ConnectionResetError):  # more was sent than anybody reads
            assert await reader.read() == b""
    writer.close()
    assert await served.call("GET", "/udpcast") == (200, {"sessions": []})


def test_a_session_as_older_clients_write_it() -> None:
    wanted = read_session("X", "9000:half:239.194.17.2:70M:20:120")
    body = (
        b'{"image":"X","port":9000,"address":"239.194.17.2","mode":"half-duplex","speed":"70M","clients":20,"wait":120}'
    )
    assert wanted == read_wanted(body)


@pytest.mark.parametrize("address", ["localhost", "::1"])
def test_an_address_that_nothing_can_be_sent_from(tmp_path: Path, address: str) -> None:
    with pytest.raises(LabError, match="is no IPv4 address"):
        repository_app(tmp_path, crowd=Crowd(address=address))


async def test_a_tracker_that_cannot_listen(tmp_path: Path) -> None:
    with socket.create_server((LOOPBACK, TRACKER_PORT)):
        runner = web.AppRunner(repository_app(tmp_path, crowd=Crowd(address=LOOPBACK)))
        with pytest.raises(LabError, match="cannot be listened for: "):
            await runner.setup()
        await runner.cleanup()
