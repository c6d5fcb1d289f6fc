"""The jobs: accepts them, claims what they need, runs them in the background, cancels them, and says how each ended.

The order is what survives a death at any point: a job is in the journal before it is accepted; its end and the report
of it are written together before the report is sent; what lies between is settled by ``ogagent.jobs.recovery``.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final

from ogagent.errors import AgentError, JobFinished, Stopping
from ogagent.jobs.board import Board
from ogagent.jobs.claims import refuse_claimed
from ogagent.jobs.copies import Copies
from ogagent.jobs.disks import MarkedDisks
from ogagent.jobs.entry import Ended
from ogagent.jobs.idle import Idling, NoIdling
from ogagent.jobs.journal import Journal
from ogagent.jobs.numbers import ToldNumbers
from ogagent.jobs.running import JournalBooks, Now, Running, ended_job, journal_failure, new_job, now
from ogagent.jobs.work import Claims, Order, Work
from ogagent.model.disk import Inventory
from ogagent.model.job import Job, State
from ogagent.model.report import final_report, progress_report
from ogagent.ogcore.outbox import Reporter
from ogagent.ogcore.webhook import Report
from ogagent.system.log import JOB_ID
from ogagent.system.metrics import Metrics

_log: Final = logging.getLogger(__name__)

_TICK_S: Final = 0.25
_TELL_S: Final = 10.0
_GOING_S: Final = 60.0
"""How long the end of this agent is waited for, after what was done to bring it about."""


class JobManager:
    """Implements ``ogagent.http.handlers.Jobs``. Lives on the event loop; ``aclose`` ends what still runs."""

    def __init__(
        self,
        *,
        disks: MarkedDisks,
        reporter: Reporter,
        journal: Journal,
        metrics: Metrics,
        numbers: ToldNumbers,
        copies: Copies | None = None,
        idling: Idling | None = None,
        history: Iterable[Job] = (),
        now: Now = now,
        going_s: float = _GOING_S,
    ) -> None:
        self._disks = disks
        self._reporter = reporter
        self._journal = journal
        self._metrics = metrics
        self._copies = copies
        self._idling = idling or NoIdling()
        self._numbers = numbers
        self._now = now
        self._board = Board(history)
        self._running: dict[str, Running] = {}
        self._holders: dict[str, Claims] = {}
        self._going_s = going_s
        self._stopping = asyncio.Event()

    @property
    def busy(self) -> bool:
        return bool(self._running)

    @property
    def running(self) -> list[tuple[Job, str]]:
        """With what each is, for people."""
        return [(each.job, each.work.kind.title(each.job)) for each in self._running.values()]

    async def inventory(self) -> Inventory:
        return await self._disks.inventory()

    async def telling(self, inventory: Inventory) -> Callable[[], Awaitable[None]]:
        return await self._numbers.telling(inventory)

    async def plan(self, order: Order) -> Work:
        """What ``start`` would do. Raises Refusal."""
        async with self._idling.interrupted():
            return await self._plan(order)

    async def _plan(self, order: Order) -> Work:
        self._refuse_when_stopping()
        inventory = await self._disks.inventory(thorough=False) if order.looks else Inventory()
        # Meanwhile another call may have come; from here to the claim in ``start`` nothing waits.
        self._refuse_when_stopping()
        claims = order.claims(inventory)
        self._numbers.refuse_renumbered(claims, inventory)
        refuse_claimed(claims, self._held())
        return order.plan(inventory)

    async def start(self, order: Order) -> Job:
        """Raises Refusal, and InternalError when the journal cannot be written. When it returns, the job runs."""
        async with self._idling.interrupted():
            running = self._begun(await self._plan(order))
            await asyncio.shield(running.accepted)
            return running.job

    def _begun(self, work: Work) -> Running:
        job = new_job(work, self._new_id(work.kind.name), self._now())
        progress = work.progress
        progress.job_id, progress.created = job.job_id, job.created
        running = Running(job, work)
        progress.books = JournalBooks(self._journal, job.job_id, self._lasting(running))
        self._running[job.job_id] = running
        running.ended = asyncio.create_task(self._see_through(running), name=job.job_id)
        return running

    @asynccontextmanager
    async def holding(self, order: Order) -> AsyncIterator[Work]:
        """For what is no job, and yet must not be done beside one. Raises Refusal."""
        async with self._idling.interrupted():
            work = await self._plan(order)
            holder = self._new_id(work.kind.name)
            self._holders[holder] = work.claims
            try:
                yield work
            finally:
                del self._holders[holder]

    def jobs(self) -> list[Job]:
        return self._board.newest_first()

    def job(self, job_id: str) -> Job:
        return self._board.job(job_id)

    async def changed(self, job_id: str, seen: Job | None) -> Job:
        return await self._board.changed(job_id, seen)

    async def take_up(self, left: Callable[[], Awaitable[list[Ended]]]) -> None:
        """Jobs of an earlier agent that are found out only now: they are shown, and told."""
        for ended in await left():
            self._board.show(ended.job)
            if ended.report is not None:
                self._reporter.final(ended.job.job_id, ended.report)

    async def cancel(self, job_id: str) -> Job:
        job = self.job(job_id)
        running = self._running.get(job_id)
        if running is None:
            raise JobFinished(f"job {job_id} has ended: {job.state}", job_id=job_id)
        running.cancel()
        await asyncio.wait([running.ended])
        return self.job(job_id)

    async def drained(self) -> None:
        """No new job from now on; returns when those that run have ended."""
        self._stopping.set()
        if running := [each.ended for each in self._running.values()]:
            await asyncio.wait(running)

    async def aclose(self) -> None:
        """No new job from now on; those that run are cancelled, and their final reports handed over."""
        self._stopping.set()
        running = list(self._running.values())
        for each in running:
            each.cancel()
        if running:
            await asyncio.wait([each.ended for each in running])

    async def _see_through(self, running: Running) -> None:
        """Whatever happens in here, what the job held is free afterwards."""
        JOB_ID.set(running.job.job_id)
        try:
            async with self._idling.interrupted():
                if await self._accepted(running):
                    await self._work(running)
                    await self._end(running)
        finally:
            del self._running[running.job.job_id]

    async def _accepted(self, running: Running) -> bool:
        try:
            await asyncio.to_thread(self._journal.accept, running.job, running.work.overwrites)
        except Exception as error:  # noqa: BLE001 - the caller, who waits, is told
            running.accepted.set_exception(journal_failure(error))
            return False
        if self._copies is not None:
            await self._copies.accepted(running.job)
        self._board.show(running.job)
        running.accepted.set_result(None)
        return True

    def _lasting(self, running: Running) -> Callable[[], None]:
        """For a thread of the job, which waits until there is a copy of it."""
        loop, copies, target = asyncio.get_running_loop(), self._copies, running.work.overwrites
        if copies is None or target is None:
            return lambda: None
        return lambda: asyncio.run_coroutine_threadsafe(copies.begun(running.job, target), loop).result()

    async def _work(self, running: Running) -> None:
        _log.info("begins: %s", running.work.kind.title(running.job))
        task = asyncio.create_task(self._run(running.work))
        running.begin(task)
        ticker = asyncio.create_task(self._tick(running))
        await asyncio.wait([task])
        ticker.cancel()
        await asyncio.wait([ticker])
        if not ticker.cancelled() and (failure := ticker.exception()):
            _log.error("progress could not be shown", exc_info=failure)

    async def _run(self, work: Work) -> None:
        async with AsyncExitStack() as stack:
            if self._copies is not None:
                for identity in sorted(work.claims.disks):
                    await stack.enter_async_context(self._copies.disk(identity))
            await work.run()

    async def _end(self, running: Running) -> None:
        state, error = running.outcome()
        job = ended_job(running.shown(), state, error, self._now())
        report = await self._closed_books(job, running.work)
        self._metrics.job_moved(running.job, job)
        self._metrics.job_ended(job)
        running.job = job
        self._board.show(job)
        if self._copies is not None:
            await self._copies.ended(job.job_id)
        if report is not None:
            self._reporter.final(job.job_id, report)
        level = logging.INFO if state is State.SUCCEEDED else logging.ERROR
        _log.log(level, "%s%s", job.state, f": {error.der}" if error else "")
        if state is State.SUCCEEDED and (act := running.work.afterwards):
            await self._afterwards(job, act)

    async def _afterwards(self, job: Job, act: Callable[[], Awaitable[None]]) -> None:
        """ogCore is waited for as long as an operator would wait for the machine. That goes down then, which takes
        a while in which nobody begins anything.
        """
        if not await self._reporter.told(job.job_id, _TELL_S):
            _log.warning("ogCore does not know yet: a later agent tells it")
        try:
            await act()
        except AgentError as error:
            _log.error("%s", error.message)
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), self._going_s)
            return
        _log.error("the machine does not go down")

    async def _closed_books(self, job: Job, work: Work) -> Report | None:
        """The report that ogCore shall have. What cannot be written is said all the same, at worst once more later."""
        report = None
        try:
            inventory = await self._disks.after_a_job() if work.kind.disks else Inventory()
            report = self._reporter.conclude(job.job_id, final_report(job, work.kind, inventory, work.answer()))
            await asyncio.to_thread(self._journal.end, job, report)
            if report is None and self._copies is not None:  # there is nobody to tell, now or later
                self._copies.told(job.job_id)
        except Exception:  # noqa: BLE001 - the job has ended: nothing stays busy because of its books
            _log.exception("the end of the job could not be written into the journal")
        return report

    async def _tick(self, running: Running) -> None:
        """Shows how far the job is, at each change and at most some times a second."""
        while True:
            job = running.shown()
            if job != running.job:
                self._metrics.job_moved(running.job, job)
                running.job = job
                self._board.show(job)
                self._reporter.progress(job.job_id, progress_report(job))
            await asyncio.sleep(_TICK_S)

    def _refuse_when_stopping(self) -> None:
        if self._stopping.is_set():
            raise Stopping("the agent is stopping", hint="try again when it has started anew")

    def _held(self) -> list[tuple[str, Claims]]:
        running = [(job_id, each.work.claims) for job_id, each in self._running.items()]
        return [*running, *self._holders.items()]

    def _new_id(self, function: str) -> str:
        while True:
            job_id = f"{function}-{secrets.token_hex(4)}"
            if job_id not in self._running and job_id not in self._board:
                return job_id
