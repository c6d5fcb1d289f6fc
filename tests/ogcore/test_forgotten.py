"""An ogCore that has lost what it knew of this agent, or a proxy that answers for it, has said nothing of a report."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from ogagent.ogcore.outbox import Backlog, Outbox
from ogagent.ogcore.webhook import Webhook
from tests.ogcore.hearing import JOB, Expired, OgCore, StoppedClock, Store, end, here, registered, report

NO_WORD = (401, 403, 404, 405, 407, 421, 426, 451)
VERDICTS = (400, 409, 410, 422)


@pytest.fixture
def asked() -> list[None]:
    """How often the agent was asked to register anew."""
    return []


@pytest.fixture
async def outbox(webhook: Webhook, store: Store, clock: StoppedClock, asked: list[None]) -> AsyncIterator[Outbox]:
    outbox = Outbox(webhook, here, store, registered(), clock, jitter=lambda: 1.0, forgotten=lambda: asked.append(None))
    yield outbox
    await outbox.aclose(0)


@pytest.mark.parametrize("status", NO_WORD)
async def test_a_final_one_is_sent_until_it_is_taken(
    outbox: Outbox, ogcore: OgCore, clock: StoppedClock, store: Store, asked: list[None], status: int
) -> None:
    ogcore.answers = [web.Response(status=status) for _ in range(12)]
    end(outbox, report(41))
    waits = [await clock.next_attempt() for _ in range(12)]
    assert waits == [0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert all(sent == ogcore.seen[0] for sent in ogcore.seen)
    assert (len(ogcore.seen), store.taken, store.turned_down) == (13, [JOB], [])
    assert len(asked) == 12, "whoever does not know the agent is told who it is, each time"
    assert outbox.backlog() == Backlog(delivered=1)


@pytest.mark.parametrize("status", VERDICTS)
async def test_a_verdict_is_one(
    outbox: Outbox, ogcore: OgCore, clock: StoppedClock, store: Store, asked: list[None], status: int
) -> None:
    ogcore.answers = [web.Response(status=404), web.Response(status=status)]
    end(outbox, report(41))
    await clock.next_attempt()
    await clock.advance(3600)
    assert (len(ogcore.seen), store.taken, len(asked)) == (2, [], 1)
    ((job_id, reason),) = store.turned_down
    assert (job_id, reason[:3]) == (JOB, str(status))


@pytest.mark.parametrize("status", NO_WORD)
async def test_progress_waits_and_is_not_given_up(
    outbox: Outbox, ogcore: OgCore, clock: StoppedClock, asked: list[None], status: int
) -> None:
    """It is worth something while it is fresh: its pauses are the short ones."""
    ogcore.answers = [web.Response(status=status) for _ in range(12)]
    outbox.progress(JOB, report(1))
    await clock.rest()
    outbox.progress(JOB, report(2))
    assert [await clock.next_attempt() for _ in range(12)][-1] == 60
    assert ogcore.said() == [1, *[2] * 12]
    assert outbox.backlog() == Backlog(delivered=1)
    assert len(asked) == 12


async def test_what_was_refused_for_a_while_is_believed_again(
    outbox: Outbox, ogcore: OgCore, clock: StoppedClock, asked: list[None]
) -> None:
    ogcore.answers = [web.Response(status=401)]
    outbox.progress(JOB, report(1))
    await clock.next_attempt()
    end(outbox, report(100))
    await clock.rest()
    assert (ogcore.said(), len(asked)) == ([1, 1, 100], 1)


async def test_a_long_wait_is_one_line_in_the_log(
    outbox: Outbox, ogcore: OgCore, clock: StoppedClock, caplog: pytest.LogCaptureFixture
) -> None:
    ogcore.answers = [web.Response(status=status) for status in (404, 404, 404, 503, 503)]
    end(outbox, report(100))
    for _ in range(5):
        await clock.next_attempt()
    warnings = [entry.getMessage() for entry in caplog.records if entry.levelno == logging.WARNING]
    assert [warning.rpartition(": ")[2] for warning in warnings] == ["404 ''", "503 ''"]


async def test_it_is_one_line_also_when_the_hint_tells_the_time(
    clock: StoppedClock, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    outbox = Outbox(Expired(), here, store, registered(), clock, jitter=lambda: 1.0)
    end(outbox, report(100))
    for _ in range(3):
        await clock.next_attempt()
    await outbox.aclose(0)
    warnings = [entry.getMessage() for entry in caplog.records if entry.levelno == logging.WARNING]
    assert warnings == ["report not taken, again in 0.5 s: it has expired (it is 10:01)"]


@pytest.mark.parametrize("status", [404, 503])
async def test_that_it_waits_is_said_to_whoever_keeps_a_copy(
    outbox: Outbox, ogcore: OgCore, clock: StoppedClock, store: Store, status: int
) -> None:
    ogcore.answers = [web.Response(status=status) for _ in range(2)]
    outbox.progress(JOB, report(1))
    await clock.rest()
    assert store.waited == [], "progress has no copy"
    end(outbox, report(100))
    await clock.next_attempt()
    await clock.next_attempt()
    assert (store.waited, store.taken) == ([JOB], [JOB])
