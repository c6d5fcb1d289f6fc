"""A real disk says whose job changed its table, also while something that is kept on it is in use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec.structs import replace

from ogagent.disk.gap import GAP, erase_record, record_in_gap
from ogagent.disk.real import RealMachine
from ogagent.disk.record import record_of
from ogagent.errors import DiskChanged, TargetIsSystem
from ogagent.functions.table import KINDS
from ogagent.jobs.adoption import adopt_unknown
from ogagent.jobs.copies import Copies
from ogagent.jobs.disks import MarkedDisks
from ogagent.jobs.finals import FinalsInJournal
from ogagent.jobs.journal import Journal
from ogagent.model.disk import Disk
from ogagent.partition.real import RealTables
from ogagent.partition.work import configure
from tests.block_devices import block_devices
from tests.devices.configured import NoBooks, plan_for, row
from tests.devices.conftest import LoopDisk, Mount
from tests.jobs.lost_power import MemoryShelf
from tests.partition.disks import rows

MIB: Final = 1 << 20
SIZE: Final = 200 * MIB
TABLE: Final = "label: gpt\nstart=1MiB, size=40MiB, type=linux\nstart=41MiB, size=20MiB, type=linux\n"
JOB_ID: Final = "Configurar-dfa42888"
CREATED: Final = "2026-11-24T10:00:00.000Z"
Tool = Callable[..., str]


def machine_of(device: str) -> RealMachine:
    return RealMachine([device], block_devices(device))


async def disk_of(machine: RealMachine) -> Disk:
    (disk,) = (await machine.inventory()).disks
    return disk


async def partitioned(device: str, cfg: object) -> None:
    """And ogCore has not been told."""
    plan = await plan_for(device, cfg)
    request = {"nfn": "Configurar", "dsk": "1", "ids": "9"}
    record = record_of(plan.identity, plan.size, request, job_id=JOB_ID, started=CREATED)
    await configure(RealTables(), plan, NoBooks(), record)


async def told(machine: RealMachine) -> list[dict[str, Any]]:
    """By an agent that knows nothing; ogCore takes it."""
    journal = Journal.in_memory()
    copies = Copies(journal, machine, MemoryShelf(), KINDS)
    await adopt_unknown(journal, MarkedDisks(machine, journal), copies, KINDS, report=True)
    reports = journal.undelivered()
    for job_id, _ in reports:
        await FinalsInJournal(journal, copies).delivered(job_id)
    await copies.aclose()
    journal.close()
    return [dict(report) for _, report in reports]


def content(folder: Path) -> bytes:
    """Of the file under the loop device."""
    return (folder / "loop0.img").read_bytes()


@pytest.mark.parametrize("sector_size", [512, 4096])
@pytest.mark.parametrize("table", ["GPT", "MSDOS"])
async def test_a_new_disk(loop_disk: LoopDisk, tmp_path: Path, table: str, sector_size: int) -> None:
    device = loop_disk(SIZE, sector_size=sector_size)
    machine = machine_of(device)
    await partitioned(device, [{"ttp": table}, *rows((1, "LINUX", 40)), row(2, "LINUX", 20, "EXT4")])
    before = content(tmp_path)
    (report,) = await told(machine)
    assert (report["job_id"], report["ids"], report["der"][:4]) == (JOB_ID, "9", "093-")
    assert [each["fsi"] for each in report["cfg"]] == ["", "EMPTY", "EXT4"]
    after = content(tmp_path)
    changed = [at for at in range(0, len(after), 4096) if after[at : at + 4096] != before[at : at + 4096]]
    assert changed == [GAP.start]
    assert not any(after[GAP.start : GAP.end])
    assert await told(machine) == []


async def test_what_is_kept_is_in_use(loop_disk: LoopDisk, tool: Tool, mount: Mount, tmp_path: Path) -> None:
    """A CACHE that somebody has mounted, say: when the table is changed, and when ogCore has been told."""
    device = loop_disk(SIZE, TABLE)
    tool("mkfs.ext4", "-q", "-F", f"{device}p1")
    place = mount(f"{device}p1")
    (place / "kept").write_text("kept")
    await partitioned(device, [*rows((1, "LINUX", 40)), row(2, "LINUX", 30, "EXT4")])
    machine = machine_of(device)
    assert record_in_gap(await disk_of(machine)) is not None
    (report,) = await told(machine)
    assert report["job_id"] == JOB_ID
    assert record_in_gap(await disk_of(machine)) is None
    assert (place / "kept").read_text() == "kept"


async def test_a_disk_that_is_not_ours(loop_disk: LoopDisk, tmp_path: Path) -> None:
    device = loop_disk(SIZE, TABLE)
    await partitioned(device, rows((1, "LINUX", 40), (2, "LINUX", 30)))
    disk = await disk_of(machine_of(device))
    before = content(tmp_path)
    with pytest.raises(TargetIsSystem), RealMachine([], [device]).open_gap(disk) as gap:
        erase_record(gap, JOB_ID)
    with pytest.raises(DiskChanged), machine_of(device).open_gap(replace(disk, identity="another")) as gap:
        erase_record(gap, JOB_ID)
    assert content(tmp_path) == before
