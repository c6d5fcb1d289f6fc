"""Notices that wait in line: in their order, each until it is taken."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientSession, web
from pytest_aiohttp.plugin import AiohttpServer

from ogagent.ogcore.address import LocalAddress
from ogagent.ogcore.line import Line, Notice
from ogagent.ogcore.webhook import Webhook
from tests.ogcore.hearing import Expired, StoppedClock

SECRET = "0123456789abcdef" * 4


class OgCore:
    """``answers`` in turn; then every notice is taken."""

    def __init__(self) -> None:
        self.answers: list[web.Response] = []
        self.seen: list[tuple[str, dict[str, Any]]] = []

    async def take(self, request: web.Request) -> web.Response:
        self.seen.append((request.path, json.loads(await request.read())))
        return self.answers.pop(0) if self.answers else web.Response()


class Waiting:
    """Implements ``Notices``."""

    def __init__(self) -> None:
        self.come = asyncio.Event()
        self.notices: list[Notice] = []

    @property
    def first(self) -> Notice | None:
        return self.notices[0] if self.notices else None

    async def drop(self, notice: Notice) -> None:
        self.notices.remove(notice)

    def add(self, what: str, user: str) -> None:
        self.notices.append(Notice(event_id=f"{what}-{user}", what=what, members={"user": user}))
        self.come.set()


class Room:
    def __init__(
        self, line: Line, ogcore: OgCore, notices: Waiting, clock: StoppedClock, registered: asyncio.Event
    ) -> None:
        self.line, self.ogcore, self.notices, self.clock, self.registered = line, ogcore, notices, clock, registered
        self.forgotten: list[bool] = []


async def here() -> LocalAddress:
    return LocalAddress("192.168.2.3", "08:00:27:0b:88:be")


@pytest.fixture
async def room(aiohttp_server: AiohttpServer) -> AsyncIterator[Room]:
    ogcore, notices, clock, registered = OgCore(), Waiting(), StoppedClock(), asyncio.Event()
    app = web.Application()
    app.router.add_post("/{name}", ogcore.take)
    server = await aiohttp_server(app)
    async with ClientSession() as session:
        paths = {what: Webhook(session, str(server.make_url(f"/{what}")), SECRET) for what in ("in", "out")}
        forgotten: list[bool] = []
        line = Line(paths, here, notices, registered, lambda: forgotten.append(True), clock=clock, jitter=lambda: 1.0)
        room = Room(line, ogcore, notices, clock, registered)
        room.forgotten = forgotten
        registered.set()
        yield room


@pytest.fixture
async def kept(room: Room) -> AsyncIterator[Room]:
    task = asyncio.create_task(room.line.run())
    yield room
    task.cancel()
    await asyncio.wait({task})


async def test_each_goes_to_its_own_path_with_the_address(kept: Room) -> None:
    kept.notices.add("in", "ana")
    await kept.clock.rest()
    kept.notices.add("out", "ana")
    await kept.clock.rest()
    assert kept.ogcore.seen == [
        ("/in", {"ip": "192.168.2.3", "user": "ana"}),
        ("/out", {"ip": "192.168.2.3", "user": "ana"}),
    ]


async def test_the_first_is_tried_until_it_is_taken_and_the_others_wait(kept: Room) -> None:
    kept.ogcore.answers = [web.Response(status=503) for _ in range(9)]
    kept.notices.add("in", "ana")
    kept.notices.add("out", "ana")
    for pause in (0.5, 1, 2, 4, 8, 16, 32, 60, 60):
        await kept.clock.advance(pause)
    assert [path for path, _ in kept.ogcore.seen] == [*["/in"] * 10, "/out"]
    assert kept.notices.notices == []


async def test_what_is_refused_for_good_stands_in_nobodys_way(kept: Room, caplog: pytest.LogCaptureFixture) -> None:
    kept.ogcore.answers = [web.Response(status=422)]
    kept.notices.add("in", "ana")
    kept.notices.add("out", "ana")
    await kept.clock.rest()
    assert [path for path, _ in kept.ogcore.seen] == ["/in", "/out"]
    assert "ogCore refuses to be told that somebody has in: 422" in caplog.text


async def test_an_ogcore_that_has_forgotten_is_reminded(kept: Room) -> None:
    kept.ogcore.answers = [web.Response(status=401)]
    kept.notices.add("in", "ana")
    await kept.clock.rest()
    assert kept.forgotten == [True]
    await kept.clock.advance(0.5)
    assert kept.notices.notices == []


async def test_a_complaint_is_told_once(kept: Room, caplog: pytest.LogCaptureFixture) -> None:
    kept.ogcore.answers = [web.Response(status=503), web.Response(status=503), web.Response(status=500)]
    kept.notices.add("in", "ana")
    for pause in (0.5, 1, 2):
        await kept.clock.advance(pause)
    warnings = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert [warning.rpartition(": ")[2] for warning in warnings] == ["503 ''", "500 ''"]


async def test_it_is_told_once_also_when_the_hint_tells_the_time(caplog: pytest.LogCaptureFixture) -> None:
    notices, clock, registered = Waiting(), StoppedClock(), asyncio.Event()
    line = Line({"in": Expired()}, here, notices, registered, clock=clock, jitter=lambda: 1.0)
    registered.set()
    notices.add("in", "ana")
    task = asyncio.create_task(line.run())
    for pause in (0.5, 1, 2):
        await clock.advance(pause)
    task.cancel()
    await asyncio.wait({task})
    warnings = [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]
    assert [warning.rpartition(" s: ")[2] for warning in warnings] == ["it has expired (it is 10:01)"]


async def test_at_the_end_each_has_one_more_attempt(room: Room) -> None:
    for user in ("ana", "luis", "eva"):
        room.notices.add("out", user)
    room.ogcore.answers = [web.Response(), web.Response(status=503)]
    await room.line.close(300)
    assert [members["user"] for _, members in room.ogcore.seen] == ["ana", "luis"]
    assert [notice.members["user"] for notice in room.notices.notices] == ["luis", "eva"]


async def test_nothing_is_said_to_one_who_does_not_know_this_agent(room: Room) -> None:
    room.registered.clear()
    room.notices.add("in", "ana")
    task = asyncio.create_task(room.line.run())
    await room.line.close(300)
    assert room.ogcore.seen == []
    room.registered.set()
    await room.clock.rest()
    assert len(room.ogcore.seen) == 1
    task.cancel()
    await asyncio.wait({task})


async def test_after_the_last_word_nothing_is_said_until_it_goes_on(kept: Room) -> None:
    """Whoever is logged out by the shutdown itself has logged out after the PC counts as off."""
    await kept.clock.rest()
    await kept.line.close(300)
    kept.notices.add("out", "ana")
    await kept.line.close(300)
    for _ in range(100):
        await asyncio.sleep(0)
    assert kept.ogcore.seen == []
    kept.line.reopen()
    kept.notices.come.set()
    await kept.clock.rest()
    assert [path for path, _ in kept.ogcore.seen] == ["/out"]
