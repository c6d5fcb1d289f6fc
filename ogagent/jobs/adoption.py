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


async def adopt_unknown(
    journal: Journal, disks: MarkedDisks, copies: Copies, kinds: Kinds, *, report: bool, now: Now = now
) -> list[Job]:
    """Returns the jobs; their final reports, when there is to be a ``report``, are in the journal.

    Raises sqlite3.Error.
    """
    kept = await _shelved(copies)
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
    for disk in inventory.disks:
        record = await copies.record_in_gap(disk)
        if record is not None and _waits(record) and record.job_id not in found:
            place = JobTarget(disk=disk.disk, partition=None, device=disk.device, identity=disk.identity)
            found[record.job_id] = (_interrupted(record, place, None, inventory, kinds, now), False)
    adopted = []
    for job_id, (left, incomplete) in found.items():
        if await asyncio.to_thread(journal.knows, job_id):
            await _follow(journal, copies, job_id)
            continue
        final = left if report else replace(left, report=None)
        await asyncio.to_thread(journal.adopt, final, incomplete=incomplete)
        _log.warning("the power went before ogCore knew that the job had ended", extra={"job_id": job_id})
        adopted.append(left.job)
    return adopted


async def _follow(journal: Journal, copies: Copies, job_id: str) -> None:
    """The agent may have died after ogCore was told, and before the copies knew."""
    known = await asyncio.to_thread(journal.ended, job_id)
    if known is not None and known.report is None:
        copies.told(job_id)


async def _shelved(copies: Copies) -> dict[str, Ended]:
    try:
        return await copies.shelved()
    except CacheError as error:
        _log.warning("copies of reports cannot be looked for: %s", error.message)
        return {}


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
