"""At the start: what an agent that died has left running comes to its end, with the one report that is true.

What is known at each step:

- ``accepted``: nothing was changed.
- ``touched``: something may have been, and it is not done.
- ``committing``: it was about to be done. The function is asked whether it was, and may bring it to an end.
- ``finishing``: what it committed is done, and was being made ready. The function goes on from there.
- ``committed``: it was done.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Final

from msgspec.structs import replace

from ogagent.errors import AgentError, Interrupted
from ogagent.jobs.disks import MarkedDisks
from ogagent.jobs.entry import Unended
from ogagent.jobs.journal import Journal
from ogagent.jobs.running import JournalBooks, Now, as_value, ended_job, now
from ogagent.jobs.steps import Step
from ogagent.model.disk import Inventory
from ogagent.model.job import Job, State
from ogagent.model.kind import Kind, Kinds
from ogagent.model.progress import Books
from ogagent.model.report import final_report
from ogagent.system.log import JOB_ID

_log: Final = logging.getLogger(__name__)

SETTLE_S: Final = 60.0
"""A disk that hangs keeps the agent from serving the others no longer."""

Recovery = Callable[[Unended, Books], Awaitable[bool]]
"""Of a job that was committing or finishing: whether it is done now. Raises AgentError when that cannot be known, as if
it were not. The books are told when it has found the commit done, and something has to follow.

Whatever it finds half done it leaves so that nobody takes it for whole.
"""


async def settle_unended(
    journal: Journal,
    disks: MarkedDisks,
    kinds: Kinds,
    recoveries: Mapping[str, Recovery],
    *,
    report: bool,
    now: Now = now,
) -> list[Job]:
    """Returns the jobs that it has ended. Their final reports, when there is to be a ``report``, are in the journal.

    Raises sqlite3.Error.
    """
    ended = []
    for left in await asyncio.to_thread(journal.unended):
        token = JOB_ID.set(left.job.job_id)
        kind = kinds[left.job.function]
        step = left.step
        books = JournalBooks(journal, left.job.job_id)
        if step in (Step.COMMITTING, Step.FINISHING) and await _is_done(left, books, recoveries.get(kind.name)):
            # The mark on the partition follows, so that the report tells of it.
            await asyncio.to_thread(journal.advance, left.job.job_id, Step.COMMITTED)
            step = Step.COMMITTED
        job = _ended(left, kind, step, now)
        inventory = await disks.after_a_job() if kind.disks else Inventory()
        final = {**final_report(job, kind, inventory, {}), "seq": left.seq + 1}
        await asyncio.to_thread(journal.end, job, final if report else None)
        _log.warning("an earlier agent died while the job ran (%s): %s", left.step, job.state)
        JOB_ID.reset(token)
        ended.append(job)
    return ended


async def _is_done(left: Unended, books: Books, recovery: Recovery | None) -> bool:
    """When it cannot be found out it is not: that is the safe answer."""
    if recovery is None or left.note is None:
        return False
    try:
        return await recovery(left, books)
    except AgentError as error:
        _log.warning("what the job has left cannot be looked at: %s", error.message)
    except TimeoutError:
        _log.warning("what the job has left cannot be looked at: its disk does not answer")
    except Exception:  # noqa: BLE001 - an agent that cannot settle the past must start all the same
        _log.exception("what the job has left cannot be looked at")
    return False


def _ended(left: Unended, kind: Kind, step: Step, now: Now) -> Job:
    reached = replace(left.job, progress=left.progress)
    if step is Step.COMMITTED:
        return ended_job(reached, State.SUCCEEDED, None, now())
    return interrupted_job(reached, kind, now())


def interrupted_job(job: Job, kind: Kind, finished: datetime) -> Job:
    error = Interrupted(f"The agent was interrupted during {kind.title(job)}", hint="ask for it again")
    return ended_job(job, State.INTERRUPTED, as_value(error), finished)
