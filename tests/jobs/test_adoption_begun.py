"""The power was cut during a job that leaves nothing on a partition: its copy tells that it began."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import msgspec
import pytest
from msgspec.structs import replace

from ogagent.functions.table import KINDS
from ogagent.jobs.copies import Copies
from ogagent.jobs.entry import Ended
from ogagent.jobs.journal import Journal
from ogagent.jobs.running import ended_job
from ogagent.model.disk import Inventory
from ogagent.model.job import ByteCounts, Job, JobError, JobTarget, State
from ogagent.model.report import final_report
from ogagent.ogcore.outbox import NoOutbox
from ogagent.restore.progress import Progress
from ogagent.restore.request import RestorePlan
from tests.jobs.lost_power import CREATED, Lost, MemoryShelf
from tests.jobs.test_adoption import next_life
from tests.jobs.two_disks import cannot_be_written, ended, manager, until


def configuring(identity: str = "serial:1") -> Job:
    return Job(
        job_id="Configurar-00000001", function="Configurar", state=State.RUNNING, phase=None, progress=0,
        bytes=ByteCounts(), rate=0, eta_s=None, retries=0, request={"dsk": "1", "ids": "9"},
        target=JobTarget(disk=1, partition=None, device="/disk", identity=identity), created=CREATED,
    )  # fmt: skip


async def test_a_job_that_leaves_nothing_on_a_partition_is_told_as_interrupted(lost: Lost, shelf: MemoryShelf) -> None:
    journal, job = Journal.in_memory(), configuring()
    copies = Copies(journal, lost.machine, shelf, KINDS)
    await copies.begun(job)
    assert list(shelf.files) == [f"{job.job_id}.json"]
    for _ in range(2):  # the power may go once more before ogCore knows
        (report,) = await next_life(lost, shelf)
        assert (report["job_id"], report["nfn"], report["ids"], report["dsk"], report["res"]) == (
            job.job_id, "RESPUESTA_Configurar", "9", "1", "2",
        )  # fmt: skip
        assert report["der"] == "093-The agent was interrupted during the partitioning of disk 1"
    await copies.aclose()
    journal.close()


@pytest.mark.parametrize("taken", [True, False])
async def test_how_it_ended_takes_the_place_of_its_beginning(lost: Lost, shelf: MemoryShelf, *, taken: bool) -> None:
    journal, job = Journal.in_memory(), configuring()
    copies = Copies(journal, lost.machine, shelf, KINDS)
    journal.accept(job, None)
    await copies.begun(job)
    ended = ended_job(
        job, State.FAILED, JobError(number=40, code="x", message="no"), datetime(2026, 11, 25, tzinfo=UTC)
    )
    journal.end(ended, {**final_report(ended, KINDS["Configurar"], Inventory(), {}), "seq": 3})
    if taken:
        copies.told(job.job_id)
    else:
        copies.waiting(job.job_id)
    await copies.aclose()
    reports = await next_life(lost, shelf)
    assert [report["der"] for report in reports] == ([] if taken else ["040-no"])
    journal.close()


async def test_a_cache_that_cannot_be_used_keeps_no_job_from_beginning(lost: Lost, shelf: MemoryShelf) -> None:
    shelf.broken = True
    journal = Journal.in_memory()
    await Copies(journal, lost.machine, shelf, KINDS).begun(configuring())
    journal.close()


async def test_a_beginning_that_somebody_has_made_up(lost: Lost, shelf: MemoryShelf) -> None:
    """A restore is told of by its partition, and nothing else is."""
    job = replace(lost.job(), state=State.RUNNING)
    shelf.files[f"{job.job_id}.json"] = msgspec.json.encode(Ended(job=job, target=None, report=None))
    assert await next_life(lost, shelf) == []


@pytest.mark.parametrize("written", [True, False])
async def test_without_ogcore_the_end_in_the_journal_is_enough(
    lost: Lost, journal: Journal, copies: Copies, shelf: MemoryShelf, *, written: bool
) -> None:
    """Nobody is told of it later either: what succeeded was not interrupted, and its partition is ready."""

    async def restore(_plan: RestorePlan, progress: Progress) -> None:
        await asyncio.to_thread(_commit, progress)

    def _commit(progress: Progress) -> None:
        progress.change_begins()
        progress.books.committing(b"edges")
        progress.books.finishing(b"")
        if not written:
            cannot_be_written(journal)
        progress.commit()

    jobs = manager(lost.machine, restore, NoOutbox(), journal, copies=copies)
    job = await ended(jobs, await jobs.ask())
    assert job.state is State.SUCCEEDED
    await until(lambda: not jobs.busy)
    await copies.aclose()
    assert list(shelf.files) == ([] if written else [f"{job.job_id}.json"])
