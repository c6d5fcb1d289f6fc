"""The power was cut, and the state directory is empty: what the next agent says of the jobs that were."""

from __future__ import annotations

import logging
import uuid
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from ogagent.errors import ImageCorrupt
from ogagent.functions.table import KINDS
from ogagent.jobs.adoption import LAST_SEQ, adopt_unknown
from ogagent.jobs.copies import MOST_COPIES, Copies
from ogagent.jobs.disks import MarkedDisks
from ogagent.jobs.entry import Ended
from ogagent.jobs.finals import FinalsInJournal
from ogagent.jobs.journal import Journal
from ogagent.jobs.recovery import settle_unended
from ogagent.jobs.steps import Step
from ogagent.model.disk import Inventory
from ogagent.model.job import Job, State
from ogagent.model.report import final_report
from simulator.ext4 import make_filesystem
from simulator.machine.file_machine import FileMachine
from tests.jobs.lost_power import CREATED, FIRST, JOB_ID, MIB, REQUEST, SECOND, Lost, MemoryShelf
from tests.jobs.restoring import KIND, recoveries

FAILED = ImageCorrupt("byte 7 is wrong")


async def adopted(
    lost: Lost, journal: Journal, copies: Copies, *, report: bool = True, cache_s: float = 300
) -> list[Job]:
    when = datetime(2026, 11, 25, tzinfo=UTC)
    disks = MarkedDisks(lost.machine, journal)
    return await adopt_unknown(journal, disks, copies, KINDS, report=report, cache_s=cache_s, now=lambda: when)


async def next_life(lost: Lost, shelf: MemoryShelf) -> list[dict[str, Any]]:
    """With another empty journal: the final reports that would be sent."""
    journal = Journal.in_memory()
    copies = Copies(journal, lost.machine, shelf, KINDS)
    await adopted(lost, journal, copies)
    found = [dict(report) for _, report in journal.undelivered()]
    await copies.aclose()
    journal.close()
    return found


# --- by what the partition says -----------------------------------------------------------------------------------


async def test_the_partition_says_whose_restore_it_was(lost: Lost, journal: Journal, copies: Copies) -> None:
    lost.write()
    (job,) = await adopted(lost, journal, copies)
    assert (job.job_id, job.state, job.created, job.finished) == (
        JOB_ID, State.INTERRUPTED, CREATED, "2026-11-25T00:00:00.000Z",
    )  # fmt: skip
    assert job.request == REQUEST
    assert journal.history() == [job]
    ((job_id, report),) = journal.undelivered()
    row = report["cfg"][1]
    assert (row["disk"], row["par"], row["fsi"]) == ("1", "1", "INCOMPLETE")
    assert {name: value for name, value in report.items() if name != "cfg"} == {
        "job_id": JOB_ID, "nfn": "RESPUESTA_RestaurarImagen", "ids": "7", "idi": "i", "dsk": "1", "par": "1",
        "ifs": "3", "res": "2", "progress": 0, "seq": LAST_SEQ,
        "der": "093-The agent was interrupted during the restore of x onto partition 1 of disk 1",
        "event_id": final_report(lost.job(), KIND, Inventory(), {})["event_id"],
    }  # fmt: skip
    assert uuid.UUID(report["event_id"])
    assert job_id == JOB_ID


async def test_it_is_said_once(lost: Lost, journal: Journal, copies: Copies, shelf: MemoryShelf) -> None:
    """Each life says it until ogCore has taken it; then none does, whatever it remembers."""
    lost.write()
    (first,) = await next_life(lost, shelf)
    (second,) = await next_life(lost, shelf)
    assert first["event_id"] == second["event_id"]
    await adopted(lost, journal, copies)
    assert await adopted(lost, journal, copies) == []
    await FinalsInJournal(journal, copies).delivered(JOB_ID)
    await copies.aclose()
    assert await next_life(lost, shelf) == []
    assert (await lost.machine.inventory()).disks[0].partitions[0].incomplete


async def test_an_agent_that_died_before_it_could_note_that_ogcore_knows(
    lost: Lost, journal: Journal, copies: Copies
) -> None:
    lost.write()
    lost.in_journal(journal, FAILED)
    journal.delivered(JOB_ID)
    assert await adopted(lost, journal, copies) == []
    await copies.aclose()
    assert lost.read() == replace(lost.record, reported=True)


async def test_what_the_journal_knows_it_knows_better(lost: Lost, journal: Journal, copies: Copies) -> None:
    lost.write()
    journal.accept(lost.job(), lost.target())
    journal.advance(JOB_ID, Step.TOUCHED)
    await settle_unended(journal, MarkedDisks(lost.machine, journal), KINDS, recoveries(lost.machine), report=True)
    assert await adopted(lost, journal, copies) == []
    ((_, report),) = journal.undelivered()
    assert report["seq"] == 1
    await copies.aclose()
    assert lost.read() == lost.record


async def test_two_partitions_two_jobs(lost: Lost, journal: Journal, copies: Copies) -> None:
    lost.write()
    lost.write(entry=SECOND, job_id="RestaurarImagen-00000002", request=REQUEST | {"par": "2"})
    assert {job.target and job.target.partition for job in await adopted(lost, journal, copies)} == {1, 2}
    assert len(journal.undelivered()) == 2


async def test_what_was_being_made_ready_says_so_by_its_copy(
    lost: Lost, journal: Journal, copies: Copies, shelf: MemoryShelf
) -> None:
    """The partition holds the image, and nothing of the job: the record went with the commit."""
    make_filesystem(
        lost.machine.paths[0], FIRST.size // 4096 * 4096, uuid=str(uuid.uuid4()), label="", offset=FIRST.start
    )
    await copies.begun(lost.job(), lost.target())
    (job,) = await adopted(lost, journal, copies)
    assert (job.job_id, job.state) == (JOB_ID, State.INTERRUPTED)
    ((_, report),) = journal.undelivered()
    assert (report["res"], report["der"][:4]) == ("2", "093-")
    part = (await MarkedDisks(lost.machine, journal).inventory()).disks[0].partitions[0]
    assert (part.incomplete, part.unfinished) == (False, True)
    journal.made_ready((lost.target().identity, lost.target().partition))
    part = (await MarkedDisks(lost.machine, journal).inventory()).disks[0].partitions[0]
    assert not part.unfinished


async def test_a_request_of_which_little_is_known(lost: Lost, journal: Journal, copies: Copies) -> None:
    lost.write(request={"ids": "7"})
    await adopted(lost, journal, copies)
    ((_, report),) = journal.undelivered()
    assert [report[name] for name in ("ids", "idi", "dsk", "par", "ifs")] == ["7", "", "", "", ""]


@pytest.mark.parametrize(
    "changes",
    [{"job_id": ""}, {"reported": True}, {"disk": "ab" * 16}, {"size": MIB}],
    ids=lambda each: next(iter(each)),
)
async def test_what_is_no_reason_to_say_anything(
    lost: Lost, journal: Journal, copies: Copies, changes: dict[str, Any]
) -> None:
    """By hand; told before; a copy of another disk; a partition that was made anew."""
    lost.write(**changes)
    assert await adopted(lost, journal, copies) == []
    assert journal.undelivered() == []


async def test_a_file_system_that_is_there_by_now(lost: Lost, journal: Journal, copies: Copies) -> None:
    lost.write()
    with lost.disk.open("r+b") as file:
        file.seek(FIRST.start)
        file.write(b"LUKS\xba\xbe\x00\x01")
    before = lost.disk.read_bytes()
    assert await adopted(lost, journal, copies) == []
    assert lost.disk.read_bytes() == before


async def test_a_partition_that_somebody_holds(
    lost: Lost, journal: Journal, copies: Copies, caplog: pytest.LogCaptureFixture
) -> None:
    lost.write()
    with lost.machine.open_target(lost.target()):
        assert await adopted(lost, journal, copies) == []
    assert "cannot be asked whose restore it was" in caplog.text


async def test_without_ogcore_nothing_waits_to_be_sent(lost: Lost, journal: Journal, copies: Copies) -> None:
    lost.write()
    (job,) = await adopted(lost, journal, copies, report=False)
    assert (job.state, journal.undelivered()) == (State.INTERRUPTED, [])
    await copies.aclose()
    assert lost.read() == lost.record


async def test_a_machine_that_cannot_be_read_stops_nobody(journal: Journal, shelf: MemoryShelf) -> None:
    class Broken(FileMachine):
        async def inventory(self, *, thorough: bool = True) -> Inventory:  # noqa: ARG002 - as Machine has it
            raise OSError("input/output error")

    machine = Broken([])
    copies = Copies(journal, machine, shelf, KINDS)
    assert await adopt_unknown(journal, MarkedDisks(machine, journal), copies, KINDS, report=True) == []
    await copies.aclose()


# --- by the copies on the shelf -----------------------------------------------------------------------------------


def kept(shelf: MemoryShelf, ended: Ended, name: str = "") -> None:
    shelf.files[name or f"{ended.job.job_id}.json"] = msgspec.json.encode(ended)


@pytest.mark.parametrize("error", [FAILED, None], ids=["failed", "well"])
async def test_a_report_that_ogcore_had_not_taken(
    lost: Lost, journal: Journal, copies: Copies, shelf: MemoryShelf, error: Exception | None
) -> None:
    """As it was: what was sent before, and perhaps taken, is said again and nothing else."""
    ended = lost.ended(error)
    kept(shelf, ended)
    assert await adopted(lost, journal, copies) == [ended.job]
    assert journal.undelivered() == [(JOB_ID, ended.report)]
    await FinalsInJournal(journal, copies).delivered(JOB_ID)
    await copies.aclose()
    assert shelf.files == {}


async def test_the_copy_knows_the_reason_and_the_partition_whether_it_went_well(
    lost: Lost, journal: Journal, copies: Copies, shelf: MemoryShelf
) -> None:
    lost.write()
    kept(shelf, lost.ended(FAILED))
    (report,) = await next_life(lost, shelf)
    assert (report["der"], report["seq"]) == ("033-byte 7 is wrong", 17)
    kept(shelf, lost.ended(None))
    (report,) = await next_life(lost, shelf)
    assert (report["res"], report["der"][:4]) == ("2", "093-")


async def test_a_copy_that_is_left_over_goes(lost: Lost, journal: Journal, copies: Copies, shelf: MemoryShelf) -> None:
    lost.in_journal(journal, FAILED)
    journal.delivered(JOB_ID)
    kept(shelf, lost.ended(FAILED))
    assert await adopted(lost, journal, copies) == []
    await copies.aclose()
    assert shelf.files == {}


def forged(lost: Lost, **changes: Any) -> Ended:
    ended = lost.ended(FAILED)
    return replace(ended, report={**(ended.report or {}), **changes})


async def test_what_is_no_copy_is_not_sent(
    lost: Lost, journal: Journal, copies: Copies, shelf: MemoryShelf, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever was root on the machine could write there: a report that its job does not lead to is none."""
    ended = lost.ended(FAILED)
    for number, each in enumerate((
        forged(lost, res="1"), forged(lost, der=""), forged(lost, job_id="RestaurarImagen-00000002"),
        forged(lost, ids="8"), forged(lost, event_id="e"), forged(lost, seq="17"), forged(lost, seq=None),
        replace(ended, report=None), replace(ended, job=replace(ended.job, request={})),
        replace(ended, job=lost.job()),
    )):  # fmt: skip
        shelf.files = {f"{JOB_ID}.json": msgspec.json.encode(each)}
        assert await adopted(lost, journal, copies) == [], number
    kept(shelf, ended, "../../x.json")
    shelf.files |= {"garbage.json": b"\xff", "deep.json": b"[" * 60_000, "list.json": b"[]"}
    assert await adopted(lost, journal, copies) == []
    assert journal.undelivered() == []
    assert len(shelf.files) == 5, "what is no copy is not ours to remove"
    assert "is no copy of a report" in caplog.text


async def test_the_shelf_is_read_within_bounds(
    lost: Lost, journal: Journal, copies: Copies, shelf: MemoryShelf
) -> None:
    for number in range(2 * MOST_COPIES):
        kept(shelf, lost.ended(FAILED, f"RestaurarImagen-{number:08x}"))
    assert len(await adopted(lost, journal, copies)) == MOST_COPIES


async def test_a_shelf_that_cannot_be_read(
    lost: Lost, journal: Journal, copies: Copies, shelf: MemoryShelf, caplog: pytest.LogCaptureFixture
) -> None:
    shelf.broken = True
    lost.write()
    assert len(await adopted(lost, journal, copies)) == 1
    assert "copies of reports cannot be looked for" in caplog.text
    assert [entry for entry in caplog.records if entry.levelno > logging.WARNING] == []
