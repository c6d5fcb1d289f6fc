"""At the start: what an agent that died has left running comes to its end, with the one report that is true.

What is known of the disk at each step:

- ``accepted``: nothing was written.
- ``touched``: the partition's edges are empty, or, when the agent died before it could wipe them, as they were and so
  is all else. Nothing is written here: meanwhile somebody may have put something of his own there.
- ``committing``: all but the edges was proven on the medium, and the journal holds what those will be. When the medium
  has all of them, it holds the image. When it has some, they are wiped, so that it mounts nowhere. Any other content is
  somebody else's and left alone.
- ``committed``: the disk holds the image.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime
from typing import Final

from msgspec.structs import replace

from ogagent.disk.machine import Machine
from ogagent.errors import AgentError, Interrupted
from ogagent.jobs.disks import MarkedDisks
from ogagent.jobs.journal import Journal, Unended
from ogagent.jobs.running import Now, as_value, ended_job, now
from ogagent.jobs.steps import Step
from ogagent.model.job import Job, State
from ogagent.model.report import final_report
from ogagent.restore.edges import Edges
from ogagent.restore.record import record_of
from ogagent.system.log import JOB_ID

_log: Final = logging.getLogger(__name__)


async def settle_unended(journal: Journal, machine: Machine, *, report: bool, now: Now = now) -> list[Job]:
    """Returns the jobs that it has ended. Their final reports, when there is to be a ``report``, are in the journal.

    Raises sqlite3.Error.
    """
    ended = []
    for left in await asyncio.to_thread(journal.unended):
        token = JOB_ID.set(left.job.job_id)
        step = await asyncio.to_thread(_looked_up, journal, machine, left)
        job = _ended(left, step, now)
        inventory = await MarkedDisks(machine, journal).after_a_job()
        final = {**final_report(job, inventory), "seq": left.seq + 1}
        await asyncio.to_thread(journal.end, job, final if report else None)
        _log.warning("an earlier agent died while the job ran (%s): %s", left.step, job.state)
        JOB_ID.reset(token)
        ended.append(job)
    return ended


def _looked_up(journal: Journal, machine: Machine, left: Unended) -> Step:
    """The step after the disk was looked at. The mark on the partition follows it, so that the report tells of it."""
    if left.step is Step.COMMITTING and left.edges is not None and _holds(machine, left, left.edges):
        journal.advance(left.job.job_id, Step.COMMITTED)
        return Step.COMMITTED
    return left.step


def _ended(left: Unended, step: Step, now: Now) -> Job:
    reached = replace(left.job, progress=left.progress)
    if step is Step.COMMITTED:
        return ended_job(reached, State.SUCCEEDED, None, now())
    return interrupted_job(reached, now())


def interrupted_job(job: Job, finished: datetime) -> Job:
    error = Interrupted(
        f"The agent was interrupted while it restored partition {job.target.partition} of disk {job.target.disk}",
        hint="restore it again",
    )
    return ended_job(job, State.INTERRUPTED, as_value(error), finished)


def _holds(machine: Machine, left: Unended, edges: bytes) -> bool:
    """Whether the partition has these edges. When it cannot be looked at it has not: that is the safe answer."""
    job, target = left.job, left.target
    if target is None:
        return False
    try:
        record = record_of(target, job.request, job_id=job.job_id, started=job.created)
        with machine.open_target(target) as device:
            device.flush()
            return Edges(device, record).settle(edges)
    except AgentError as error:
        _log.warning("%s cannot be looked at: %s", target.device, error.message)
    except Exception:  # noqa: BLE001 - an agent that cannot settle the past must start all the same
        _log.exception("%s cannot be looked at", target.device)
    return False
