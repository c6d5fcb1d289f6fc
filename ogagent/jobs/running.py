"""A job while it runs: what of it may be cancelled, what it writes into the journal, and how it ended."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from msgspec.structs import replace

from ogagent.errors import AgentError, InternalError
from ogagent.jobs.journal import Journal
from ogagent.jobs.steps import Step
from ogagent.model.job import ByteCounts, Job, JobError, JobTarget, State
from ogagent.model.plan import RestorePlan
from ogagent.model.request import FUNCTION
from ogagent.restore.progress import Progress

_log: Final = logging.getLogger(__name__)

CANCELLED: Final = JobError(number=0, code="cancelled", message="Cancelled")
Now = Callable[[], datetime]


class Running:
    """``work`` may be cancelled; ``ended``, done when the books are closed, never is."""

    def __init__(self, job: Job, plan: RestorePlan, progress: Progress) -> None:
        self.job = job
        self.plan = plan
        self.progress = progress
        self.accepted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ended: asyncio.Task[None]
        self.work: asyncio.Task[None] | None = None
        self._cancelled = False

    def begin(self, work: asyncio.Task[None]) -> None:
        self.work = work
        if self._cancelled:
            work.cancel()

    def cancel(self) -> None:
        """Once: a second cancel would hurry the cleaning up, which takes the time that it takes."""
        if not self._cancelled and self.work is not None:
            self.work.cancel()
        self._cancelled = True

    def shown(self) -> Job:
        progress = self.progress
        return replace(
            self.job,
            phase=progress.phase,
            progress=progress.percent(),
            bytes=progress.counts,
            rate=progress.rate(),
            eta_s=progress.eta_s(),
            retries=progress.retries,
            timings=progress.timings,
            warnings=tuple(progress.warnings),
        )

    def outcome(self) -> tuple[State, JobError | None]:
        """What is true of the disk decides: a cancel or an error that comes after the commit changes nothing."""
        work = self.work
        failure = None if work is None or work.cancelled() else work.exception()
        if self.progress.committed:
            if failure is not None:
                _log.warning("after the disk held the image", exc_info=failure)
            return State.SUCCEEDED, None
        if work is None or work.cancelled():
            return State.CANCELLED, CANCELLED
        if isinstance(failure, AgentError):
            return State.FAILED, as_value(failure)
        _log.error("the restore failed unexpectedly", exc_info=failure)
        return State.FAILED, as_value(InternalError("an unexpected error, see the agent's log"))


class JournalBooks:
    """Implements ``ogagent.restore.progress.Books``."""

    def __init__(self, journal: Journal, job_id: str) -> None:
        self._journal = journal
        self._job_id = job_id

    def touching(self) -> None:
        self._advance(Step.TOUCHED, None)

    def committing(self, edges: bytes) -> None:
        self._advance(Step.COMMITTING, edges)

    def committed(self) -> None:
        try:
            self._journal.advance(self._job_id, Step.COMMITTED)
        except Exception:  # noqa: BLE001 - whatever it is: the disk holds the image
            extra = {"job_id": self._job_id}
            _log.exception("the commit could not be written into the journal", extra=extra)

    def _advance(self, step: Step, edges: bytes | None) -> None:
        try:
            self._journal.advance(self._job_id, step, edges)
        except sqlite3.Error as error:
            raise journal_failure(error) from error


def journal_failure(error: Exception) -> InternalError:
    return InternalError(
        f"the journal cannot be written: {error}", hint="look at the state directory (state.dir) and its disk"
    )


def new_job(plan: RestorePlan, job_id: str, created: datetime) -> Job:
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
        created=moment(created),
    )


def ended_job(job: Job, state: State, error: JobError | None, finished: datetime) -> Job:
    progress = 100 if state is State.SUCCEEDED else job.progress
    return replace(
        job, state=state, phase=None, progress=progress, error=error, rate=0, eta_s=None, finished=moment(finished)
    )


def as_value(error: AgentError) -> JobError:
    return JobError(number=error.number, code=error.code, message=error.message, hint=error.hint)


def moment(when: datetime) -> str:
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def now() -> datetime:
    return datetime.now(UTC)
