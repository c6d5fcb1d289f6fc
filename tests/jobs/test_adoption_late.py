"""The power was cut, and the CACHE has to be checked before it tells anything: nobody waits for it, and it is heard."""

from __future__ import annotations

import asyncio

import pytest

from ogagent.errors import ImageCorrupt
from ogagent.functions.table import KINDS
from ogagent.jobs.adoption import adopt_late
from ogagent.jobs.copies import Copies
from ogagent.jobs.disks import MarkedDisks
from ogagent.jobs.entry import Ended
from ogagent.jobs.journal import Journal
from ogagent.jobs.running import ended_job, now
from ogagent.jobs.steps import Step
from ogagent.model.disk import Inventory
from ogagent.model.job import State
from ogagent.model.report import final_report
from tests.jobs.lost_power import JOB_ID, Lost, MemoryShelf
from tests.jobs.test_adoption import adopted, kept
from tests.jobs.test_adoption_begun import configuring
from tests.jobs.two_disks import Recorder, Restores, manager

LATE = "RestaurarImagen-00000002"


class Checked(MemoryShelf):
    """Answers when the file system of the CACHE has been checked."""

    def __init__(self) -> None:
        super().__init__()
        self.checked = asyncio.Event()

    async def list(self, most: int, largest: int) -> dict[str, bytes]:
        await self.checked.wait()
        return await super().list(most, largest)


@pytest.fixture
def shelf() -> Checked:
    return Checked()


async def late(lost: Lost, journal: Journal, copies: Copies) -> list[Ended]:
    return await adopt_late(journal, MarkedDisks(lost.machine, journal), copies, KINDS, report=True)


async def test_partitions_do_not_wait_for_it(lost: Lost, journal: Journal, copies: Copies) -> None:
    lost.write()
    assert [job.job_id for job in await adopted(lost, journal, copies, cache_s=0.01)] == [JOB_ID]
    assert copies.late


async def test_what_it_tells_is_told_while_the_agent_works(
    lost: Lost, journal: Journal, copies: Copies, shelf: Checked, restores: Restores, told: Recorder
) -> None:
    lost.write()
    kept(shelf, lost.ended(ImageCorrupt("byte 7 is wrong")))
    kept(shelf, lost.ended(ImageCorrupt("byte 8 is wrong"), LATE))
    assert [job.job_id for job in await adopted(lost, journal, copies, cache_s=0.01)] == [JOB_ID]
    jobs = manager(lost.machine, restores, told, journal, copies=copies)
    hearing = asyncio.create_task(jobs.take_up(lambda: late(lost, journal, copies)))
    shelf.checked.set()
    await hearing
    assert not copies.late
    assert [(job.job_id, job.state) for job in jobs.jobs()] == [(LATE, State.FAILED)]
    assert [(job_id, report["der"], report["seq"]) for job_id, (report,) in told.finals.items()] == [
        (LATE, "033-byte 8 is wrong", 17)
    ]
    assert {job_id: report["der"][:3] for job_id, report in journal.undelivered()} == {JOB_ID: "093", LATE: "033"}


@pytest.mark.parametrize("copied", [True, False])
async def test_a_disk_is_asked_when_the_copies_have_been(
    lost: Lost, journal: Journal, copies: Copies, shelf: Checked, *, copied: bool
) -> None:
    """It does not know that its job has succeeded."""
    lost.write_on_disk()
    job = ended_job(configuring(lost.identity), State.SUCCEEDED, None, now())
    if copied:
        report = {**final_report(job, KINDS["Configurar"], Inventory(), {}), "seq": 3}
        kept(shelf, Ended(job=job, target=None, report=report))
    assert await adopted(lost, journal, copies, cache_s=0.01) == []
    shelf.checked.set()
    assert [(ended.job.job_id, ended.job.state) for ended in await late(lost, journal, copies)] == [
        (job.job_id, State.SUCCEEDED if copied else State.INTERRUPTED)
    ]


@pytest.mark.parametrize("since", [True, False])
async def test_a_partition_that_somebody_has_had_since_is_not_called_unfinished(
    lost: Lost, journal: Journal, copies: Copies, shelf: Checked, *, since: bool
) -> None:
    await copies.begun(lost.job(LATE), lost.target())
    if since:
        journal.accept(lost.job(), lost.target())
        journal.advance(JOB_ID, Step.TOUCHED)
        journal.advance(JOB_ID, Step.COMMITTING, b"edges")
        journal.end(lost.ended(None).job, None)
    shelf.checked.set()
    assert [ended.job.state for ended in await late(lost, journal, copies)] == [State.INTERRUPTED]
    assert bool(journal.incomplete()) is not since


async def test_one_that_cannot_be_used_then_either(
    lost: Lost, journal: Journal, copies: Copies, shelf: Checked, caplog: pytest.LogCaptureFixture
) -> None:
    lost.write_on_disk()
    shelf.broken = True
    shelf.checked.set()
    assert [ended.job.job_id for ended in await late(lost, journal, copies)] == ["Configurar-00000001"]
    assert "copies of reports cannot be looked for: the CACHE is full" in caplog.text
