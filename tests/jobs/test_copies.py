"""What is kept of a job outside the journal follows what ogCore is told, and never touches what is somebody else's."""

from __future__ import annotations

import asyncio
import logging

import msgspec
import pytest
from msgspec.structs import replace

from ogagent.errors import ImageCorrupt
from ogagent.functions.table import KINDS
from ogagent.jobs.copies import LARGEST_COPY, MOST_COPIES, Copies
from ogagent.jobs.entry import Ended
from ogagent.jobs.finals import FinalsInJournal
from ogagent.jobs.journal import Journal
from ogagent.jobs.steps import Step
from tests.jobs.lost_power import FIRST, JOB_ID, MIB, Lost, MemoryShelf

FAILED = ImageCorrupt("byte 7 is wrong")


# --- on the partition ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("taken", [True, False])
async def test_a_record_says_that_ogcore_knows(lost: Lost, journal: Journal, copies: Copies, taken: bool) -> None:
    """Nothing else on the disk changes: not even beside the record."""
    lost.write()
    lost.in_journal(journal, FAILED)
    before = lost.disk.read_bytes()
    finals = FinalsInJournal(journal, copies)
    await (finals.delivered(JOB_ID) if taken else finals.refused(JOB_ID, "410 'gone'"))
    await copies.aclose()
    assert lost.read() == replace(lost.record, reported=True)
    lost.write()
    assert lost.disk.read_bytes() == before


async def test_whose_record_it_is_decides(lost: Lost, journal: Journal, copies: Copies) -> None:
    """Somebody else restores by now, or has finished, or has made the partition his own."""
    lost.in_journal(journal, FAILED)
    other = replace(lost.record, job_id="RestaurarImagen-00000002")
    for page in (other, replace(lost.record, size=MIB), None):
        with lost.disk.open("r+b") as file:
            file.seek(FIRST.start)
            file.write(b"\x55" * FIRST.size)
        if page:
            lost.write(page)
        before = lost.disk.read_bytes()
        copies.told(JOB_ID)
        await copies.aclose()
        assert lost.disk.read_bytes() == before


async def test_a_job_that_went_well_has_left_nothing_to_change(lost: Lost, journal: Journal, copies: Copies) -> None:
    lost.in_journal(journal, None)
    lost.write()
    before = lost.disk.read_bytes()
    copies.told(JOB_ID)
    copies.told("RestaurarImagen-ffffffff")
    await copies.aclose()
    assert lost.disk.read_bytes() == before


async def test_a_job_has_the_disk_for_itself(lost: Lost, journal: Journal, copies: Copies) -> None:
    """One that opens its partition at this very moment must not find it taken."""
    lost.write()
    lost.in_journal(journal, FAILED)
    async with copies.disk(lost.identity):
        copies.told(JOB_ID)
        for _ in range(20):
            await asyncio.sleep(0.001)
        with lost.machine.open_target(lost.target()):
            assert lost.read() == lost.record
    await copies.aclose()
    assert lost.read() == replace(lost.record, reported=True)


async def test_a_partition_that_is_taken_keeps_its_record(
    lost: Lost, journal: Journal, copies: Copies, caplog: pytest.LogCaptureFixture
) -> None:
    lost.write()
    lost.in_journal(journal, FAILED)
    with lost.machine.open_target(lost.target()):
        copies.told(JOB_ID)
        await copies.aclose()
    assert lost.read() == lost.record
    assert "stays as it is" in caplog.text


# --- on the shelf -------------------------------------------------------------------------------------------------


async def test_a_report_that_waits_has_a_copy_until_it_is_taken(
    lost: Lost, journal: Journal, copies: Copies, shelf: MemoryShelf
) -> None:
    lost.in_journal(journal, FAILED)
    finals = FinalsInJournal(journal, copies)
    for _ in range(3):
        await finals.waiting(JOB_ID)
    await copies.aclose()
    (name,) = shelf.files
    assert name == f"{JOB_ID}.json"
    assert msgspec.json.decode(shelf.files[name], type=Ended) == journal.ended(JOB_ID)
    await finals.delivered(JOB_ID)
    await copies.aclose()
    assert shelf.files == {}


async def test_one_that_is_taken_while_the_copy_is_made_has_none(
    lost: Lost, journal: Journal, copies: Copies, shelf: MemoryShelf
) -> None:
    lost.in_journal(journal, FAILED)
    copies.waiting(JOB_ID)
    copies.told(JOB_ID)
    await copies.aclose()
    assert shelf.files == {}


async def test_a_shelf_that_fails_fails_nothing_else(
    lost: Lost, journal: Journal, copies: Copies, shelf: MemoryShelf, caplog: pytest.LogCaptureFixture
) -> None:
    lost.write()
    lost.in_journal(journal, FAILED)
    shelf.broken = True
    copies.waiting(JOB_ID)
    copies.told(JOB_ID)
    await copies.aclose()
    assert lost.read() == replace(lost.record, reported=True)
    assert "the CACHE is full" in caplog.text
    assert [entry for entry in caplog.records if entry.levelno > logging.WARNING] == []


async def test_the_shelf_is_bounded(
    lost: Lost, journal: Journal, copies: Copies, shelf: MemoryShelf, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(MOST_COPIES + 5):
        job_id = f"RestaurarImagen-{number:08x}"
        journal.adopt(lost.ended(FAILED, job_id), incomplete=False)
        copies.waiting(job_id)
        await copies.aclose()
    assert len(shelf.files) == MOST_COPIES
    large = lost.ended(FAILED)
    journal.adopt(replace(large, report={**(large.report or {}), "cfg": ["x" * LARGEST_COPY]}), incomplete=False)
    copies.told("RestaurarImagen-00000000")
    copies.waiting(JOB_ID)
    await copies.aclose()
    assert len(shelf.files) == MOST_COPIES - 1
    assert "too long to have a copy" in caplog.text


async def test_without_a_shelf_all_goes_on(lost: Lost, journal: Journal) -> None:
    copies = Copies(journal, lost.machine, MemoryShelf(), KINDS)
    lost.in_journal(journal, FAILED)
    copies.waiting(JOB_ID)
    copies.told(JOB_ID)
    assert await copies.shelved() == {}
    await copies.aclose()


async def test_what_hangs_is_not_waited_for_for_ever(lost: Lost, journal: Journal) -> None:
    """A disk, or a CACHE, that does not answer: nothing piles up behind it."""

    class Hanging(MemoryShelf):
        async def put(self, name: str, content: bytes) -> None:
            await asyncio.Event().wait()
            await super().put(name, content)

    copies = Copies(journal, lost.machine, Hanging(), KINDS)
    journal.accept(lost.job(), lost.target())
    journal.advance(JOB_ID, Step.TOUCHED)
    journal.end(lost.ended(FAILED).job, lost.ended(FAILED).report)
    copies.waiting(JOB_ID)
    for _ in range(3 * MOST_COPIES):
        copies.told(JOB_ID)
    assert len(copies._under_way) <= MOST_COPIES
    for task in tuple(copies._under_way):
        task.cancel()
    await copies.aclose()


# --- of every job -------------------------------------------------------------------------------------------------


async def test_with_copies_of_all_a_restore_has_one_from_its_acceptance(lost: Lost, journal: Journal) -> None:
    """Otherwise its partition tells of it, as soon as that is written to."""
    some, every = MemoryShelf(), MemoryShelf()
    await Copies(journal, lost.machine, some, KINDS).accepted(lost.job())
    await Copies(journal, lost.machine, every, KINDS, of_all=True).accepted(lost.job())
    assert (list(some.files), list(every.files)) == ([], [f"{JOB_ID}.json"])
    assert await Copies(journal, lost.machine, every, KINDS).shelved() == {}
    (found,) = (await Copies(journal, lost.machine, every, KINDS, of_all=True).shelved()).values()
    assert (found.job, found.report) == (lost.job(), None)


async def test_who_has_a_copy_of_the_beginning_has_one_of_the_end_before_it_is_told(
    lost: Lost, journal: Journal, copies: Copies, shelf: MemoryShelf
) -> None:
    lost.in_journal(journal, FAILED)
    await copies.ended(JOB_ID)
    assert shelf.files == {}, "nothing tells of its beginning, and ogCore may take its end at once"
    await copies.begun(lost.job())
    await copies.ended(JOB_ID)
    assert msgspec.json.decode(shelf.files[f"{JOB_ID}.json"], type=Ended) == journal.ended(JOB_ID)


async def test_a_cache_that_hangs_keeps_no_end_from_being_told(lost: Lost, journal: Journal) -> None:
    class Hanging(MemoryShelf):
        async def put(self, name: str, content: bytes) -> None:
            if self.files:
                await asyncio.Event().wait()
            await super().put(name, content)

    copies = Copies(journal, lost.machine, Hanging(), KINDS)
    lost.in_journal(journal, FAILED)
    await copies.begun(lost.job())
    await copies.ended(JOB_ID)
    (task,) = copies._under_way
    task.cancel()
    await copies.aclose()
