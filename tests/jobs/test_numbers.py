"""A number stands for the disk that ogCore was last told of, whatever the PC shows at its next boot."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from ogagent.errors import ImageCorrupt
from ogagent.functions.table import KINDS
from ogagent.jobs.copies import NUMBERS, Copies
from ogagent.jobs.finals import FinalsInJournal
from ogagent.jobs.journal import Journal
from ogagent.jobs.numbers import numbers_in
from ogagent.model.disk import Inventory
from ogagent.model.report import configuration
from tests.jobs.lost_power import JOB_ID, Lost, MemoryShelf
from tests.jobs.told_pc import Pc


@pytest.fixture
def swapping(tmp_path: Path) -> Pc:
    return Pc(tmp_path, "two-nvme-that-swap")


# --- boot after boot ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "place"),
    [("two-nvme-that-swap", "which is disk 2 now"), ("system-ssd-that-is-gone", "which is not there")],
)
async def test_another_disk_has_the_number(tmp_path: Path, name: str, place: str) -> None:
    pc = Pc(tmp_path, name)
    async with pc.booted(0) as agent:
        await agent.tell()
        assert await agent.refused() is None
    async with pc.booted(1) as agent:
        refusal = await agent.refused()
        assert refusal is not None
        assert (refusal.status, refusal.code, refusal.number, refusal.field) == (409, "disk-renumbered", 92, "dsk")
        assert refusal.message == (
            f"disk 1 is {pc.disk(1, 1)}; when ogCore was last told of the disks, it was {pc.disk(0, 1)}, {place}"
        )
        await agent.jobs.inventory()  # which nobody is told of
        assert await agent.refused()
        await agent.tell()
        assert await agent.refused() is None
        assert await agent.target() == pc.disk(1, 1)
    async with pc.booted(1) as agent:
        assert await agent.refused() is None
    async with pc.booted(0) as agent:
        assert await agent.refused()


@pytest.mark.parametrize("name", ["nvme-and-usb-disk", "nvme-and-sd-card"])
async def test_a_guest_changes_no_number(tmp_path: Path, name: str) -> None:
    pc = Pc(tmp_path, name)
    for boot in (0, 1, 0):
        async with pc.booted(boot) as agent:
            assert await agent.refused() is None
            assert await agent.target() == pc.disk(0, 1)
            await agent.tell()


async def test_who_names_the_disk_needs_no_number_to_be_right(swapping: Pc) -> None:
    async with swapping.booted(0) as agent:
        await agent.tell()
    async with swapping.booted(1) as agent:
        assert await agent.refused(1, swapping.disk(1, 1)) is None
        assert await agent.refused(2, swapping.disk(1, 2)) is None
        assert await agent.refused(2)


async def test_nobody_was_told_of_anything(swapping: Pc) -> None:
    for boot in (0, 1):
        async with swapping.booted(boot) as agent:
            assert await agent.refused() is None


async def test_a_new_disk_is_no_other_disk(tmp_path: Path) -> None:
    pc = Pc(tmp_path, "system-ssd-that-is-gone")
    async with pc.booted(1) as agent:
        await agent.tell()
    async with pc.booted(0) as agent:
        assert await agent.refused(1)
        assert await agent.refused(2) is None, "no number 2 was ever told"


async def test_an_answer_that_may_have_arrived(swapping: Pc) -> None:
    """The agent dies with it under way: ogCore may believe the one or the other."""
    async with swapping.booted(0) as agent:
        await agent.tell()
    async with swapping.booted(1) as agent:
        await agent.jobs.telling(await agent.jobs.inventory())
        assert await agent.refused()
    for boot in (0, 1):
        async with swapping.booted(boot) as agent:
            assert await agent.refused()
    async with swapping.booted(1) as agent:
        await agent.tell()
        assert await agent.refused() is None


# --- final reports ------------------------------------------------------------------------------------------------


def waiting_report(journal: Journal, folder: Path, inventory: Inventory) -> dict[str, Any]:
    """Of a job that has ended when the disks were these."""
    ended = Lost(folder).ended(ImageCorrupt("byte 7 is wrong"))
    report = {**(ended.report or {}), "cfg": configuration(inventory)}
    journal.adopt(replace(ended, report=report), incomplete=False)
    return report


@pytest.mark.parametrize("taken", [True, False])
async def test_a_final_report_tells(swapping: Pc, tmp_path: Path, taken: bool) -> None:
    """Once it is on its way, ogCore may believe it; once it was taken, it does. One that is refused tells nothing."""
    async with swapping.booted(0) as agent:
        await agent.tell()
    async with swapping.booted(1) as agent:
        report = waiting_report(agent.journal, tmp_path, await agent.jobs.inventory())
        finals = FinalsInJournal(agent.journal, numbers=agent.numbers)
        assert await agent.refused()
        await finals.telling(report)
        assert await agent.refused()
        await (finals.delivered(JOB_ID) if taken else finals.refused(JOB_ID, "410 'gone'"))
        assert (await agent.refused() is None) is taken
    async with swapping.booted(0) as agent:
        assert await agent.refused()


async def test_an_old_report_tells_what_was_true_then(swapping: Pc, tmp_path: Path) -> None:
    async with swapping.booted(0) as agent:
        report = waiting_report(agent.journal, tmp_path, await agent.jobs.inventory())
    async with swapping.booted(1) as agent:
        assert await agent.refused() is None
        finals = FinalsInJournal(agent.journal, numbers=agent.numbers)
        await finals.telling(report)
        await finals.delivered(JOB_ID)
        assert await agent.refused()


@pytest.mark.parametrize(
    "cfg",
    [
        [],
        [{"disk": "1", "par": "0"}],
        [{"disk": "1", "par": "0", "identity": ""}],
        [{"disk": "1", "identity": "\x1b[2J"}],
        [{"disk": "0", "identity": "wwn:x"}],
        [{"disk": 1, "identity": "wwn:x"}],
        ["disk"],
        {"disk": "1"},
        None,
    ],
    ids=str,
)
def test_a_report_that_names_no_disk(cfg: object) -> None:
    """That of an older agent, of one that could not read its disks, or of somebody who has changed a copy."""
    assert numbers_in({"cfg": cfg}) == {}
    assert numbers_in({}) == {}


# --- what outlives the power --------------------------------------------------------------------------------------


async def test_a_journal_that_was_lost_with_the_power(swapping: Pc) -> None:
    async with swapping.booted(0) as agent:
        await agent.tell()
    assert list(swapping.shelf.files) == [NUMBERS]
    async with swapping.booted(1, state="empty") as agent:
        assert await agent.refused()
    swapping.shelf.files.clear()
    async with swapping.booted(1, state="empty") as agent:
        assert await agent.refused(), "what was read from the shelf is in the journal"
        await agent.tell()
    async with swapping.booted(0, state="empty again") as agent:
        assert await agent.refused(), "the shelf has what was told last"


@pytest.mark.parametrize("content", [b"", b"nothing", b"{}", b"\xff", b'[{"disk": "1", "identity": 7}]', b"[" * 5000])
async def test_a_copy_that_tells_nothing(swapping: Pc, caplog: pytest.LogCaptureFixture, content: bytes) -> None:
    swapping.shelf.files[NUMBERS] = content
    async with swapping.booted(0) as agent:
        assert await agent.refused() is None
        await agent.tell()
    assert "does not tell the numbers of the disks" in caplog.text
    assert [entry for entry in caplog.records if entry.levelno > logging.WARNING] == []
    assert swapping.disk(0, 1).encode() in swapping.shelf.files[NUMBERS]


async def test_a_shelf_that_cannot_be_used(swapping: Pc, caplog: pytest.LogCaptureFixture) -> None:
    swapping.shelf.broken = True
    async with swapping.booted(0) as agent:
        await agent.tell()
    async with swapping.booted(1) as agent:
        assert await agent.refused()
    assert [entry for entry in caplog.records if entry.levelno > logging.WARNING] == []
    assert "have no copy" in caplog.text


async def test_a_journal_that_cannot_be_written(swapping: Pc) -> None:
    """What was told counts all the same, as long as this agent lives."""
    async with swapping.booted(0) as agent:
        await agent.tell()
    async with swapping.booted(1) as agent:
        agent.journal._connection.execute("PRAGMA query_only = ON")
        await agent.tell()
        assert await agent.refused() is None


async def test_a_copy_of_numbers_is_no_copy_of_a_report(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shelf = MemoryShelf()
    shelf.files[NUMBERS] = b"[]"
    journal = Journal.in_memory()
    assert await Copies(journal, Lost(tmp_path).machine, shelf, KINDS).shelved() == {}
    assert caplog.text == ""
    journal.close()
