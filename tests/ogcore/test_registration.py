"""ogCore is told that the agent is there, until it listens; and once that it goes."""

from __future__ import annotations

import asyncio
import json
import platform
import socket
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import psutil
import pytest
from aiohttp import ClientSession, web
from pytest_aiohttp.plugin import AiohttpServer

from ogagent import __version__
from ogagent.ogcore.address import LocalAddress, local_address
from ogagent.ogcore.registration import BOOT_S, Registration, os_version, spread_s
from ogagent.ogcore.webhook import Webhook

SECRET = "0123456789abcdef" * 4
FINGERPRINT = "ab" * 32


class OgCore:
    def __init__(self) -> None:
        self.seen: list[tuple[str, str, dict[str, Any]]] = []
        self.answers: list[web.Response] = []

    async def take(self, request: web.Request) -> web.Response:
        event_id = request.headers["X-OgAgent-Event"]
        self.seen.append((request.path, event_id, json.loads(await request.read())))
        return self.answers.pop(0) if self.answers else web.Response()


@pytest.fixture
def ogcore() -> OgCore:
    return OgCore()


@pytest.fixture
def waits() -> list[float]:
    return []


async def here() -> LocalAddress:
    return LocalAddress("192.168.2.3", "08:00:27:0b:88:be")


@pytest.fixture
async def hooks(ogcore: OgCore, aiohttp_server: AiohttpServer) -> AsyncIterator[tuple[Webhook, Webhook]]:
    app = web.Application()
    app.router.add_post("/{name}", ogcore.take)
    server = await aiohttp_server(app)
    async with ClientSession() as session:
        started, stopped = (Webhook(session, str(server.make_url(path)), SECRET) for path in ("/started", "/stopped"))
        yield started, stopped


@pytest.fixture
def registration(hooks: tuple[Webhook, Webhook], waits: list[float]) -> Registration:
    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    return Registration(*hooks, here, SECRET, FINGERPRINT, sleep=sleep, jitter=lambda: 1.0)


async def test_start(registration: Registration, ogcore: OgCore) -> None:
    await registration.start()
    ((path, _, said),) = ogcore.seen
    assert path == "/started"
    assert said == {
        "mac": "08:00:27:0b:88:be",
        "ip": "192.168.2.3",
        "secret": SECRET,
        "ostype": "oglive",
        "osversion": os_version(),
        "agent_version": __version__,
        "fingerprint": FINGERPRINT,
    }


async def test_start_until_it_is_accepted(registration: Registration, ogcore: OgCore, waits: list[float]) -> None:
    busy = web.Response(status=503, headers={"Retry-After": "5"})
    ogcore.answers = [web.Response(status=500), web.Response(status=502), busy]
    await registration.start()
    assert waits[:2] == [0.5, 1.0]
    assert 5 <= waits[2] <= 5.5
    assert len(ogcore.seen) == 4
    assert len({event_id for _, event_id, _ in ogcore.seen}) == 1


async def test_a_refusal_is_not_repeated(
    registration: Registration, ogcore: OgCore, waits: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    ogcore.answers = [web.Response(status=403, text=f"not you, {SECRET}")]
    await registration.start()
    assert (len(ogcore.seen), waits) == (1, [])
    assert "403" in caplog.text
    assert SECRET not in caplog.text


async def test_start_waits_for_the_network(hooks: tuple[Webhook, Webhook], ogcore: OgCore, waits: list[float]) -> None:
    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async def address() -> LocalAddress:
        if len(waits) < 3:
            raise OSError("Network is unreachable")
        return await here()

    await Registration(*hooks, address, SECRET, FINGERPRINT, sleep=sleep).start()
    assert (len(waits), len(ogcore.seen)) == (3, 1)


async def test_a_room_that_boots_together_spreads_itself(
    hooks: tuple[Webhook, Webhook], ogcore: OgCore, waits: list[float]
) -> None:
    async def sleep(seconds: float) -> None:
        assert not ogcore.seen
        waits.append(seconds)

    await Registration(*hooks, here, SECRET, FINGERPRINT, spread_s=3.5, sleep=sleep).start()
    assert (waits, len(ogcore.seen)) == ([3.5], 1)


def test_only_a_machine_that_has_just_booted_waits() -> None:
    assert spread_s(BOOT_S - 1, lambda: 1.0) == 5.0
    assert spread_s(20, lambda: 0.25) == 1.25
    assert spread_s(BOOT_S, lambda: 1.0) == 0.0
    assert 0 <= spread_s(0) <= 5


async def test_stop_is_said_once_without_the_secret(
    registration: Registration, ogcore: OgCore, waits: list[float]
) -> None:
    ogcore.answers = [web.Response(status=503)]
    await registration.stop()
    ((path, _, said),) = ogcore.seen
    assert (path, waits) == ("/stopped", [])
    assert said["mac"] == "08:00:27:0b:88:be"
    assert not {"secret", "fingerprint"} & set(said)


def test_the_version_of_the_system() -> None:
    assert os_version() in (platform.release(), platform.freedesktop_os_release().get("PRETTY_NAME"))


def test_the_address_is_the_one_that_reaches_ogcore() -> None:
    assert local_address("https://127.0.0.1:8443/x", "").ip == "127.0.0.1"
    assert local_address("https://localhost", "").ip in ("127.0.0.1", "::1")
    assert local_address("https://127.0.2.1", "127.0.2.2") == LocalAddress("127.0.2.2", "")


def cards() -> list[tuple[str, str]]:
    """IPv4 address and MAC of each interface that has both."""
    found = []
    for entries in psutil.net_if_addrs().values():
        by_family = {entry.family: entry.address for entry in entries}
        if socket.AF_INET in by_family and psutil.AF_LINK in by_family:
            found.append((by_family[socket.AF_INET], by_family[psutil.AF_LINK]))
    return found


@pytest.mark.parametrize(("ip", "mac"), cards())
def test_the_mac_belongs_to_the_address(ip: str, mac: str) -> None:
    assert local_address(f"https://{ip}", ip) == LocalAddress(ip, mac)


async def test_no_way_to_ogcore() -> None:
    with pytest.raises(socket.gaierror):
        await asyncio.to_thread(local_address, "https://ogcore.invalid", "")
    with pytest.raises(OSError, match="assign requested address"):
        local_address("https://127.0.0.1", "203.0.113.77")


async def test_it_is_asked_off_the_loop() -> None:
    find = partial(asyncio.to_thread, local_address, "https://127.0.0.1", "")
    assert (await find()).ip == "127.0.0.1"
