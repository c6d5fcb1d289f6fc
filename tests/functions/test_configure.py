"""Configurar on a PC whose disk is a file: what is asked for is there, and what an agent leaves that dies is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec.structs import replace

from ogagent.errors import DiskChanged, PartitioningFailed, TableDoesNotFit
from ogagent.functions.function import Equipment
from ogagent.functions.table import KINDS
from ogagent.jobs.disks import MarkedDisks
from ogagent.jobs.journal import Journal
from ogagent.jobs.recovery import settle_unended
from ogagent.model.disk import Inventory
from ogagent.model.job import State
from ogagent.partition.plan import PlannedPartition, TablePlan
from ogagent.partition.table import plan_as_text
from simulator.faults import parse_fault
from simulator.machine.file_host import host_of
from simulator.machine.file_machine import FileMachine
from simulator.machine.file_tables import FileTables
from tests.functions.running import Agent, running, settings_of_a_room
from tests.records import record_in

MIB: Final = 1 << 20
KIB_OF_MIB: Final = 1024
ROWS: Final = [
    {"ttp": "GPT", "dis": "1", "che": "1", "tch": str(32 * KIB_OF_MIB)},
    {"par": "1", "cpt": "EFI", "sfi": "FAT32", "tam": str(40 * KIB_OF_MIB), "ope": "1"},
    {"par": "2", "cpt": "LINUX", "sfi": "EXT4", "tam": "0", "ope": "1"},
]
IN_WORDS: Final = (
    f"ttp=GPT*dis=1*che=1*tch={32 * KIB_OF_MIB}!par=1*cpt=EFI*sfi=FAT32*tam={40 * KIB_OF_MIB}*ope=1%"
    "par=2*cpt=LINUX*sfi=EXT4*tam=0*ope=1%"
)


def empty_disk(folder: Path) -> Path:
    disk = folder / "disk"
    with disk.open("wb") as file:
        file.truncate(256 * MIB)
    return disk


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[Agent]:
    empty_disk(tmp_path)
    async with running(tmp_path) as agent:
        yield agent


def table(report: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(row["par"], row["cpt"], row["fsi"]) for row in report["cfg"]]


EXPECTED: Final = [("0", "2", ""), ("1", "EF00", "FAT32"), ("2", "8300", "EXT4"), ("4", "CA00", "CACHE")]


@pytest.mark.parametrize("cfg", [ROWS, IN_WORDS, json.dumps(ROWS)])
async def test_an_empty_disk_becomes_what_was_asked_for(agent: Agent, cfg: object) -> None:
    job, report = await agent.run("Configurar", dsk="1", cfg=cfg, ids="3")
    assert (job.state, job.progress, job.error) == (State.SUCCEEDED, 100, None)
    assert (report["nfn"], report["res"], report["dsk"], report["ids"]) == ("RESPUESTA_Configurar", "1", "1", "3")
    assert table(dict(report)) == EXPECTED
    assert job.target is not None
    assert (job.target.disk, job.target.partition) == (1, None)
    assert set(job.timings.seconds) == {"checking", "partitioning", "formatting"}


async def test_a_plan_changes_nothing(agent: Agent, tmp_path: Path) -> None:
    before = (tmp_path / "disk").read_bytes()
    order = agent.functions.order({"nfn": "Configurar", "dsk": "1", "cfg": ROWS})
    plan = await (await agent.jobs.plan(order)).preview()
    assert isinstance(plan, TablePlan)
    assert [(part.number, part.fate, part.filesystem) for part in plan.partitions] == [
        (1, "new", "FAT32"), (2, "new", "EXT4"), (4, "new", "EXT4"),
    ]  # fmt: skip
    assert (tmp_path / "disk").read_bytes() == before


async def test_what_does_not_fit_is_refused(agent: Agent, tmp_path: Path) -> None:
    before = (tmp_path / "disk").read_bytes()
    with pytest.raises(TableDoesNotFit):
        await agent.start("Configurar", dsk="1", cfg=[ROWS[0], {"par": "1", "cpt": "LINUX", "tam": str(1 << 30)}])
    assert not agent.jobs.jobs()
    assert (tmp_path / "disk").read_bytes() == before


async def test_another_disk_than_the_request_names_is_not_configured(agent: Agent, tmp_path: Path) -> None:
    before, named = (tmp_path / "disk").read_bytes(), {"dsk": "1", "cfg": ROWS, "identity": "serial:other;size:1"}
    with pytest.raises(DiskChanged, match="the request means serial:other;size:1"):
        await (await agent.jobs.plan(agent.functions["Configurar"].order(named))).preview()
    job, report = await agent.run("Configurar", **named)
    assert (job.state, report["der"][:4]) == (State.FAILED, "092-")
    assert (tmp_path / "disk").read_bytes() == before
    identity = (await agent.inventory()).identity
    job, _ = await agent.run("Configurar", **{**named, "identity": identity})
    assert (job.state, job.request["identity"]) == (State.SUCCEEDED, identity)


async def test_what_the_rows_mean_stays(agent: Agent, tmp_path: Path) -> None:
    _, first = await agent.run("Configurar", dsk="1", cfg=ROWS)
    kept = tmp_path / "disk.cache4/opt/opengnsys/images/x.img"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"image")
    before = (tmp_path / "disk").read_bytes()
    job, report = await agent.run("Configurar", dsk="1", cfg=first["cfg"])
    assert (job.state, report["cfg"]) == (State.SUCCEEDED, first["cfg"])
    assert (tmp_path / "disk").read_bytes() == before
    anew = [ROWS[0], {**ROWS[1], "ope": "0"}, ROWS[2]]
    job, report = await agent.run("Configurar", dsk="1", cfg=anew)
    assert (job.state, table(dict(report))) == (State.SUCCEEDED, EXPECTED)
    assert kept.exists()
    job, report = await agent.run("Configurar", dsk="1", cfg=[{"che": "0"}, *ROWS[1:]])
    assert table(dict(report)) == EXPECTED[:-1]
    assert not kept.exists()


@pytest.mark.parametrize("room", [True, False])
async def test_the_disk_says_whose_job_it_was_where_somebody_waits_to_hear(tmp_path: Path, *, room: bool) -> None:
    empty_disk(tmp_path)
    async with running(tmp_path, settings_of_a_room(tmp_path) if room else None) as agent:
        job, report = await agent.run("Configurar", dsk="1", cfg=ROWS, ids="3")
    record = record_in((tmp_path / "disk").read_bytes())
    assert table(dict(report)) == EXPECTED
    assert (record is not None) == room
    if record is not None:
        assert (record.job_id, record.started, record.function) == (job.job_id, job.created, "Configurar")
        assert record.request == {"nfn": "Configurar", "dsk": "1", "ids": "3"}


ASLEEP: Final = bytes(1024) + b"\1\0\0\0\xff\0\0\0" + bytes(3054) + b"S1SUSPEND\0"
BESIDE: Final = [
    {"ttp": "GPT", "che": "0"},
    {"par": "1", "cpt": "LINUX-SWAP", "tam": str(16 * KIB_OF_MIB)},
    {"par": "2", "cpt": "NTFS", "tam": str(16 * KIB_OF_MIB)},
    {"par": "3", "cpt": "LINUX", "tam": str(32 * KIB_OF_MIB)},
]


async def asleep(agent: Agent, folder: Path) -> Path:
    """A Linux on the first of three partitions."""
    await agent.run("Configurar", dsk="1", cfg=BESIDE)
    with (folder / "disk").open("r+b") as disk:
        disk.seek(MIB)
        disk.write(ASLEEP)
    return folder / "disk"


def signature(disk: Path) -> bytes:
    return disk.read_bytes()[MIB + 4086 : MIB + 4096]


async def test_a_linux_that_sleeps_beside_what_goes_is_not_woken_again(agent: Agent, tmp_path: Path) -> None:
    disk = await asleep(agent, tmp_path)
    for more in ({}, {"par": "4", "cpt": "LINUX", "tam": str(16 * KIB_OF_MIB), "ope": "1", "sfi": "EXT4"}):
        job, _ = await agent.run("Configurar", dsk="1", cfg=[*BESIDE, more])
        assert (job.warnings, signature(disk)) == ((), b"S1SUSPEND\0"), "nothing that it knows has changed"
    formatted = {"dsk": "1", "cfg": [*BESIDE[:3], {**BESIDE[3], "ope": "1", "sfi": "EXT4"}]}
    order = agent.functions["Configurar"].order(formatted)
    plan = await (await agent.jobs.plan(order)).preview()
    assert isinstance(plan, TablePlan)
    assert signature(disk) == b"S1SUSPEND\0"
    job, _ = await agent.run("Configurar", **formatted)
    assert (job.state, job.warnings, signature(disk)) == (State.SUCCEEDED, plan.warnings, b"SWAPSPACE2")
    assert [warning[:26] for warning in plan.warnings] == ["032-the Linux that is hibe"]
    assert plan_as_text(plan).endswith(plan.warnings[0])


async def test_as_long_as_a_linux_would_wake_nothing_is_written(tmp_path: Path) -> None:
    refusing = FileMachine([empty_disk(tmp_path)], lambda: (parse_fault("disk:readonly"),))
    async with running(tmp_path, equip=lambda equipment: replace(equipment, machine=refusing)) as agent:
        disk = await asleep(agent, tmp_path)
        before = disk.read_bytes()
        _, report = await agent.run("Configurar", dsk="1", cfg=BESIDE[:3])
    assert report["der"].startswith("014-the Linux that is hibernated on partition 1 of disk 1")
    assert disk.read_bytes() == before


async def test_a_windows_that_sleeps_beside_what_goes_is_told_of(agent: Agent, tmp_path: Path) -> None:
    await asleep(agent, tmp_path)
    disk = await agent.inventory()
    parts = [replace(part, hibernated=part.partition == 2, filesystem="ntfs") for part in disk.partitions]
    inventory = Inventory(disks=(replace(disk, partitions=tuple(parts)),))
    for cfg, told in (
        (BESIDE, ()),
        (BESIDE[:3], ("032-Windows is hibernated on partition 2 of disk 1",)),
        (BESIDE[:2], ()),
    ):
        work = agent.functions["Configurar"].order({"dsk": "1", "cfg": cfg}).plan(inventory)
        assert tuple(warning[:50] for warning in (await work.preview()).warnings) == told


class Stopping(FileTables):
    """``make_filesystem`` waits for the test at the partition with this number, or fails there."""

    def __init__(self, at: int, *, fails: bool = False) -> None:
        super().__init__()
        self._at, self._fails = at, fails
        self.reached, self.word = asyncio.Event(), asyncio.Event()

    async def make_filesystem(self, plan: TablePlan, partition: PlannedPartition) -> None:
        if partition.number == self._at:
            self.reached.set()
            if self._fails:
                raise PartitioningFailed(f"{plan.device} could not be formatted")
            await self.word.wait()
        await super().make_filesystem(plan, partition)


@pytest.mark.parametrize("fails", [True, False])
async def test_a_cancel_or_a_failure_in_the_middle(tmp_path: Path, *, fails: bool) -> None:
    empty_disk(tmp_path)
    tables = Stopping(2, fails=fails)

    def equip(equipment: Equipment) -> Equipment:
        return replace(equipment, tables=tables)

    async with running(tmp_path, equip=equip) as agent:
        job = await agent.start("Configurar", dsk="1", cfg=ROWS)
        await tables.reached.wait()
        if not fails:
            assert (await agent.jobs.cancel(job.job_id)).state is State.CANCELLED
        ended, report = await agent.ended(job)
        assert ended.state is (State.FAILED if fails else State.CANCELLED)
        assert report["der"].startswith("040-" if fails else "000-")
        assert table(dict(report)) == [EXPECTED[0], EXPECTED[1], ("2", "8300", "EMPTY"), ("4", "CA00", "CACHE")]


@pytest.mark.parametrize("at", [1, 2, 4])
async def test_an_agent_that_died_while_it_formatted(tmp_path: Path, at: int) -> None:
    """The next one finds the new table, empties what was begun, and tells ogCore that it was interrupted."""
    empty_disk(tmp_path)
    tables = Stopping(at)

    def equip(equipment: Equipment) -> Equipment:
        return replace(equipment, tables=tables)

    async with running(tmp_path, equip=equip, journal=Journal.open(tmp_path / "first")) as agent:
        job = await agent.start("Configurar", dsk="1", cfg=ROWS, ids="8")
        await tables.reached.wait()
        copy = tmp_path / "second"
        copy.mkdir()
        agent.journal._connection.execute(f"VACUUM INTO '{copy / 'journal.sqlite'}'")
        with (tmp_path / "disk").open("r+b") as disk:
            start = next(part.start for part in (await agent.inventory()).partitions if part.partition == at)
            disk.seek(start + 1080)
            disk.write(b"\x53\xef")  # half of a file system
    journal, host = Journal.open(copy), host_of(FileMachine([tmp_path / "disk"]))
    async with running(tmp_path) as other:
        recoveries = other.functions.recoveries
    disks = MarkedDisks(host.machine, journal)
    (settled,) = await settle_unended(journal, disks, KINDS, recoveries, report=True)
    assert (settled.job_id, settled.state) == (job.job_id, State.INTERRUPTED)
    ((_, report),) = journal.undelivered()
    assert (report["nfn"], report["res"], report["ids"], report["dsk"]) == ("RESPUESTA_Configurar", "2", "8", "1")
    assert report["der"] == "093-The agent was interrupted during the partitioning of disk 1"
    found = dict(zip([row["par"] for row in report["cfg"]], [row["fsi"] for row in report["cfg"]], strict=True))
    assert set(found) == {"0", "1", "2", "4"}
    assert found[str(at)] == ("CACHE" if at == 4 else "EMPTY")
    journal.close()
