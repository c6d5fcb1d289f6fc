"""What reaches ogCore, in which order and when, told by a clock that the test moves."""

from __future__ import annotations

import asyncio
import logging

import pytest
from aiohttp import web

from ogagent.ogcore.address import LocalAddress
from ogagent.ogcore.outbox import MAX_PENDING, Backlog, NoOutbox, Outbox, Reporter
from ogagent.ogcore.retry import MonotonicClock, delay_s
from ogagent.ogcore.webhook import Webhook
from tests.ogcore.hearing import JOB, OTHER, OgCore, StoppedClock, Store, end, here, registered, report, until


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
    await asyncio.wait_for(ogcore.arrived.wait(), 300)
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
    await asyncio.wait_for(ogcore.arrived.wait(), 300)
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


async def test_the_store_hears_of_a_final_one_before_each_attempt(
    outbox: Outbox, ogcore: OgCore, clock: StoppedClock, store: Store
) -> None:
    """Whatever comes back, ogCore may have it. Progress is none of this."""
    outbox.progress(JOB, report(1))
    await clock.rest()
    assert not store.told
    ogcore.open.clear()
    ogcore.arrived.clear()
    ogcore.answers = [web.Response(status=503)]
    end(outbox, report(100))
    await asyncio.wait_for(ogcore.arrived.wait(), 300)
    assert [told["progress"] for told in store.told] == [100]
    ogcore.open.set()
    await clock.next_attempt()
    assert [told["progress"] for told in store.told] == [100, 100]
    assert store.taken == [JOB]


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
    ogcore.answers = [web.Response(status=410) for _ in range(3)]
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
    assert reason.startswith("410")
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

    outbox = Outbox(webhook, nowhere_yet, Store(), registered(), clock)
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
    outbox = Outbox(webhook, here, store, registered(), clock)
    await clock.rest()
    assert ogcore.events == ["of-old"]
    assert ogcore.seen[0]["seq"] == 9
    assert store.taken == [JOB]
    await outbox.aclose(0)


async def test_closing_makes_a_last_attempt_for_final_reports(
    webhook: Webhook, ogcore: OgCore, clock: StoppedClock, caplog: pytest.LogCaptureFixture
) -> None:
    ogcore.answers = [web.Response(status=503, headers={"Retry-After": "1000"})]
    outbox = Outbox(webhook, here, Store(), registered(), clock)
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
    outbox = Outbox(webhook, here, Store(), registered(), clock)
    end(outbox, report(100))
    await asyncio.wait_for(ogcore.arrived.wait(), 300)
    await outbox.aclose(0.01)
    ogcore.open.set()
    (entry,) = [entry for entry in caplog.records if entry.levelno == logging.ERROR]
    assert getattr(entry, "job_id", "") == JOB
    outbox.progress(JOB, report(1))


async def test_memory_is_bounded(webhook: Webhook, ogcore: OgCore, clock: StoppedClock) -> None:
    ogcore.open.clear()
    outbox = Outbox(webhook, here, Store(), registered(), clock)
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
