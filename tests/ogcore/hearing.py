"""An ogCore that keeps what it hears, a store of reports, and a clock that the test moves."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from typing import Any

from aiohttp import web

from ogagent.ogcore.address import LocalAddress
from ogagent.ogcore.outbox import Outbox
from ogagent.ogcore.webhook import Again, Delivered, Outcome, Report, Webhook

SECRET = "0123456789abcdef" * 4
JOB, OTHER = "RestaurarImagen-00000001", "RestaurarImagen-00000002"


class StoppedClock:
    """Moves only when told to, and knows when the outbox has done all it could at this time."""

    def __init__(self) -> None:
        self.time = 0.0
        self._until = math.inf
        self._event: asyncio.Event | None = None

    def now(self) -> float:
        return self.time

    async def wait(self, event: asyncio.Event, seconds: float | None) -> None:
        self._event, self._until = event, math.inf if seconds is None else self.time + seconds
        while not event.is_set() and self.time < self._until:  # noqa: ASYNC110 - time moves by hand
            await asyncio.sleep(0)
        self._event = None

    async def rest(self) -> None:
        async with asyncio.timeout(300):
            while self._event is None or self._event.is_set() or self.time >= self._until:  # noqa: ASYNC110
                await asyncio.sleep(0)

    async def advance(self, seconds: float) -> None:
        await self.rest()
        self.time += seconds
        await self.rest()

    async def next_attempt(self) -> float:
        """The wait until what the outbox waits for; it has been gone through."""
        await self.rest()
        wait = self._until - self.time
        await self.advance(wait)
        return wait


class OgCore:
    """Keeps what it is sent; answers as told by ``answers``, then with 200."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []
        self.events: list[str] = []
        self.answers: list[web.Response | Callable[[], web.Response]] = []
        self.arrived = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()

    async def take(self, request: web.Request) -> web.Response:
        self.seen.append(json.loads(await request.read()))
        self.events.append(request.headers["X-OgAgent-Event"])
        self.arrived.set()
        await self.open.wait()
        answer = self.answers.pop(0) if self.answers else web.Response()
        return answer() if callable(answer) else answer

    def said(self, job_id: str = JOB) -> list[Any]:
        return [report["progress"] for report in self.seen if report["job_id"] == job_id]


class Expired(Webhook):
    """Of an ogCore whose certificate has ended, for three attempts: what to do about it tells the time, too."""

    def __init__(self) -> None:
        self.attempts = 0

    async def post(self, event_id: str, report: Report) -> Outcome:  # noqa: ARG002 - as Webhook has it
        self.attempts += 1
        return Again("it has expired", hint=f"it is 10:0{self.attempts}") if self.attempts < 4 else Delivered()


class Store:
    """Implements ``ogagent.ogcore.finals.FinalStore``: keeps what it is told."""

    def __init__(self) -> None:
        self.left: list[tuple[str, Report]] = []
        self.told: list[Report] = []
        self.sent: list[tuple[str, int, int]] = []
        self.waited: list[str] = []
        self.taken: list[str] = []
        self.turned_down: list[tuple[str, str]] = []

    async def pending(self) -> list[tuple[str, Report]]:
        return self.left

    async def sending(self, job_id: str, seq: int, progress: int) -> None:
        self.sent.append((job_id, seq, progress))

    async def waiting(self, job_id: str) -> None:
        self.waited.append(job_id)

    async def telling(self, report: Report) -> None:
        self.told.append(report)

    async def delivered(self, job_id: str) -> None:
        self.taken.append(job_id)

    async def refused(self, job_id: str, reason: str) -> None:
        self.turned_down.append((job_id, reason))


async def here() -> LocalAddress:
    return LocalAddress("192.168.2.3", "08:00:27:0b:88:be")


def report(progress: int, job_id: str = JOB) -> Report:
    return {"job_id": job_id, "progress": progress}


def end(outbox: Outbox, report: Report) -> None:
    job_id = report["job_id"]
    if final := outbox.conclude(job_id, {**report, "event_id": f"end-of-{job_id}"}):
        outbox.final(job_id, final)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(300):
        while not condition():  # noqa: ASYNC110 - nobody announces the change
            await asyncio.sleep(0)


def registered() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event
