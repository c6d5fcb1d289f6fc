"""What must survive the agent's death: jobs, reports that ogCore has not taken, partitions that are neither whole nor
what they were.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from ogagent.errors import InternalError
from ogagent.jobs.damage import is_damage, set_aside
from ogagent.jobs.entry import Ended, Mark, Place, Told, Unended
from ogagent.jobs.salvage import readable, step_of, target_of, unreadable_job
from ogagent.jobs.schema import prepare
from ogagent.jobs.steps import IllegalStep, Step, may_follow
from ogagent.model.job import Job
from ogagent.model.plan import Target
from ogagent.ogcore.webhook import Report

_log: Final = logging.getLogger(__name__)

MOST_JOBS: Final = 1000
OLDEST: Final = timedelta(days=90)


class Journal:
    """Every change is on the medium when its call returns. Blocking; may be used from any thread.

    Every method raises sqlite3.Error when the state directory cannot be used.
    """

    def __init__(self, database: str, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(database, check_same_thread=False, isolation_level=None)
        try:
            prepare(self._connection)
        except BaseException:
            self._connection.close()
            raise

    @classmethod
    def in_memory(cls) -> Self:
        return cls(":memory:")

    @classmethod
    def open(cls, state_dir: Path) -> Self:
        """A journal that is damaged is set aside, so that the agent starts all the same.

        Raises SettingsError for one of a newer agent, and InternalError when none can be used at the moment: the disk
        is full, or fails. Then what is there stays as it is.
        """
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            return cls._opened(state_dir / "journal.sqlite")
        except sqlite3.Error as error:
            raise InternalError(
                f"the journal cannot be used: {error}", hint="look at the state directory (state.dir) and its disk"
            ) from error

    @classmethod
    def _opened(cls, file: Path) -> Self:
        try:
            return cls._readable(file)
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            _log.warning("%s cannot be read (%s): set aside as %s", file, error, set_aside(file).name)
            return cls(str(file))

    @classmethod
    def _readable(cls, file: Path) -> Self:
        journal = cls(str(file))
        try:
            journal._rows("SELECT * FROM jobs")
            journal.incomplete()
        except BaseException:
            journal.close()
            raise
        return journal

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    # --- jobs -----------------------------------------------------------------------------------------------------

    def accept(self, job: Job, target: Target | None) -> None:
        """``target``: the partition that is incomplete from the first change until the job is done, if there is one."""
        values = (job.job_id, Step.ACCEPTED, _json(job), _json(target))
        with self._transaction() as do:
            do.execute("INSERT INTO jobs (job_id, step, job, target) VALUES (?, ?, ?, ?)", values)
            self._note_step(do, job.job_id, Step.ACCEPTED)
            self._forget_old(do)

    def advance(self, job_id: str, step: Step, note: bytes | None = None) -> None:
        """Raises IllegalStep. The target is incomplete from TOUCHED until COMMITTED, and whole from FINISHING on."""
        with self._transaction() as do:
            self._advance(do, job_id, step, note)

    def note(self, job_id: str, note: bytes) -> None:
        """While the job is COMMITTING or FINISHING."""
        values = (note, job_id, Step.COMMITTING, Step.FINISHING)
        with self._transaction() as do:
            do.execute("UPDATE jobs SET note = ? WHERE job_id = ? AND step IN (?, ?)", values)

    def end(self, job: Job, report: Report | None) -> None:
        """The end and the report of it, if there is anybody to report to, are written together or not at all."""
        with self._transaction() as do:
            self._advance(do, job.job_id, Step(job.state.value), None)
            values = (_json(job), job.finished, _json_or_null(report), job.job_id)
            do.execute("UPDATE jobs SET job = ?, finished = ?, report = ? WHERE job_id = ?", values)

    def adopt(self, ended: Ended, *, incomplete: bool) -> None:
        """One that this journal knows nothing of: the one that did was lost with the power.

        ``incomplete``: so is its partition. One that was FINISHING has left it whole, and not ready.
        """
        job, report = ended.job, _json_or_null(ended.report)
        values = (job.job_id, job.state.value, _json(job), _json(ended.target), job.finished, report)
        with self._transaction() as do:
            do.execute(
                "INSERT INTO jobs (job_id, step, job, target, finished, report) VALUES (?, ?, ?, ?, ?, ?)", values
            )
            self._note_step(do, job.job_id, Step(job.state.value))
            if ended.target is not None and (incomplete or ended.finishing):
                self._mark_incomplete(do, ended.target, wiped=incomplete, whole=not incomplete)
            self._forget_old(do)

    def history(self) -> list[Job]:
        """Those that have ended and can be read, in the order in which they were accepted."""
        rows = self._rows("SELECT job_id, job FROM jobs WHERE finished IS NOT NULL ORDER BY number")
        found = (readable(job, Job, job_id) for job_id, job in rows)
        return [job for job in found if job is not None]

    def unended(self) -> list[Unended]:
        rows = self._rows(
            "SELECT job_id, job, target, step, note, seq, progress FROM jobs WHERE finished IS NULL ORDER BY number"
        )
        found = []
        for job_id, job, place, step, note, seq, progress in rows:
            target = target_of(place, job_id)
            left = readable(job, Job, job_id) or unreadable_job(job_id, job, target)
            found.append(Unended(job=left, target=target, step=step_of(step), note=note, seq=seq, progress=progress))
        return found

    def knows(self, job_id: str) -> bool:
        return bool(self._rows("SELECT 1 FROM jobs WHERE job_id = ?", (job_id,)))

    def ended(self, job_id: str) -> Ended | None:
        """None for a job that is not there, still runs, or cannot be read."""
        query = "SELECT job, target, report, refusal FROM jobs WHERE job_id = ? AND finished IS NOT NULL"
        for job, target, report, refusal in self._rows(query, (job_id,)):
            if (found := readable(job, Job, job_id)) is not None:
                waits = report is not None and refusal is None
                final = readable(report, dict[str, Any], job_id) if waits else None
                return Ended(job=found, target=target_of(target, job_id), report=final)
        return None

    # --- partitions -----------------------------------------------------------------------------------------------

    def incomplete(self) -> dict[Place, Mark]:
        rows = self._rows("SELECT identity, partition, start, size, wiped, whole FROM incomplete")
        return {(identity, number): Mark(start, size, bool(w), bool(h)) for identity, number, start, size, w, h in rows}

    def wiped(self, place: Place) -> None:
        """The edges of an incomplete partition were seen to be wiped. Nothing while a job may be writing them."""
        with self._transaction() as do:
            do.execute(
                "UPDATE incomplete SET wiped = 1 WHERE identity = ? AND partition = ? "
                "AND NOT EXISTS (SELECT 1 FROM jobs WHERE step = ?)",
                (*place, Step.COMMITTING),
            )

    def made_ready(self, place: Place) -> None:
        """By hand, by somebody who is no job: a partition that was whole."""
        with self._transaction() as do:
            do.execute("DELETE FROM incomplete WHERE identity = ? AND partition = ? AND whole = 1", place)

    def has_had(self, target: Target) -> bool:
        """Whether a job that is known has, or had, this partition to overwrite."""
        rows = self._rows("SELECT job_id, target FROM jobs")
        places = [
            (had.identity, had.partition) for job_id, data in rows if (had := target_of(data, job_id)) is not None
        ]
        return (target.identity, target.partition) in places

    # --- reports --------------------------------------------------------------------------------------------------

    def sending(self, job_id: str, seq: int, progress: int) -> None:
        """A progress report is about to go out."""
        with self._transaction() as do:
            do.execute("UPDATE jobs SET seq = ?, progress = ? WHERE job_id = ?", (seq, progress, job_id))

    def undelivered(self) -> list[tuple[str, Report]]:
        """Job and final report, oldest first."""
        rows = self._rows(
            "SELECT job_id, report FROM jobs WHERE report IS NOT NULL AND refusal IS NULL ORDER BY number"
        )
        found = ((job_id, readable(report, dict[str, Any], job_id)) for job_id, report in rows)
        return [(job_id, report) for job_id, report in found if report is not None]

    def delivered(self, job_id: str) -> None:
        with self._transaction() as do:
            do.execute("UPDATE jobs SET report = NULL WHERE job_id = ?", (job_id,))

    def refused(self, job_id: str, reason: str) -> None:
        """The report is kept for whoever wants to know, and not sent again."""
        with self._transaction() as do:
            do.execute("UPDATE jobs SET refusal = ? WHERE job_id = ?", (reason, job_id))

    # --- numbers of disks -----------------------------------------------------------------------------------------

    def told(self) -> frozenset[Told]:
        return frozenset(self._rows("SELECT number, identity FROM told"))

    def keep_told(self, numbers: Iterable[Told]) -> None:
        with self._transaction() as do:
            do.execute("DELETE FROM told")
            do.executemany("INSERT INTO told (number, identity) VALUES (?, ?)", numbers)

    # --- inside a transaction -------------------------------------------------------------------------------------

    def _advance(self, do: sqlite3.Connection, job_id: str, step: Step, note: bytes | None) -> None:
        row = do.execute("SELECT step, target FROM jobs WHERE job_id = ?", (job_id,)).fetchone()
        target = None if row is None else target_of(row[1], job_id)
        if row is None or not may_follow(step_of(row[0]), step, has_target=target is not None):
            raise IllegalStep(f"{job_id}: {row[0] if row else 'nothing'} cannot be followed by {step}")
        do.execute("UPDATE jobs SET step = ?, note = ? WHERE job_id = ?", (step, note, job_id))
        self._note_step(do, job_id, step)
        if target is not None:
            self._mark(do, target, step)

    def _mark(self, do: sqlite3.Connection, target: Target, step: Step) -> None:
        place = (target.identity, target.partition)
        if step is Step.TOUCHED:
            self._mark_incomplete(do, target, wiped=False)
        elif step is Step.COMMITTING:
            do.execute("UPDATE incomplete SET wiped = 0 WHERE identity = ? AND partition = ?", place)
        elif step is Step.FINISHING:
            do.execute("UPDATE incomplete SET whole = 1, wiped = 0 WHERE identity = ? AND partition = ?", place)
        elif step in {Step.COMMITTED, Step.SUCCEEDED}:
            do.execute("DELETE FROM incomplete WHERE identity = ? AND partition = ?", place)

    def _mark_incomplete(self, do: sqlite3.Connection, target: Target, *, wiped: bool, whole: bool = False) -> None:
        values = (target.identity, target.partition, target.start, target.size, wiped, whole)
        names = "identity, partition, start, size, wiped, whole"
        do.execute(f"INSERT OR REPLACE INTO incomplete ({names}) VALUES (?, ?, ?, ?, ?, ?)", values)  # noqa: S608

    def _note_step(self, do: sqlite3.Connection, job_id: str, step: Step) -> None:
        values = (step, self._now().isoformat(timespec="milliseconds"), job_id)
        do.execute("INSERT INTO steps SELECT number, ?, ? FROM jobs WHERE job_id = ?", values)

    def _forget_old(self, do: sqlite3.Connection) -> None:
        """Age alone forgets no report that waits: the clock may have been wrong when the job ended."""
        oldest = (self._now() - OLDEST).isoformat()
        do.execute("DELETE FROM jobs WHERE finished < ? AND (report IS NULL OR refusal IS NOT NULL)", (oldest,))
        last = do.execute("SELECT number FROM jobs ORDER BY number DESC LIMIT 1 OFFSET ?", (MOST_JOBS,)).fetchone()
        if last is None:
            return
        lost = do.execute(
            "SELECT job_id FROM jobs WHERE number <= ? AND finished IS NOT NULL AND report IS NOT NULL "
            "AND refusal IS NULL",
            last,
        ).fetchall()
        do.execute("DELETE FROM jobs WHERE number <= ? AND finished IS NOT NULL", last)
        for (job_id,) in lost:
            _log.error("forgotten, and ogCore never took its final report", extra={"job_id": job_id})

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            yield self._connection

    def _rows(self, query: str, values: tuple[object, ...] = ()) -> list[Any]:
        with self._lock:
            return self._connection.execute(query, values).fetchall()


def _json(value: object) -> bytes:
    return msgspec.json.encode(value)


def _json_or_null(value: object) -> bytes | None:
    return None if value is None else _json(value)
