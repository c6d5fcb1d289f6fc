"""The jobs as they are shown, to those who ask once and to those who watch."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from ogagent.errors import JobNotFound
from ogagent.jobs.journal import MOST_JOBS
from ogagent.model.job import Job


class Board:
    """In the order in which jobs were accepted, whatever the clock said. Lives on the event loop."""

    def __init__(self, history: Iterable[Job] = ()) -> None:
        self._jobs: dict[str, Job] = {job.job_id: job for job in history}
        self._changes: dict[str, asyncio.Event] = {}

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._jobs

    def newest_first(self) -> list[Job]:
        return list(reversed(self._jobs.values()))

    def job(self, job_id: str) -> Job:
        """Raises JobNotFound."""
        if job := self._jobs.get(job_id):
            return job
        raise JobNotFound(f"there is no job {job_id}", job_id=job_id)

    def show(self, job: Job) -> None:
        self._jobs[job.job_id] = job
        if len(self._jobs) > MOST_JOBS:
            del self._jobs[next(job_id for job_id, each in self._jobs.items() if each.final)]
        if change := self._changes.pop(job.job_id, None):
            change.set()

    async def changed(self, job_id: str, seen: Job | None) -> Job:
        """The job as soon as it is another than ``seen``; what came in between is not told. Raises JobNotFound.

        Whoever waits holds nothing but his place: a slow reader keeps nobody, and no memory.
        """
        while (job := self.job(job_id)) is seen:
            await self._changes.setdefault(job_id, asyncio.Event()).wait()
        return job
