"""Which partitions are shown as INCOMPLETE: those that say so, and those that the journal knows, while it is true."""

from __future__ import annotations

import sqlite3
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from msgspec.structs import replace

from ogagent.disk.machine import Device
from ogagent.jobs.disks import MarkedDisks
from ogagent.jobs.entry import Mark
from ogagent.jobs.journal import Journal
from ogagent.jobs.steps import Step
from ogagent.model.disk import Disk, Inventory, Partition
from ogagent.model.plan import Target
from tests.jobs.test_journal import IDENTITY, PLACE, TARGET, reach

AS_IT_WAS = Partition(partition=2, device="/dev/sda2", start=TARGET.start, size=TARGET.size, code="8300")
FORMATTED = replace(AS_IT_WAS, filesystem="ext4")
SAYS_SO = replace(AS_IT_WAS, incomplete=True)


class Shown:
    """Implements ``Machine``: one disk with one partition."""

    def __init__(self) -> None:
        self.partition = AS_IT_WAS

    async def inventory(self, *, thorough: bool = True) -> Inventory:  # noqa: ARG002 - as Machine has it
        disk = Disk(
            disk=1, device="/dev/sda", identity=IDENTITY, model="M", size=1 << 31, sector_size=512, table="gpt",
            partitions=(self.partition,),
        )  # fmt: skip
        return Inventory(disks=(disk,))

    def open_target(self, target: Target) -> AbstractContextManager[Device]:
        raise AssertionError(f"{target.device} is opened")


@pytest.fixture
def machine() -> Shown:
    return Shown()


async def incomplete(machine: Shown, journal: Journal, partition: Partition) -> bool:
    machine.partition = partition
    (disk,) = (await MarkedDisks(machine, journal).inventory()).disks
    return disk.partitions[0].incomplete


async def test_a_partition_that_says_so_is_believed(machine: Shown, journal: Journal) -> None:
    assert await incomplete(machine, journal, SAYS_SO)
    assert not await incomplete(machine, journal, AS_IT_WAS)


async def test_what_the_journal_knows_need_not_be_said(machine: Shown, journal: Journal) -> None:
    """The disk was lost before the record was on it, or shows what was there before the wipe that failed."""
    reach(journal, 1, Step.TOUCHED)
    assert await incomplete(machine, journal, AS_IT_WAS)
    assert await incomplete(machine, journal, FORMATTED)


@pytest.mark.parametrize("made", [{"start": TARGET.start + 512}, {"size": TARGET.size - 512}])
async def test_a_partition_that_was_made_anew(machine: Shown, journal: Journal, made: dict[str, int]) -> None:
    reach(journal, 1, Step.TOUCHED)
    assert not await incomplete(machine, journal, replace(FORMATTED, **made))
    assert not await incomplete(machine, journal, replace(AS_IT_WAS, **made))


async def test_a_partition_that_was_formatted_or_restored_by_hand(machine: Shown, journal: Journal) -> None:
    """It was seen to be wiped: what has a file system afterwards has got it from somebody."""
    reach(journal, 1, Step.TOUCHED)
    assert await incomplete(machine, journal, SAYS_SO)
    assert not await incomplete(machine, journal, FORMATTED)
    assert await incomplete(machine, journal, AS_IT_WAS), "and lost it again"


async def test_edges_that_are_being_written_are_not_wiped(machine: Shown, journal: Journal) -> None:
    """A commit that fails may leave a file system that is not whole."""
    job_id = reach(journal, 1, Step.TOUCHED)
    assert await incomplete(machine, journal, SAYS_SO)
    journal.advance(job_id, Step.COMMITTING, b"edges")
    assert await incomplete(machine, journal, SAYS_SO), "as the inventory found it just before"
    assert await incomplete(machine, journal, FORMATTED)
    journal.advance(job_id, Step.INTERRUPTED)
    assert await incomplete(machine, journal, FORMATTED)
    assert await incomplete(machine, journal, SAYS_SO), "they were wiped once more"
    assert not await incomplete(machine, journal, FORMATTED)


async def test_another_restore_begins_anew(machine: Shown, journal: Journal) -> None:
    journal.advance(reach(journal, 1, Step.TOUCHED), Step.FAILED)
    assert await incomplete(machine, journal, SAYS_SO)
    job_id = reach(journal, 2, Step.TOUCHED)
    assert await incomplete(machine, journal, FORMATTED)
    for step in (Step.COMMITTING, Step.COMMITTED):
        journal.advance(job_id, step)
    assert not await incomplete(machine, journal, AS_IT_WAS)
    assert journal.incomplete() == {}


async def test_a_journal_that_cannot_be_written_is_still_shown(
    machine: Shown, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal.open(tmp_path)
    reach(journal, 1, Step.TOUCHED)
    journal._connection.execute("PRAGMA query_only = ON")
    assert await incomplete(machine, journal, SAYS_SO)
    assert "the journal cannot be written" in caplog.text
    journal.close()


def test_marks_of_an_older_agent(tmp_path: Path) -> None:
    """It did not note where the partitions were; that they were wiped is what it had promised."""
    old = sqlite3.connect(tmp_path / "journal.sqlite", isolation_level=None)
    old.execute(
        "CREATE TABLE incomplete (identity TEXT NOT NULL, partition INTEGER NOT NULL, "
        "PRIMARY KEY (identity, partition)) WITHOUT ROWID"
    )
    old.execute("PRAGMA user_version = 1")
    old.execute("INSERT INTO incomplete VALUES (?, ?)", PLACE)
    old.close()
    journal = Journal.open(tmp_path)
    assert journal.incomplete() == {PLACE: Mark(None, None, wiped=True)}
    journal.close()
