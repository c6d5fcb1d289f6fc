"""ogCore is told that the agent is there, until it listens; and once that it goes."""

from __future__ import annotations

import asyncio
import json
import logging
import platform
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from aiohttp import ClientSession, web
from pytest_aiohttp.plugin import AiohttpServer

from ogagent import __version__
from ogagent.ogcore.address import LocalAddress
from ogagent.ogcore.registration import BOOT_S, EVERY_S, Registration, spread_s
from ogagent.ogcore.webhook import Webhook
from ogagent.system.os_release import system_name
from tests.ogcore.hearing import Expired

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
    await registration.start(asyncio.Event())
    ((path, _, said),) = ogcore.seen
    assert path == "/started"
    assert said == {
        "mac": "08:00:27:0b:88:be",
        "ip": "192.168.2.3",
        "secret": SECRET,
        "ostype": "oglive",
        "osversion": system_name(),
        "agent_version": __version__,
        "fingerprint": FINGERPRINT,
    }


async def test_start_until_it_is_accepted(registration: Registration, ogcore: OgCore, waits: list[float]) -> None:
    busy = web.Response(status=503, headers={"Retry-After": "5"})
    ogcore.answers = [web.Response(status=500), web.Response(status=502), busy]
    await registration.start(asyncio.Event())
    assert waits[:2] == [0.5, 1.0]
    assert 5 <= waits[2] <= 5.5
    assert len(ogcore.seen) == 4
    assert len({event_id for _, event_id, _ in ogcore.seen}) == 1


async def test_a_refusal_is_not_repeated(
    registration: Registration, ogcore: OgCore, waits: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    ogcore.answers = [web.Response(status=422, text=f"not you, {SECRET}")]
    await registration.start(asyncio.Event())
    assert (len(ogcore.seen), waits) == (1, [])
    assert "422" in caplog.text
    assert SECRET not in caplog.text


async def test_start_waits_for_the_network(hooks: tuple[Webhook, Webhook], ogcore: OgCore, waits: list[float]) -> None:
    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    async def address() -> LocalAddress:
        if len(waits) < 3:
            raise OSError("Network is unreachable")
        return await here()

    await Registration(*hooks, address, SECRET, FINGERPRINT, sleep=sleep).start(asyncio.Event())
    assert (len(waits), len(ogcore.seen)) == (3, 1)


# --- again and again ----------------------------------------------------------------------------------------------


class Waiting:
    """Implements ``Clock``, and sleeps; the test says when a wait is over."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.waits: list[float | None] = []
        self.go = asyncio.Event()
        self.begun = asyncio.Event()

    def now(self) -> float:
        raise NotImplementedError

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def wait(self, event: asyncio.Event, seconds: float | None) -> None:
        self.waits.append(seconds)
        self.begun.set()
        while not event.is_set() and not self.go.is_set():  # noqa: ASYNC110 - either of two
            await asyncio.sleep(0)
        self.go.clear()

    async def rest(self) -> None:
        await self.begun.wait()
        self.begun.clear()


@asynccontextmanager
async def kept(
    hooks: tuple[Webhook, Webhook], registered: asyncio.Event, spread_s: float = 0.0
) -> AsyncIterator[tuple[Registration, Waiting]]:
    waiting = Waiting()
    registration = Registration(
        *hooks, here, SECRET, FINGERPRINT, spread_s, sleep=waiting.sleep, jitter=lambda: 0.5, clock=waiting
    )
    task = asyncio.create_task(registration.run(registered))
    async with asyncio.timeout(300):
        yield registration, waiting
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_a_room_that_boots_together_spreads_itself(hooks: tuple[Webhook, Webhook], ogcore: OgCore) -> None:
    async with kept(hooks, asyncio.Event(), spread_s=3.5) as (_, waiting):
        await waiting.rest()
        assert (waiting.slept[0], len(ogcore.seen)) == (3.5, 1)


async def test_it_is_said_again_every_so_often(hooks: tuple[Webhook, Webhook], ogcore: OgCore) -> None:
    """An ogCore that was restored from a backup does not ask."""
    registered = asyncio.Event()
    async with kept(hooks, registered) as (_, waiting):
        for _ in range(3):
            await waiting.rest()
            assert registered.is_set()
            waiting.go.set()
        await waiting.rest()
        assert waiting.waits == [EVERY_S] * 4
    assert [(path, said["secret"]) for path, _, said in ogcore.seen] == [("/started", SECRET)] * 4
    assert len({event_id for _, event_id, _ in ogcore.seen}) == 4


async def test_an_ogcore_that_has_forgotten_is_told_at_once(hooks: tuple[Webhook, Webhook], ogcore: OgCore) -> None:
    async with kept(hooks, asyncio.Event()) as (registration, waiting):
        await waiting.rest()
        for _ in range(3):
            registration.renew()
            registration.renew()
            await waiting.rest()
    assert len(ogcore.seen) == 4
    assert waiting.slept == [5.0] * 4, "between two there is some time, whatever asks for them"


@pytest.mark.parametrize("status", [401, 403, 404, 405])
async def test_one_who_answers_for_ogcore_is_asked_again(
    hooks: tuple[Webhook, Webhook], ogcore: OgCore, status: int
) -> None:
    """Reports need not wait for that: an ogCore that has no such call takes them all the same."""
    registered = asyncio.Event()
    ogcore.answers = [web.Response(status=status) for _ in range(12)]
    async with kept(hooks, registered) as (_, waiting):
        await registered.wait()
        assert len(ogcore.seen) < 12
        await waiting.rest()
    assert len(ogcore.seen) == 13
    assert waiting.slept[:12] == [0.75 * delay for delay in (0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300)]


async def test_while_nobody_answers_reports_wait(hooks: tuple[Webhook, Webhook], ogcore: OgCore) -> None:
    registered = asyncio.Event()
    ogcore.answers = [web.Response(status=503) for _ in range(3)]
    async with kept(hooks, registered) as (_, waiting):
        while len(ogcore.seen) < 4:
            assert not registered.is_set()
            await asyncio.sleep(0)
        await waiting.rest()
    assert registered.is_set()


async def test_only_what_is_new_about_it_is_a_warning(
    registration: Registration, ogcore: OgCore, caplog: pytest.LogCaptureFixture
) -> None:
    ogcore.answers = [web.Response(status=status) for status in (500, 500, 500, 404, 404, 500)]
    await registration.start(asyncio.Event())
    warnings = [entry.getMessage() for entry in caplog.records if entry.levelno == logging.WARNING]
    assert [warning.rpartition(": ")[2] for warning in warnings] == ["500 ''", "404 ''", "500 ''"]


async def test_what_to_do_about_it_is_nothing_new(waits: list[float], caplog: pytest.LogCaptureFixture) -> None:
    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    registration = Registration(Expired(), Expired(), here, SECRET, FINGERPRINT, sleep=sleep)
    await registration.start(asyncio.Event())
    await registration.stop()
    warnings = [entry.getMessage() for entry in caplog.records if entry.levelno == logging.WARNING]
    assert [warning.rpartition(": ")[2] for warning in warnings] == ["it has expired (it is 10:01)"] * 2


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
    assert system_name() in (platform.release(), platform.freedesktop_os_release().get("PRETTY_NAME"))


async def test_stop_is_said_once_whoever_finds_out_first(registration: Registration, ogcore: OgCore) -> None:
    await registration.stop()
    await registration.stop()
    assert len(ogcore.seen) == 1
    registration.stay()
    await registration.stop()
    assert len(ogcore.seen) == 2


async def test_who_goes_registers_no_more_unless_it_stays(hooks: tuple[Webhook, Webhook], ogcore: OgCore) -> None:
    async with kept(hooks, asyncio.Event()) as (registration, waiting):
        await waiting.rest()
        await registration.stop()
        registration.renew()
        await waiting.rest()
        assert [path for path, _, _ in ogcore.seen] == ["/started", "/stopped"]
        registration.stay()
        await waiting.rest()
    assert [path for path, _, _ in ogcore.seen] == ["/started", "/stopped", "/started"]


async def test_who_goes_while_ogcore_is_away_asks_no_more(hooks: tuple[Webhook, Webhook], ogcore: OgCore) -> None:
    ogcore.answers = [web.Response(status=503) for _ in range(3)]

    async def sleep(_seconds: float) -> None:
        await going.stop()

    going = Registration(*hooks, here, SECRET, FINGERPRINT, sleep=sleep)
    await going.start(asyncio.Event())
    assert [path for path, _, _ in ogcore.seen] == ["/started", "/stopped"]


async def test_stop_that_was_not_heard_is_said_again(registration: Registration, ogcore: OgCore) -> None:
    ogcore.answers = [web.Response(status=503)]
    await registration.stop()
    await registration.stop()
    assert len(ogcore.seen) == 2


async def test_an_installed_system_says_so(hooks: tuple[Webhook, Webhook], ogcore: OgCore) -> None:
    registration = Registration(*hooks, here, SECRET, FINGERPRINT, ostype="Linux", osversion="Ubuntu 24.04 LTS")
    await registration.start(asyncio.Event())
    assert (ogcore.seen[0][2]["ostype"], ogcore.seen[0][2]["osversion"]) == ("Linux", "Ubuntu 24.04 LTS")
