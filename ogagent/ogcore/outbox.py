"""Reports on their way to ogCore: each job's in order, the newest progress only, the final one without fail."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, Protocol

import msgspec
from msgspec import Struct

from ogagent.ogcore.address import LocalAddress
from ogagent.ogcore.finals import FinalStore
from ogagent.ogcore.lane import Lane
from ogagent.ogcore.retry import LAST_DELAY_S, LAST_DELAY_UNKNOWN_S, Clock, MonotonicClock, Random, delay_s
from ogagent.ogcore.webhook import Again, Delivered, Outcome, Refused, Report, Webhook

MAX_PENDING: Final = 1000
"""So many undelivered final reports are held in memory; a classroom computer makes a few a day."""

_ENDED_JOBS: Final = 2 * MAX_PENDING
_log: Final = logging.getLogger(__name__)


class Backlog(Struct, frozen=True, kw_only=True):
    """Final reports that wait for ogCore, and for how long the oldest has, in seconds."""

    depth: int = 0
    oldest_s: float = 0.0
    delivered: int = 0
    refused: int = 0


class Reporter(Protocol):
    """What a job tells ogCore goes through here. To be called on the event loop; nothing waits but ``aclose``."""

    def progress(self, job_id: str, report: Report) -> None: ...

    def conclude(self, job_id: str, report: Report) -> Report | None:
        """The final report as it will be sent, to be stored first; nothing else is sent of this job from now on.

        None when there is nobody to send it to, or when the job was concluded before.
        """

    def final(self, job_id: str, report: Report) -> None:
        """Sends what ``conclude`` has returned, until ogCore has it."""

    async def told(self, job_id: str, patience_s: float) -> bool:
        """Whether ogCore has the final report, which is waited for, but no longer than so many seconds."""

    def backlog(self) -> Backlog: ...

    async def aclose(self, grace_s: float) -> None:
        """Gives final reports ``grace_s`` seconds more."""


class NoOutbox:
    """For an agent without an ogCore."""

    def progress(self, job_id: str, report: Report) -> None: ...

    def conclude(self, job_id: str, report: Report) -> None: ...

    def final(self, job_id: str, report: Report) -> None: ...

    async def told(self, job_id: str, patience_s: float) -> bool:  # noqa: ARG002 - there is nobody to tell
        return True

    def backlog(self) -> Backlog:
        return Backlog()

    async def aclose(self, grace_s: float) -> None: ...


class Outbox:
    """Made on the event loop, where one task sends."""

    def __init__(
        self,
        webhook: Webhook,
        address: Callable[[], Awaitable[LocalAddress]],
        store: FinalStore,
        registered: asyncio.Event,
        clock: Clock | None = None,
        jitter: Random = random.random,
        forgotten: Callable[[], None] = lambda: None,
    ) -> None:
        """``address`` raises OSError while there is no way to ogCore.

        Nothing is sent before ``registered`` is set: ogCore cannot believe what a secret has signed that it does not
        know. ``forgotten`` is called each time that it says so later.
        """
        self._delivered = 0
        self._refused = 0
        self._webhook = webhook
        self._address = address
        self._store = store
        self._registered = registered
        self._forgotten = forgotten
        self._clock = clock or MonotonicClock()
        self._jitter = jitter
        self._lanes: dict[str, Lane] = {}
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._changed = asyncio.Event()
        self._closing = False
        self._task = asyncio.create_task(self._run(), name="outbox")

    def progress(self, job_id: str, report: Report) -> None:
        if self._closing or job_id in self._ended:
            return
        lane = self._lanes.setdefault(job_id, Lane())
        lane.last = report
        lane.waiting = lane.stamped(report)
        self._changed.set()

    def conclude(self, job_id: str, report: Report) -> Report | None:
        if job_id in self._ended:
            return None
        self._end(job_id)
        lane = self._lanes.setdefault(job_id, Lane())
        lane.concluded = True
        return lane.stamped(report)

    def final(self, job_id: str, report: Report) -> None:
        self._take(job_id, report)
        self._make_room()
        self._changed.set()

    async def told(self, job_id: str, patience_s: float) -> bool:
        if lane := self._lanes.get(job_id):
            with suppress(TimeoutError):
                await asyncio.wait_for(lane.settled.wait(), patience_s)
        return job_id not in self._lanes

    def backlog(self) -> Backlog:
        now, waiting = self._clock.now(), [lane.since for lane in self._lanes.values() if lane.final]
        oldest_s = now - min(waiting, default=now)
        return Backlog(depth=len(waiting), oldest_s=oldest_s, delivered=self._delivered, refused=self._refused)

    async def aclose(self, grace_s: float) -> None:
        self._closing = True
        for lane in self._lanes.values():
            lane.not_before = -math.inf  # a last attempt, at once
        self._changed.set()
        try:
            await asyncio.wait({self._task}, timeout=grace_s if self._registered.is_set() else 0)
        finally:
            self._task.cancel()
        await asyncio.wait({self._task})
        for job_id, _ in self._open_lanes():
            _log.error("stopped before ogCore took the final report; the next start sends it", extra={"job_id": job_id})

    # --- the task -------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        await self._take_up()
        await self._registered.wait()
        while (lanes := self._open_lanes()) or not self._closing:
            self._changed.clear()
            if not lanes:
                await self._clock.wait(self._changed, None)
                continue
            job_id, lane = min(lanes, key=lambda item: item[1].due())
            wait = lane.due() - self._clock.now()
            if wait > 0:
                await self._clock.wait(self._changed, wait)
            else:
                await self._send(job_id, lane)

    def _open_lanes(self) -> list[tuple[str, Lane]]:
        """Those with something to say; at the end only final reports count."""
        return [
            (job_id, lane)
            for job_id, lane in self._lanes.items()
            if lane.final or not (lane.concluded or self._closing)
        ]

    async def _take_up(self) -> None:
        """Final reports that an earlier agent left."""
        for job_id, report in await self._store.pending():
            if job_id not in self._ended:
                self._end(job_id)
                self._take(job_id, report)

    def _take(self, job_id: str, report: Report) -> None:
        lane = self._lanes.setdefault(job_id, Lane())
        lane.concluded, lane.final, lane.since = True, report, self._clock.now()

    async def _send(self, job_id: str, lane: Lane) -> None:
        report = lane.next()
        lane.sent = self._clock.now()
        outcome = await self._outcome(job_id, lane, report)
        if isinstance(outcome, Again):
            self._postpone(job_id, lane, outcome)
            if report is lane.final:
                await self._store.waiting(job_id)
            return
        lane.attempts, lane.last_reason = 0, ""
        self._count(job_id, lane, report, outcome)
        if report is lane.final:
            self._lanes.pop(job_id, None)
            await self._settle(job_id, outcome)
            lane.settled.set()
        elif report is lane.waiting:
            lane.waiting = None

    async def _settle(self, job_id: str, outcome: Delivered | Refused) -> None:
        if isinstance(outcome, Delivered):
            await self._store.delivered(job_id)
        else:
            await self._store.refused(job_id, outcome.reason)

    async def _outcome(self, job_id: str, lane: Lane, report: Report) -> Outcome:
        try:
            if report is not lane.final:
                await self._store.sending(job_id, report["seq"], report["progress"])
                return await self._webhook.post(report["event_id"], report)
            whole = {**report, **msgspec.structs.asdict(await self._address())}
            await self._store.telling(report)
            return await self._webhook.post(report["event_id"], whole)
        except OSError as error:
            return Again(f"there is no way to ogCore: {error}")
        except Exception as error:  # noqa: BLE001 - the other reports must not stop because of one
            _log.exception("a report could not be sent", extra={"job_id": job_id})
            return Again(str(error))

    def _postpone(self, job_id: str, lane: Lane, outcome: Again) -> None:
        lane.attempts += 1
        # Progress is worth something while it is fresh only: it comes back as soon as ogCore does.
        last_s = LAST_DELAY_UNKNOWN_S if outcome.unknown and lane.final is not None else LAST_DELAY_S
        wait = delay_s(lane.attempts, outcome.after_s, self._jitter, last_s)
        lane.not_before = self._clock.now() + wait
        if outcome.unknown:
            self._forgotten()
        level = logging.DEBUG if outcome.reason == lane.last_reason else logging.WARNING
        lane.last_reason = outcome.reason
        _log.log(level, "report not taken, again in %.1f s: %s", wait, outcome.said, extra={"job_id": job_id})

    def _count(self, job_id: str, lane: Lane, report: Report, outcome: Delivered | Refused) -> None:
        if isinstance(outcome, Delivered):
            self._delivered += 1
            return
        self._refused += 1
        # Who refuses one progress report refuses them all: that is worth one line, not one a second.
        level = logging.DEBUG if lane.refused and report is not lane.final else logging.ERROR
        lane.refused = True
        message = "ogCore refuses report %s, given up: %s"
        _log.log(level, message, report["event_id"], outcome.reason, extra={"job_id": job_id})

    def _make_room(self) -> None:
        if len(self._lanes) > MAX_PENDING:
            oldest = next(job_id for job_id, lane in self._lanes.items() if lane.final)
            del self._lanes[oldest]
            _log.error("too many undelivered final reports, the oldest is put aside", extra={"job_id": oldest})

    def _end(self, job_id: str) -> None:
        """Nothing more of this job is taken; so many jobs are remembered that a late caller is among them."""
        self._ended[job_id] = None
        if len(self._ended) > _ENDED_JOBS:
            self._ended.popitem(last=False)
