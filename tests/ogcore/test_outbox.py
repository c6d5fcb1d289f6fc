"""What reaches ogCore, in which order and when, told by a clock that the test moves."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, ClientTimeout, web
from pytest_aiohttp.plugin import AiohttpServer

from ogagent.jobs.finals import FinalsInJournal
from ogagent.jobs.journal import Journal
from ogagent.model.job import ByteCounts, Job, JobTarget, State
from ogagent.model.plan import Target
from ogagent.ogcore.address import LocalAddress
from ogagent.ogcore.outbox import MAX_PENDING, Backlog, NoOutbox, Outbox, Reporter
from ogagent.ogcore.retry import LAST_DELAY_S, MonotonicClock, delay_s
from ogagent.ogcore.webhook import Report, Webhook

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
        async with asyncio.timeout(30):
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


class Store:
    """Implements ``ogagent.ogcore.finals.FinalStore``: keeps what it is told."""

    def __init__(self) -> None:
        self.left: list[tuple[str, Report]] = []
        self.sent: list[tuple[str, int, int]] = []
        self.taken: list[str] = []
        self.turned_down: list[tuple[str, str]] = []

    async def pending(self) -> list[tuple[str, Report]]:
        return self.left

    async def sending(self, job_id: str, seq: int, progress: int) -> None:
        self.sent.append((job_id, seq, progress))

    async def delivered(self, job_id: str) -> None:
        self.taken.append(job_id)

    async def refused(self, job_id: str, reason: str) -> None:
        self.turned_down.append((job_id, reason))


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
async def ogcore() -> OgCore:
    return OgCore()


@pytest.fixture
def store() -> Store:
    return Store()


async def here() -> LocalAddress:
    return LocalAddress("192.168.2.3", "08:00:27:0b:88:be")


@pytest.fixture
async def webhook(ogcore: OgCore, aiohttp_server: AiohttpServer) -> AsyncIterator[Webhook]:
    app = web.Application()
    app.router.add_post("/hook", ogcore.take)
    server = await aiohttp_server(app)
    async with ClientSession() as session:
        yield Webhook(session, str(server.make_url("/hook")), SECRET)


@pytest.fixture
async def outbox(webhook: Webhook, store: Store, clock: StoppedClock) -> AsyncIterator[Outbox]:
    outbox = Outbox(webhook, here, store, known(), clock, jitter=lambda: 1.0)
    yield outbox
    await outbox.aclose(0)


def report(progress: int, job_id: str = JOB) -> Report:
    return {"job_id": job_id, "progress": progress}


def end(outbox: Outbox, report: Report) -> None:
    job_id = report["job_id"]
    if final := outbox.conclude(job_id, {**report, "event_id": f"end-of-{job_id}"}):
        outbox.final(job_id, final)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - nobody announces the change
            await asyncio.sleep(0)


def known() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


async def test_the_first_progress_goes_out_at_once(outbox: Outbox, ogcore: OgCore, clock: StoppedClock) -> None:
    outbox.progress(JOB, report(1))
    await clock.rest()
    (sent,) = ogcore.seen
    assert sent == {"job_id": JOB, "progress": 1, "seq": 1, "event_id": ogcore.events[0]}


async def test_one_a_second_and_only_the_newest(outbox: Outbox, ogcore: OgCore, clock: StoppedClock) -> None:
    for change in range(1, 31):
        outbox.progress(JOB, report(change))
        await clock.advance(0.125)
    assert ogcore.said() == [1, 8, 16, 24]
    await clock.advance(1)
    assert ogcore.said() == [1, 8, 16, 24, 30]


async def test_silence_is_broken_after_30_s(outbox: Outbox, ogcore: OgCore, clock: StoppedClock) -> None:
    outbox.progress(JOB, report(1))
    await clock.advance(29.9)
    assert ogcore.said() == [1]
    await clock.advance(0.1)
    await clock.advance(30)
    assert ogcore.said() == [1, 1, 1]
    assert len(set(ogcore.events)) == 3
    assert [sent["seq"] for sent in ogcore.seen] == [1, 2, 3]


async def test_the_final_one_does_not_wait_and_ends_it(outbox: Outbox, ogcore: OgCore, clock: StoppedClock) -> None:
    outbox.progress(JOB, report(1))
    await clock.rest()
    outbox.progress(JOB, report(2))
    end(outbox, report(100))
    outbox.progress(JOB, report(3))
    await clock.rest()
    outbox.progress(JOB, report(4))
    end(outbox, report(5))
    await clock.advance(100)
    assert ogcore.said() == [1, 100]
    assert ogcore.seen[1]["ip"] == "192.168.2.3"
    assert ogcore.seen[1]["mac"] == "08:00:27:0b:88:be"
    assert ogcore.seen[1]["seq"] > ogcore.seen[0]["seq"]
    assert outbox.backlog().delivered == 2


async def test_the_final_one_comes_after_the_progress_that_is_under_way(
    outbox: Outbox, ogcore: OgCore, clock: StoppedClock
) -> None:
    ogcore.open.clear()
    outbox.progress(JOB, report(1))
    await asyncio.wait_for(ogcore.arrived.wait(), 30)
    outbox.progress(JOB, report(2))
    end(outbox, report(100))
    await asyncio.sleep(0)
    assert ogcore.said() == [1]
    ogcore.open.set()
    await clock.rest()
    assert ogcore.said() == [1, 100]


async def test_progress_that_changed_under_way_is_sent_too(outbox: Outbox, ogcore: OgCore, clock: StoppedClock) -> None:
    ogcore.open.clear()
    outbox.progress(JOB, report(1))
    await asyncio.wait_for(ogcore.arrived.wait(), 30)
    outbox.progress(JOB, report(2))
    ogcore.open.set()
    await clock.advance(1)
    assert ogcore.said() == [1, 2]


async def test_a_final_one_is_tried_until_it_is_taken(
    outbox: Outbox, ogcore: OgCore, clock: StoppedClock, store: Store
) -> None:
    ogcore.answers = [web.Response(status=status) for status in (503, 500, 408, 425, 429, 502, 500, 500, 500, 500)]
    end(outbox, report(100))
    await clock.rest()
    assert not store.taken
    waits = [await clock.next_attempt() for _ in range(10)]
    assert waits == [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert len(ogcore.seen) == 11
    assert len(set(ogcore.events)) == 1
    assert all(sent == ogcore.seen[0] for sent in ogcore.seen)
    assert store.taken == [JOB]
    assert outbox.backlog() == Backlog(delivered=1)


async def test_retry_after_is_honoured(outbox: Outbox, ogcore: OgCore, clock: StoppedClock) -> None:
    ogcore.answers = [web.Response(status=503, headers={"Retry-After": "100"})]
    end(outbox, report(100))
    assert await clock.next_attempt() == pytest.approx(110)
    assert ogcore.said() == [100, 100]


async def test_failing_progress_is_overtaken(outbox: Outbox, ogcore: OgCore, clock: StoppedClock) -> None:
    ogcore.answers = [web.Response(status=503), web.Response(status=503)]
    outbox.progress(JOB, report(1))
    await clock.rest()
    outbox.progress(JOB, report(2))
    outbox.progress(JOB, report(3))
    for _ in range(3):
        await clock.next_attempt()
    assert ogcore.said()[:3] == [1, 3, 3]
    assert ogcore.events[1] == ogcore.events[2]


async def test_success_starts_the_delays_anew(outbox: Outbox, ogcore: OgCore, clock: StoppedClock) -> None:
    busy = [web.Response(status=503) for _ in range(5)]
    ogcore.answers = [*busy[:4], web.Response(), busy[4]]
    outbox.progress(JOB, report(1))
    assert [await clock.next_attempt() for _ in range(4)] == [1, 1, 2, 4]
    outbox.progress(JOB, report(2))
    assert [await clock.next_attempt() for _ in range(2)] == [1, 1]
    assert ogcore.said() == [1, 1, 1, 1, 1, 2, 2]


async def test_refused_is_given_up_and_logged_once(
    outbox: Outbox, ogcore: OgCore, clock: StoppedClock, caplog: pytest.LogCaptureFixture, store: Store
) -> None:
    ogcore.answers = [web.Response(status=404), web.Response(status=404), web.Response(status=404)]
    outbox.progress(JOB, report(1))
    await clock.rest()
    outbox.progress(JOB, report(2))
    await clock.advance(1)
    end(outbox, report(100))
    await clock.advance(1000)
    assert ogcore.said() == [1, 2, 100]
    assert outbox.backlog() == Backlog(refused=3)
    ((job_id, reason),) = store.turned_down
    assert (job_id, store.taken) == (JOB, [])
    assert reason.startswith("404")
    errors = [entry for entry in caplog.records if entry.levelno == logging.ERROR]
    assert [getattr(entry, "job_id", "") for entry in errors] == [JOB, JOB]
    assert ogcore.events[2] in errors[1].getMessage()


async def test_one_job_that_ogcore_cannot_take_does_not_stop_another(
    outbox: Outbox, ogcore: OgCore, clock: StoppedClock
) -> None:
    ogcore.answers = [web.Response(status=500)]
    end(outbox, report(100))
    await clock.rest()
    end(outbox, report(100, OTHER))
    await clock.rest()
    assert (ogcore.said(JOB), ogcore.said(OTHER)) == ([100], [100])
    await clock.next_attempt()
    assert (ogcore.said(JOB), ogcore.said(OTHER)) == ([100, 100], [100])


async def test_without_a_way_to_ogcore_it_is_tried_again(
    webhook: Webhook, ogcore: OgCore, clock: StoppedClock, caplog: pytest.LogCaptureFixture
) -> None:
    failures: list[Exception] = [OSError("Network is unreachable"), ZeroDivisionError("a bug")]

    async def nowhere_yet() -> LocalAddress:
        if failures:
            raise failures.pop(0)
        return await here()

    outbox = Outbox(webhook, nowhere_yet, Store(), known(), clock)
    end(outbox, report(100))
    await clock.next_attempt()
    await clock.next_attempt()
    await outbox.aclose(30)
    assert ogcore.said() == [100]
    assert "ZeroDivisionError" in caplog.text


async def test_what_an_earlier_agent_left_is_sent(
    webhook: Webhook, ogcore: OgCore, clock: StoppedClock, store: Store
) -> None:
    store.left = [(JOB, {**report(100), "seq": 9, "event_id": "of-old"})]
    outbox = Outbox(webhook, here, store, known(), clock)
    await clock.rest()
    assert ogcore.events == ["of-old"]
    assert ogcore.seen[0]["seq"] == 9
    assert store.taken == [JOB]
    await outbox.aclose(0)


async def test_closing_makes_a_last_attempt_for_final_reports(
    webhook: Webhook, ogcore: OgCore, clock: StoppedClock, caplog: pytest.LogCaptureFixture
) -> None:
    ogcore.answers = [web.Response(status=503, headers={"Retry-After": "1000"})]
    outbox = Outbox(webhook, here, Store(), known(), clock)
    end(outbox, report(100))
    await clock.rest()
    outbox.progress(OTHER, report(1, OTHER))
    await clock.rest()
    outbox.progress(OTHER, report(2, OTHER))
    await outbox.aclose(30)
    assert ogcore.said(JOB) == [100, 100]
    assert ogcore.said(OTHER) == [1]
    assert [entry for entry in caplog.records if entry.levelno == logging.ERROR] == []


async def test_closing_does_not_wait_for_ever(
    webhook: Webhook, ogcore: OgCore, clock: StoppedClock, caplog: pytest.LogCaptureFixture
) -> None:
    ogcore.open.clear()
    outbox = Outbox(webhook, here, Store(), known(), clock)
    end(outbox, report(100))
    await asyncio.wait_for(ogcore.arrived.wait(), 30)
    await outbox.aclose(0.01)
    ogcore.open.set()
    (entry,) = [entry for entry in caplog.records if entry.levelno == logging.ERROR]
    assert getattr(entry, "job_id", "") == JOB
    outbox.progress(JOB, report(1))


async def test_memory_is_bounded(webhook: Webhook, ogcore: OgCore, clock: StoppedClock) -> None:
    ogcore.open.clear()
    outbox = Outbox(webhook, here, Store(), known(), clock)
    for number in range(3 * MAX_PENDING):
        end(outbox, report(100, f"RestaurarImagen-{number:08x}"))
    assert len(outbox._lanes) == MAX_PENDING
    assert outbox.backlog().depth == MAX_PENDING
    ogcore.open.set()
    await outbox.aclose(0)


async def test_progress_is_written_down_before_it_is_sent(
    outbox: Outbox, ogcore: OgCore, clock: StoppedClock, store: Store
) -> None:
    outbox.progress(JOB, report(41))
    await clock.rest()
    assert store.sent == [(JOB, ogcore.seen[0]["seq"], 41)]
    outbox.progress(JOB, report(42))
    end(outbox, report(100))
    await clock.rest()
    assert store.sent == [(JOB, 1, 41)]
    assert ogcore.seen[1]["seq"] > 1


async def test_nothing_but_the_final_one_after_the_conclusion(
    outbox: Outbox, ogcore: OgCore, clock: StoppedClock
) -> None:
    outbox.progress(JOB, report(1))
    await clock.rest()
    final = outbox.conclude(JOB, report(100))
    assert final is not None
    outbox.progress(JOB, report(2))
    await clock.advance(100)
    assert ogcore.said() == [1]
    outbox.final(JOB, final)
    await clock.rest()
    assert ogcore.said() == [1, 100]
    assert ogcore.seen[1]["seq"] == final["seq"]


async def test_nothing_is_sent_before_ogcore_knows_the_secret(
    webhook: Webhook, ogcore: OgCore, clock: StoppedClock, store: Store
) -> None:
    store.left = [(OTHER, {**report(100, OTHER), "seq": 9, "event_id": "of-old"})]
    registered = asyncio.Event()
    outbox = Outbox(webhook, here, store, registered, clock)
    end(outbox, report(100))
    await until(lambda: outbox.backlog().depth == 2)
    for _ in range(5):  # what the outbox had sent would have arrived with these
        await webhook.post("probe", report(0, "probe"))
    assert {seen["job_id"] for seen in ogcore.seen} == {"probe"}
    registered.set()
    await clock.rest()
    assert {seen["job_id"] for seen in ogcore.seen} == {"probe", JOB, OTHER}
    await outbox.aclose(0)


async def test_a_stop_before_ogcore_knows_the_secret_keeps_the_reports(
    webhook: Webhook, ogcore: OgCore, clock: StoppedClock, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    outbox = Outbox(webhook, here, store, asyncio.Event(), clock)
    end(outbox, report(100))
    await outbox.aclose(30)
    assert (ogcore.seen, store.taken, store.turned_down) == ([], [], [])
    assert "the next start sends it" in caplog.text


async def test_the_age_of_the_oldest_is_told(outbox: Outbox, ogcore: OgCore, clock: StoppedClock) -> None:
    ogcore.answers = [web.Response(status=503, headers={"Retry-After": "3600"}) for _ in range(2)]
    end(outbox, report(100))
    await clock.advance(60)
    end(outbox, report(100, OTHER))
    await clock.advance(60)
    assert (outbox.backlog().depth, outbox.backlog().oldest_s) == (2, 120)


# --- ogCore is away, for hours of the test's clock, and the reports are in a journal on the disk ------------------


class RudeOgCore:
    """Says ``answer`` to each call, whatever it is, and hangs up; says nothing when that is None."""

    def __init__(self) -> None:
        self.answer: bytes | None = b""
        self.bodies: list[dict[str, Any]] = []
        self._server: asyncio.Server

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/hook"

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = int(re.search(r"(?i)content-length: (\d+)", head)[1])  # type: ignore[index]
        self.bodies.append(json.loads(await reader.readexactly(length)))
        if self.answer is None:
            await reader.read()  # until the agent hangs up
        else:
            writer.write(self.answer)
        writer.close()


AWAY = {
    "refusing for now": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    "hanging up": b"",
    "speaking garbage": b"\x00\xff garbage\r\n\r\n",
    "hanging up within the headers": b"HTTP/1.1 200 OK\r\nContent-Le",
    "hanging up within the body": b"HTTP/1.1 500 Oh\r\nContent-Length: 100\r\n\r\nhalf",
    "silent": None,
}
TAKEN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"


@pytest.mark.parametrize("way", AWAY)
async def test_reports_outlast_hours_without_ogcore_and_the_death_of_the_agent(
    tmp_path: Path, clock: StoppedClock, way: str
) -> None:
    hours = 0.2 if way == "silent" else 8  # each try of a silent one takes a little of the real time
    ogcore = RudeOgCore()
    ogcore.answer = AWAY[way]
    journal = Journal.open(tmp_path)
    async with ogcore as url, ClientSession(timeout=ClientTimeout(total=0.2 if way == "silent" else 10)) as session:
        hook = Webhook(session, url, SECRET)
        outbox = Outbox(hook, here, FinalsInJournal(journal), known(), clock)
        for job_id in (JOB, OTHER):
            accept(journal, job_id)
            outbox.progress(job_id, report(41, job_id))
        await clock.next_attempt()
        final = outbox.conclude(JOB, {**report(41), "event_id": "the end"})
        assert final is not None
        journal.end(job(JOB, State.CANCELLED), final)
        outbox.final(JOB, final)
        while clock.time < hours * 3600:
            assert await clock.next_attempt() <= LAST_DELAY_S
        assert outbox.backlog().depth == 1
        assert outbox.backlog().delivered == outbox.backlog().refused == 0
        await outbox.aclose(0)
        journal.close()

        journal = Journal.open(tmp_path)
        ogcore.answer = TAKEN
        tries = len(ogcore.bodies)
        outbox = Outbox(hook, here, FinalsInJournal(journal), known(), clock)
        await clock.rest()
        ends = [body for body in ogcore.bodies if body["event_id"] == "the end"]
        assert len(ogcore.bodies) == tries + 1
        assert len(ends) > hours * 3600 / LAST_DELAY_S / 2
        assert all(body == ends[0] for body in ends)
        assert journal.undelivered() == []
        await outbox.aclose(0)
    journal.close()


async def test_success_counts_whatever_the_body_says(tmp_path: Path, clock: StoppedClock) -> None:
    """2xx: delivered. A body that breaks off, or is no JSON, does not make it undone."""
    ogcore = RudeOgCore()
    ogcore.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n<html>"
    journal = Journal.open(tmp_path)
    async with ogcore as url, ClientSession() as session:
        outbox = Outbox(Webhook(session, url, SECRET), here, FinalsInJournal(journal), known(), clock)
        end(outbox, report(100))
        await clock.advance(3600)
        assert (len(ogcore.bodies), outbox.backlog()) == (1, Backlog(delivered=1))
        await outbox.aclose(0)
    journal.close()


def job(job_id: str, state: State = State.RUNNING) -> Job:
    return Job(
        job_id=job_id, function="RestaurarImagen", state=state, phase=None, progress=0, bytes=ByteCounts(), rate=0,
        eta_s=None, retries=0, request={}, target=JobTarget(disk=1, partition=1, device="/dev/sda1", identity="i"),
        created="2026-11-24T10:00:00.000Z", finished=None if state is State.RUNNING else "2026-11-24T10:00:01.000Z",
    )  # fmt: skip


def accept(journal: Journal, job_id: str) -> None:
    target = Target(
        disk=1, partition=1, device="/dev/sda1", disk_device="/dev/sda", identity="i", start=0, size=1, sector_size=512
    )
    journal.accept(job(job_id), target)


async def test_without_ogcore_nothing_happens() -> None:
    reporter: Reporter = NoOutbox()
    reporter.progress(JOB, report(1))
    assert reporter.conclude(JOB, report(100)) is None
    assert reporter.backlog() == Backlog()
    reporter.final(JOB, report(100))
    await reporter.aclose(1)


@pytest.mark.parametrize(("attempt", "low", "high"), [(1, 0.25, 0.5), (2, 0.5, 1), (8, 30, 60), (10**6, 30, 60)])
def test_delays(attempt: int, low: float, high: float) -> None:
    assert delay_s(attempt, 0, lambda: 0.0) == low
    assert delay_s(attempt, 0, lambda: 1.0) == high
    assert delay_s(attempt, 3600, lambda: 0.0) == 3600


async def test_the_real_clock_waits_for_whatever_comes_first() -> None:
    clock, event = MonotonicClock(), asyncio.Event()
    before = clock.now()
    await clock.wait(event, 0.001)
    assert clock.now() > before
    event.set()
    await clock.wait(event, None)
