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
from ogagent.jobs.work import Work
from ogagent.model.job import Job, JobError, State

_log: Final = logging.getLogger(__name__)

CANCELLED: Final = JobError(number=0, code="cancelled", message="Cancelled")
Now = Callable[[], datetime]


class Running:
    """``task`` may be cancelled; ``ended``, done when the books are closed, never is."""

    def __init__(self, job: Job, work: Work) -> None:
        self.job = job
        self.work = work
        self.accepted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.ended: asyncio.Task[None]
        self.task: asyncio.Task[None] | None = None
        self._cancelled = False

    def begin(self, task: asyncio.Task[None]) -> None:
        self.task = task
        if self._cancelled:
            task.cancel()

    def cancel(self) -> None:
        """Once: a second cancel would hurry the cleaning up, which takes the time that it takes."""
        if not self._cancelled and self.task is not None:
            self.task.cancel()
        self._cancelled = True

    def shown(self) -> Job:
        progress = self.work.progress
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
            steps=tuple(progress.steps),
            sources=progress.sources,
            left=progress.left_crowd,
        )

    def outcome(self) -> tuple[State, JobError | None]:
        """What was done decides: a cancel or an error that comes after the commit changes nothing."""
        task = self.task
        failure = None if task is None or task.cancelled() else task.exception()
        if self.work.progress.committed:
            if failure is not None:
                _log.warning("after it was done", exc_info=failure)
            return State.SUCCEEDED, None
        if task is None or task.cancelled():
            return State.CANCELLED, CANCELLED
        if isinstance(failure, AgentError):
            return State.FAILED, as_value(failure)
        _log.error("the job failed unexpectedly", exc_info=failure)
        return State.FAILED, as_value(InternalError("an unexpected error, see the agent's log"))


class JournalBooks:
    """Implements ``ogagent.model.progress.Books``."""

    def __init__(self, journal: Journal, job_id: str, lasting: Callable[[], None] = lambda: None) -> None:
        """``lasting`` is called when nothing on the partition tells of the job any more."""
        self._journal = journal
        self._job_id = job_id
        self._lasting = lasting

    def change_begins(self) -> None:
        self._advance(Step.TOUCHED, None)

    def committing(self, note: bytes) -> None:
        self._advance(Step.COMMITTING, note)

    def finishing(self, note: bytes) -> None:
        self._advance(Step.FINISHING, note)
        self._lasting()

    def noting(self, note: bytes) -> None:
        try:
            self._journal.note(self._job_id, note)
        except sqlite3.Error as error:
            raise journal_failure(error) from error

    def committed(self) -> None:
        try:
            self._journal.advance(self._job_id, Step.COMMITTED)
        except Exception:  # noqa: BLE001 - whatever it is: it is done
            extra = {"job_id": self._job_id}
            _log.exception("the commit could not be written into the journal", extra=extra)

    def _advance(self, step: Step, note: bytes | None) -> None:
        try:
            self._journal.advance(self._job_id, step, note)
        except sqlite3.Error as error:
            raise journal_failure(error) from error


def journal_failure(error: Exception) -> InternalError:
    return InternalError(
        f"the journal cannot be written: {error}", hint="look at the state directory (state.dir) and its disk"
    )


def new_job(work: Work, job_id: str, created: datetime) -> Job:
    return Job(
        job_id=job_id,
        function=work.kind.name,
        state=State.RUNNING,
        phase=None,
        progress=0,
        bytes=work.progress.counts,
        rate=0,
        eta_s=None,
        retries=0,
        request=dict(work.request),
        target=work.target,
        created=moment(created),
        timings=work.progress.timings,
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
