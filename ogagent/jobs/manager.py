"""The jobs: accepts them, claims their disks, runs them in the background, cancels them, and says how each ended."""

from __future__ import annotations

import asyncio
import logging
import secrets
import sqlite3
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from msgspec.structs import replace

from ogagent.disk.machine import Machine
from ogagent.errors import AgentError, DiskBusy, InternalError, JobFinished, JobNotFound, Stopping
from ogagent.jobs.journal import Journal, Place
from ogagent.model.disk import Disk, Inventory
from ogagent.model.job import ByteCounts, Job, JobError, JobTarget, State
from ogagent.model.plan import RestorePlan
from ogagent.model.report import final_report, progress_report
from ogagent.model.request import FUNCTION, RestoreRequest
from ogagent.ogcore.outbox import Reporter
from ogagent.restore.plan import Rules, plan_restore
from ogagent.restore.progress import Progress
from ogagent.system.log import JOB_ID

_log: Final = logging.getLogger(__name__)

_HISTORY: Final = 1000
_TICK_S: Final = 0.25
CANCELLED: Final = JobError(number=0, code="cancelled", message="Cancelled")

Restore = Callable[[RestorePlan, Progress], Coroutine[Any, Any, None]]
"""Returns when the disk holds the image; raises AgentError when it does not."""


class _Running:
    def __init__(self, job: Job, plan: RestorePlan, progress: Progress) -> None:
        self.job = job
        self.plan = plan
        self.progress = progress
        self.work: asyncio.Task[None]
        """What may be cancelled."""
        self.ended: asyncio.Task[None]
        """Done when the job's books are closed; never cancelled."""

    def cancel(self) -> None:
        """Once: a second cancel would hurry the cleaning up, which takes the time that it takes."""
        if not self.work.cancelling():
            self.work.cancel()


class JobManager:
    """Implements ``ogagent.http.handlers.Jobs``. Lives on the event loop; ``aclose`` ends what still runs."""

    def __init__(
        self,
        *,
        machine: Machine,
        rules: Rules,
        restore: Restore,
        reporter: Reporter,
        read_back: bool = True,
        journal: Journal | None = None,
    ) -> None:
        self._machine = machine
        self._rules = rules
        self._restore = restore
        self._reporter = reporter
        self._read_back = read_back
        self._running: dict[str, _Running] = {}
        self._finished: dict[str, Job] = {}
        self._journal = journal or Journal.in_memory()
        self._stopping = False

    @property
    def busy(self) -> bool:
        return bool(self._running)

    async def inventory(self) -> Inventory:
        found = await self._machine.inventory()
        incomplete = await asyncio.to_thread(self._journal.incomplete)
        return Inventory(disks=tuple(_marked(disk, incomplete) for disk in found.disks))

    async def plan(self, request: RestoreRequest) -> RestorePlan:
        """What ``start`` would do. Raises Refusal."""
        self._refuse_when_stopping()
        self._refuse_claimed(request.dsk)
        plan = plan_restore(request, await self.inventory(), self._rules)
        # Meanwhile another call may have come; from here to the claim in ``start`` nothing waits.
        self._refuse_when_stopping()
        self._refuse_claimed(request.dsk)
        return plan

    async def start(self, request: RestoreRequest) -> Job:
        """Raises Refusal. When it returns, the job runs."""
        plan = await self.plan(request)
        place = (plan.target.identity, plan.target.partition)
        progress = Progress(read_back_wanted=self._read_back, on_touch=partial(self._journal.mark_incomplete, place))
        running = _Running(_new_job(plan, self._new_id()), plan, progress)
        self._running[running.job.job_id] = running
        running.work = asyncio.create_task(self._restore(plan, progress))
        running.ended = asyncio.create_task(self._see_through(running), name=running.job.job_id)
        return running.job

    def jobs(self) -> list[Job]:
        known = [*self._finished.values(), *(running.job for running in self._running.values())]
        return sorted(known, key=lambda job: job.created)[::-1]

    def job(self, job_id: str) -> Job:
        if running := self._running.get(job_id):
            return running.job
        if job := self._finished.get(job_id):
            return job
        raise JobNotFound(f"there is no job {job_id}", job_id=job_id)

    async def cancel(self, job_id: str) -> Job:
        job = self.job(job_id)
        running = self._running.get(job_id)
        if running is None:
            raise JobFinished(f"job {job_id} has ended: {job.state}", job_id=job_id)
        running.cancel()
        await asyncio.wait([running.ended])
        return self.job(job_id)

    async def aclose(self) -> None:
        """No new job from now on; those that run are cancelled, and their final reports handed over."""
        self._stopping = True
        running = list(self._running.values())
        for each in running:
            each.cancel()
        if running:
            await asyncio.wait([each.ended for each in running])

    async def _see_through(self, running: _Running) -> None:
        JOB_ID.set(running.job.job_id)
        _log.info("restoring %s onto %s", running.plan.source, running.plan.target.device)
        ticker = asyncio.create_task(self._tick(running))
        await asyncio.wait([running.work])
        ticker.cancel()
        await asyncio.wait([ticker])
        if not ticker.cancelled() and (failure := ticker.exception()):
            _log.error("progress could not be shown", exc_info=failure)
        state, error = _outcome(running.work)
        await self._end(running, state, error)

    async def _end(self, running: _Running, state: State, error: JobError | None) -> None:
        place = (running.plan.target.identity, running.plan.target.partition)
        if state is State.SUCCEEDED:
            await self._mark_complete(place)
        job = replace(_shown(running), state=state, phase=None, error=error, rate=0, eta_s=None, finished=_now())
        if state is State.SUCCEEDED:
            job = replace(job, progress=100)
        try:
            inventory = await self.inventory()
        except Exception:  # noqa: BLE001 - the report must go out, with or without the disks
            _log.exception("the inventory after the job failed")
            inventory = Inventory()
        self._finished[job.job_id] = job
        while len(self._finished) > _HISTORY:
            del self._finished[next(iter(self._finished))]
        del self._running[job.job_id]
        self._reporter.final(job.job_id, final_report(job, inventory))
        level = logging.INFO if state is State.SUCCEEDED else logging.ERROR
        _log.log(level, "%s%s", job.state, f": {error.der}" if error else "")

    async def _mark_complete(self, place: Place) -> None:
        try:
            await asyncio.to_thread(self._journal.mark_complete, place)
        except sqlite3.Error:  # the disk holds the image all the same; the inventory goes on to call it incomplete
            _log.exception("the journal could not be written")

    async def _tick(self, running: _Running) -> None:
        """Shows how far the job is, at each change and at most some times a second."""
        while True:
            job = _shown(running)
            if job != running.job:
                running.job = job
                self._reporter.progress(job.job_id, progress_report(job))
            await asyncio.sleep(_TICK_S)

    def _refuse_when_stopping(self) -> None:
        if self._stopping:
            raise Stopping("the agent is stopping", hint="try again when it has started anew")

    def _refuse_claimed(self, disk: int) -> None:
        for job_id, running in self._running.items():
            if running.plan.target.disk == disk:
                raise DiskBusy(
                    f"disk {disk} is taken by {job_id}",
                    job_id=job_id,
                    hint="wait for its end, or cancel it with KillJob",
                )

    def _new_id(self) -> str:
        while True:
            job_id = f"{FUNCTION}-{secrets.token_hex(4)}"
            if job_id not in self._running and job_id not in self._finished:
                return job_id


def _marked(disk: Disk, incomplete: frozenset[Place]) -> Disk:
    partitions = (replace(part, incomplete=(disk.identity, part.partition) in incomplete) for part in disk.partitions)
    return replace(disk, partitions=tuple(partitions))


def _new_job(plan: RestorePlan, job_id: str) -> Job:
    target = plan.target
    return Job(
        job_id=job_id,
        function=FUNCTION,
        state=State.RUNNING,
        phase=None,
        progress=0,
        bytes=ByteCounts(),
        rate=0,
        eta_s=None,
        retries=0,
        request=plan.request.echo(),
        target=JobTarget(disk=target.disk, partition=target.partition, device=target.device, identity=target.identity),
        created=_now(),
    )


def _shown(running: _Running) -> Job:
    progress = running.progress
    return replace(
        running.job,
        phase=progress.phase,
        progress=progress.percent(),
        bytes=progress.counts,
        rate=progress.rate(),
        eta_s=progress.eta_s(),
        retries=progress.retries,
        timings=progress.timings,
    )


def _outcome(work: asyncio.Task[None]) -> tuple[State, JobError | None]:
    if work.cancelled():
        return State.CANCELLED, CANCELLED
    failure = work.exception()
    if failure is None:
        return State.SUCCEEDED, None
    if isinstance(failure, AgentError):
        return State.FAILED, _as_value(failure)
    _log.error("the restore failed unexpectedly", exc_info=failure)
    return State.FAILED, _as_value(InternalError("an unexpected error, see the agent's log"))


def _as_value(error: AgentError) -> JobError:
    return JobError(number=error.number, code=error.code, message=error.message, hint=error.hint)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
