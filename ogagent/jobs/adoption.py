"""At the start: jobs that the journal knows nothing of, because the one that did was lost with the power.

Most ogLives have all that is theirs in memory. What is left of an earlier life are copies of reports that ogCore had
not taken, copies of jobs that had begun, partitions that say whose restore has not finished, and disks that say whose
job changed their table. Where several speak of a job, the partition is right about success, for it is what the report
is about, and the copy about the reason of a failure; a disk knows nothing of either.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from ogagent.disk.record import JobRecord, disk_mark
from ogagent.errors import CacheError
from ogagent.jobs.copies import Copies
from ogagent.jobs.disks import MarkedDisks
from ogagent.jobs.entry import Ended
from ogagent.jobs.journal import Journal
from ogagent.jobs.recovery import interrupted_job
from ogagent.jobs.running import Now, now
from ogagent.model.disk import Inventory
from ogagent.model.job import ByteCounts, Job, JobTarget, State
from ogagent.model.kind import Kinds
from ogagent.model.plan import Target, bound
from ogagent.model.report import final_report

_log: Final = logging.getLogger(__name__)

LAST_SEQ: Final = (1 << 31) - 1
"""Nobody remembers how many reports went before: this one comes after all of them."""
_LOOK_S: Final = 30.0
"""So long the start waits for the CACHE, and then for the disks, to say what an earlier agent has left."""


async def adopt_unknown(
    journal: Journal,
    disks: MarkedDisks,
    copies: Copies,
    kinds: Kinds,
    *,
    report: bool,
    now: Now = now,
    cache_s: float = _LOOK_S,
) -> list[Job]:
    """Returns the jobs; their final reports, when there is to be a ``report``, are in the journal.

    A CACHE that is late, since it has to be checked first, say, keeps nobody: it is waited for ``cache_s`` seconds.
    Then the disks, which do not know how a job has ended, are asked by ``adopt_late``, too. Raises sqlite3.Error, and
    TimeoutError when a disk does not answer.
    """
    kept = await _shelved(copies, cache_s)
    async with asyncio.timeout(_LOOK_S):
        inventory = await disks.after_a_job()
        found = {job_id: (_ended(left, inventory, kinds, now), False) for job_id, left in kept.items()}
        for target in _incomplete(inventory):
            record = await copies.record_on(target)
            if record is None or not _waits(record) or record.disk != disk_mark(target.identity):
                continue
            copy = kept.get(record.job_id)
            if copy is None or copy.job.state in (State.SUCCEEDED, State.RUNNING):
                copy = _interrupted(record, target.named, target, inventory, kinds, now)
            found[record.job_id] = (copy, True)
        for left in [] if copies.late else await _in_gaps(copies, inventory, kinds, now):
            found.setdefault(left.job.job_id, (left, False))
    adopted = []
    for left, incomplete in found.values():
        if await _adopt(journal, copies, left, incomplete=incomplete, report=report):
            adopted.append(left.job)
    return adopted


async def adopt_late(
    journal: Journal, disks: MarkedDisks, copies: Copies, kinds: Kinds, *, report: bool, now: Now = now
) -> list[Ended]:
    """What waited until the CACHE has answered, beside jobs that run; as ``adopt_unknown`` otherwise.

    A partition that a job has had since then is not what it was. Raises sqlite3.Error.
    """
    kept = await _shelved(copies, None)
    inventory = await disks.after_a_job()
    found = {job_id: _ended(left, inventory, kinds, now) for job_id, left in kept.items()}
    for left in await _in_gaps(copies, inventory, kinds, now):
        found.setdefault(left.job.job_id, left)
    adopted = []
    for left in found.values():
        since = left.target is not None and await asyncio.to_thread(journal.has_had, left.target)
        news = replace(left, finishing=left.finishing and not since)
        if await _adopt(journal, copies, news, incomplete=False, report=report):
            adopted.append(news)
    return adopted


async def _adopt(journal: Journal, copies: Copies, left: Ended, *, incomplete: bool, report: bool) -> bool:
    """Whether the journal knew nothing of it."""
    job_id = left.job.job_id
    if await asyncio.to_thread(journal.knows, job_id):
        await _follow(journal, copies, job_id)
        return False
    final = left if report else replace(left, report=None)
    await asyncio.to_thread(journal.adopt, final, incomplete=incomplete)
    _log.warning("the power went before ogCore knew that the job had ended", extra={"job_id": job_id})
    return True


async def _follow(journal: Journal, copies: Copies, job_id: str) -> None:
    """The agent may have died after ogCore was told, and before the copies knew."""
    known = await asyncio.to_thread(journal.ended, job_id)
    if known is not None and known.report is None:
        copies.told(job_id)


async def _shelved(copies: Copies, cache_s: float | None) -> dict[str, Ended]:
    try:
        return await copies.shelved(cache_s)
    except CacheError as error:
        _log.warning("copies of reports cannot be looked for: %s", error.message)
    except TimeoutError:
        _log.warning("the CACHE has not answered yet: copies of reports are looked for when it has")
    return {}


async def _in_gaps(copies: Copies, inventory: Inventory, kinds: Kinds, now: Now) -> list[Ended]:
    """By what the disks say."""
    found = []
    for disk in inventory.disks:
        record = await copies.record_in_gap(disk)
        if record is not None and _waits(record):
            place = JobTarget(disk=disk.disk, partition=None, device=disk.device, identity=disk.identity)
            found.append(_interrupted(record, place, None, inventory, kinds, now))
    return found


def _incomplete(inventory: Inventory) -> Iterator[Target]:
    for disk in inventory.disks:
        for part in disk.partitions:
            if part.incomplete and not part.mounted:
                yield bound(disk, part)


def _ended(left: Ended, inventory: Inventory, kinds: Kinds, now: Now) -> Ended:
    """One that only began has been interrupted."""
    if left.job.final:
        return left
    kind = kinds[left.job.function]
    job = interrupted_job(left.job, kind, now())
    report = {**final_report(job, kind, inventory, {}), "seq": LAST_SEQ}
    return Ended(job=job, target=left.target, report=report, finishing=left.finishing)


def _waits(record: JobRecord) -> bool:
    """Whether ogCore does, to hear of it."""
    return bool(record.job_id) and not record.reported


def _interrupted(
    record: JobRecord, place: JobTarget, target: Target | None, inventory: Inventory, kinds: Kinds, now: Now
) -> Ended:
    kind = kinds[record.function]
    running = Job(
        job_id=record.job_id,
        function=record.function,
        state=State.RUNNING,
        phase=None,
        progress=0,
        bytes=ByteCounts(),
        rate=0,
        eta_s=None,
        retries=0,
        request=record.request,
        target=place,
        created=record.started,
    )
    job = interrupted_job(running, kind, now())
    return Ended(job=job, target=target, report={**final_report(job, kind, inventory, {}), "seq": LAST_SEQ})
