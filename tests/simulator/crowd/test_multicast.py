"""Multicast with the programs that there are: an image arrives at all PCs, byte for byte."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from simulator.repository.crowd.offer import LEGACY_PORT, Crowd
from tests.simulator.crowd.conftest import Begun
from tests.simulator.crowd.room import (
    BRIDGE,
    DATA,
    IMAGE,
    LOOPBACK,
    PATIENCE_S,
    SERVER,
    Repository,
    at,
    done,
    in_namespaces,
    pcs,
    repository,
)

pytestmark = pytest.mark.xdist_group("room")

PCS = 3


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[tuple[Repository, list[str]]]:
    with pcs(PCS) as names:
        async with repository(tmp_path, Crowd(address=SERVER)) as served:
            yield served, names


def receiver(port: int, target: Path) -> list[object]:
    return [
        "udp-receiver", "--nokbd", "--no-progress", "--ttl", "16", "--portbase", str(port),
        "--start-timeout", str(PATIENCE_S), "--file", target,
    ]  # fmt: skip


async def said(process: asyncio.subprocess.Process, word: bytes) -> None:
    assert process.stdout
    async with asyncio.timeout(PATIENCE_S):
        while word not in (line := await process.stdout.readline()):
            assert line


@in_namespaces
async def test_udpcast(room: tuple[Repository, list[str]], tmp_path: Path) -> None:
    served, names = room
    session = await served.begin("udpcast", clients=PCS, speed="400M", wait=PATIENCE_S)
    assert session["method"] == f"multicast 9000:full-duplex:239.194.35.40:400M:{PCS}:{PATIENCE_S}"
    assert (session["state"], session["interface"], session["ended"]) == ("waiting", BRIDGE, "")
    targets = [tmp_path / name for name in names]
    async with AsyncExitStack() as stack:
        fetching = []
        for name, target in zip(names, targets, strict=True):
            assert (await served.session(session))["state"] == "waiting"
            fetching.append(await stack.enter_async_context(at(name, receiver(session["port"], target))))
            await said(fetching[-1], b"Connected as")
        assert [status for status, _ in await asyncio.gather(*map(done, fetching))] == [0] * PCS
    assert all(target.read_bytes() == DATA for target in targets)
    ended = await served.until(session, "ended")
    assert ended["status"] == 0
    assert ended["ended"] > ended["since"]


@in_namespaces
async def test_uftp(room: tuple[Repository, list[str]], tmp_path: Path) -> None:
    served, names = room
    async with AsyncExitStack() as stack:
        daemons = []
        for name in names:
            (tmp_path / name).mkdir()
            command = [
                "uftpd",
                "-d",
                "-D",
                tmp_path / name,
                "-p",
                "9000",
                "-M",
                "239.194.17.2",
                "-I",
                "eth0",
                "-B",
                "3500000",
            ]
            daemons.append(await stack.enter_async_context(at(name, command)))
        for daemon in daemons:
            await said(daemon, b"UFTP")
        session = await served.begin("uftp", port=9000, address="239.194.17.2", speed=20, wait=1)
        assert session["method"] == "uftp 9000:239.194.17.2:20M"
        ended = await served.until(session, "ended", "failed")
        assert (ended["state"], ended["status"]) == ("ended", 0), ended["said"]
        for daemon in daemons:
            daemon.send_signal(signal.SIGTERM)
            await done(daemon)
    assert all((tmp_path / name / "ubuntu.img").read_bytes() == DATA for name in names)


@in_namespaces
async def test_uftp_begins_when_it_has_waited(room: tuple[Repository, list[str]], begun: Begun) -> None:
    """It tells of itself for a moment only: who comes later would have to do without it."""
    served, _ = room
    session = await served.begin("uftp", wait=3600)
    assert (await served.session(session))["state"] == "waiting"
    assert begun() == set()
    cancelled = await served.cancel(session)
    assert (cancelled["state"], cancelled["status"], bool(cancelled["ended"])) == ("cancelled", None, True)


@in_namespaces
async def test_nobody_comes_to_uftp(room: tuple[Repository, list[str]]) -> None:
    served, _ = room
    failed = await served.until(await served.begin("uftp", wait=1), "failed")
    assert failed["status"] == 7


@in_namespaces
async def test_older_clients_ask_for_their_session_again_and_again(
    room: tuple[Repository, list[str]], tmp_path: Path
) -> None:
    served, names = room
    for _ in range(3):
        _, writer = await asyncio.open_connection(SERVER, LEGACY_PORT)
        writer.write(f"START_MULTICAST /{IMAGE}.img 9100:full:239.194.17.3:400M:1:30".encode())
        writer.write_eof()
        await writer.drain()
        writer.close()
        await writer.wait_closed()
    async with at(names[0], receiver(9100, tmp_path / "image")) as fetching:
        assert (await done(fetching))[0] == 0
    assert (tmp_path / "image").read_bytes() == DATA
    _, said = await served.call("GET", "/udpcast")
    assert [session["method"] for session in said["sessions"]] == ["multicast 9100:full-duplex:239.194.17.3:400M:1:30"]


async def test_the_command_line_is_that_of_opengnsys(tmp_path: Path, begun: Begun) -> None:
    """But for the retries, and for an end when nobody comes."""
    async with repository(tmp_path, Crowd(address=LOOPBACK, interface="lo")) as served:
        await served.begin("udpcast", clients=1, port=9000, address="239.194.17.2", speed="70M", wait=120)
        (pid,) = begun()
        words = await asyncio.to_thread(Path(f"/proc/{pid}/cmdline").read_text)
    line = (
        "udp-sender --nokbd --no-progress --retries-until-drop 10 --portbase 9000 --full-duplex --interface lo "
        "--mcast-data-address 239.194.17.2 --fec 8x8/128 --max-bitrate 70m --ttl 16 --min-clients 1 --max-wait 120 "
        f"--start-timeout 720 --file {tmp_path}/images/{IMAGE}.img"
    )
    assert words.split("\0")[:-1] == line.split(" ")


async def test_over_the_loopback_interface_one_client_is_served(tmp_path: Path) -> None:
    async with repository(tmp_path, Crowd(address=LOOPBACK)) as served:
        session = await served.begin("udpcast", clients=1, speed=400)
        command = [*receiver(session["port"], tmp_path / "image"), "--interface", "lo"]
        async with at("", command) as fetching:
            assert (await done(fetching))[0] == 0
        assert (tmp_path / "image").read_bytes() == DATA
        await served.until(session, "ended")


async def test_over_the_loopback_interface_there_is_no_multicast_for_several(tmp_path: Path) -> None:
    async with repository(tmp_path, Crowd(address=LOOPBACK)) as served:
        assert await served.call("POST", "/udpcast", {"image": IMAGE, "clients": 2}) == (
            409,
            {
                "error": "only one client of this machine can receive multicast, not 2",
                "field": "clients",
                "hint": "p2p reaches several here; in ogsim lab --switch all methods do",
            },
        )
        status, said = await served.call("POST", "/uftp", {"image": IMAGE})
        assert (status, said["hint"]) == (409, "p2p reaches several here; in ogsim lab --switch all methods do")
        assert await served.call("GET", "/udpcast") == (200, {"sessions": []})
