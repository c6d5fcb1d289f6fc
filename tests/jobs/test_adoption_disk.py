"""The power was cut, and the state directory is empty: a disk says whose job changed its table."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from ogagent.functions.table import KINDS
from ogagent.jobs.adoption import LAST_SEQ, adopt_unknown
from ogagent.jobs.copies import Copies
from ogagent.jobs.disks import MarkedDisks
from ogagent.jobs.entry import Ended
from ogagent.jobs.finals import FinalsInJournal
from ogagent.jobs.journal import Journal
from ogagent.jobs.recovery import interrupted_job
from ogagent.jobs.running import ended_job
from ogagent.model.disk import Inventory
from ogagent.model.job import JobTarget, State
from ogagent.model.report import final_report
from tests.jobs.lost_power import CREATED, MIB, Lost, MemoryShelf
from tests.jobs.test_adoption import adopted, kept, next_life
from tests.jobs.test_adoption_begun import configuring


async def test_the_disk_says_whose_job_changed_its_table(lost: Lost, journal: Journal, copies: Copies) -> None:
    lost.write_on_disk()
    (job,) = await adopted(lost, journal, copies)
    assert job.target == JobTarget(disk=1, partition=None, device=str(lost.disk), identity=lost.identity)
    assert (job.job_id, job.state, job.created) == ("Configurar-00000001", State.INTERRUPTED, CREATED)
    ((job_id, report),) = journal.undelivered()
    assert [row["fsi"] for row in report["cfg"]] == ["", "EMPTY", "EMPTY"]
    assert {name: value for name, value in report.items() if name != "cfg"} == {
        "job_id": job_id, "nfn": "RESPUESTA_Configurar", "ids": "9", "dsk": "1", "res": "2", "progress": 0,
        "seq": LAST_SEQ, "der": "093-The agent was interrupted during the partitioning of disk 1",
        "event_id": final_report(configuring(), KINDS["Configurar"], Inventory(), {})["event_id"],
    }  # fmt: skip


@pytest.mark.parametrize("taken", [True, False])
async def test_the_disk_says_so_until_ogcore_knows(
    lost: Lost, journal: Journal, copies: Copies, shelf: MemoryShelf, *, taken: bool
) -> None:
    """And then not a byte of it is left, nor another one changed."""
    before = lost.disk.read_bytes()
    lost.write_on_disk()
    (first,) = await next_life(lost, shelf)
    (second,) = await next_life(lost, shelf)
    assert first["event_id"] == second["event_id"]
    (job,) = await adopted(lost, journal, copies)
    assert await adopted(lost, journal, copies) == []
    finals = FinalsInJournal(journal, copies)
    await (finals.delivered(job.job_id) if taken else finals.refused(job.job_id, "410 'gone'"))
    await copies.aclose()
    assert lost.disk.read_bytes() == before
    assert await next_life(lost, shelf) == []


async def test_an_agent_that_died_before_the_disk_could_hear_that_ogcore_knows(
    lost: Lost, journal: Journal, copies: Copies
) -> None:
    lost.write_on_disk()
    job = configuring(lost.identity)
    journal.accept(job, None)
    journal.end(interrupted_job(job, KINDS["Configurar"], datetime(2026, 11, 25, tzinfo=UTC)), {"seq": 1})
    assert await adopted(lost, journal, copies) == []
    await copies.aclose()
    assert lost.read_on_disk() is not None, "ogCore does not know yet"
    journal.delivered(job.job_id)
    assert await adopted(lost, journal, copies) == []
    await copies.aclose()
    assert lost.read_on_disk() is None


async def test_a_job_has_the_disk_for_itself(lost: Lost, journal: Journal, copies: Copies) -> None:
    lost.write_on_disk()
    (job,) = await adopted(lost, journal, copies)
    async with copies.disk(lost.identity):
        await FinalsInJournal(journal, copies).delivered(job.job_id)
        for _ in range(6):  # as it takes one of them to find the disk
            await lost.machine.inventory()
        assert lost.read_on_disk() is not None
    await copies.aclose()
    assert lost.read_on_disk() is None


async def test_disk_and_partition_of_two_jobs(lost: Lost, journal: Journal, copies: Copies) -> None:
    lost.write()
    lost.write_on_disk()
    assert {job.function for job in await adopted(lost, journal, copies)} == {"RestaurarImagen", "Configurar"}


@pytest.mark.parametrize("ended", [True, False])
async def test_a_copy_knows_better_than_the_disk(
    lost: Lost, journal: Journal, copies: Copies, shelf: MemoryShelf, *, ended: bool
) -> None:
    """It may even know that all went well: the disk says no more than that ogCore was not told."""
    job = configuring(lost.identity)
    if ended:
        job = ended_job(job, State.SUCCEEDED, None, datetime(2026, 11, 25, tzinfo=UTC))
    report = {**final_report(job, KINDS["Configurar"], Inventory(), {}), "seq": 5} if ended else None
    kept(shelf, Ended(job=job, target=None, report=report))
    lost.write_on_disk()
    (found,) = await adopted(lost, journal, copies)
    assert found.state is (State.SUCCEEDED if ended else State.INTERRUPTED)
    await FinalsInJournal(journal, copies).delivered(found.job_id)
    await copies.aclose()
    assert (lost.read_on_disk(), shelf.files) == (None, {})


@pytest.mark.parametrize(
    "changes",
    [{"job_id": ""}, {"reported": True}, {"disk": "ab" * 16}, {"size": MIB}],
    ids=lambda each: next(iter(each)),
)
async def test_a_disk_that_says_nothing_to_ogcore(
    lost: Lost, journal: Journal, copies: Copies, changes: dict[str, Any]
) -> None:
    lost.write_on_disk(**changes)
    before = lost.disk.read_bytes()
    assert await adopted(lost, journal, copies) == []
    await copies.aclose()
    assert lost.disk.read_bytes() == before


async def test_a_disk_that_is_another_one_by_the_time_ogcore_knows(
    lost: Lost, journal: Journal, copies: Copies, caplog: pytest.LogCaptureFixture
) -> None:
    lost.write_on_disk()
    (job,) = await adopted(lost, journal, copies)
    with lost.disk.open("r+b") as file:
        file.truncate(19 * MIB)
    before = lost.disk.read_bytes()
    await FinalsInJournal(journal, copies).delivered(job.job_id)
    await copies.aclose()
    assert lost.disk.read_bytes() == before
    assert [entry for entry in caplog.records if entry.levelno > logging.WARNING] == []


async def test_a_disk_that_cannot_be_asked(
    lost: Lost, journal: Journal, copies: Copies, caplog: pytest.LogCaptureFixture
) -> None:
    """The others are asked all the same."""
    lost.write_on_disk()
    (there,) = (await lost.machine.inventory()).disks
    gone = replace(there, disk=2, device=str(lost.disk.parent / "gone"))

    class Two:
        async def inventory(self, *, thorough: bool = True) -> Inventory:  # noqa: ARG002 - as Machine has it
            return Inventory(disks=(gone, there))

    assert len(await adopt_unknown(journal, MarkedDisks(Two(), journal), copies, KINDS, report=True)) == 1
    assert "cannot be asked whose job changed its table" in caplog.text
