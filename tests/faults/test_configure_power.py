"""Power that goes while a disk is partitioned whose job has no copy anywhere: there is no CACHE, or it is made anew.

The state directory was in memory. The next agent, which knows nothing, tells ogCore of the job, once; and nothing of it
any more when ogCore has been told.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
from msgspec import Struct
from msgspec.structs import replace

from ogagent.disk.machine import Device
from ogagent.functions.function import Equipment
from ogagent.functions.table import KINDS
from ogagent.jobs.adoption import adopt_unknown
from ogagent.jobs.copies import Copies
from ogagent.jobs.disks import MarkedDisks
from ogagent.jobs.finals import FinalsInJournal
from ogagent.jobs.journal import Journal
from ogagent.model.disk import Disk, TableKind
from ogagent.model.job import State
from ogagent.partition.plan import TablePlan
from simulator.machine.file_machine import FileMachine
from simulator.machine.file_tables import FileTables
from tests.faults.bench import CANCELLED, WELL, Matrix
from tests.functions.running import running, settings_of_a_room
from tests.jobs.lost_power import MemoryShelf
from tests.partition.disks import rows
from tests.partition.judges import run
from tests.records import record_in

MIB: Final = 1 << 20
SIZE: Final = 24 * MIB
PAGE: Final = range(768 << 10, 772 << 10)
CACHE: Final = {"che": "1", "tch": str(6 * 1024)}
GPT: Final = """label: gpt
start=1MiB, size=4MiB, type=uefi, name=EFI
4: start=15MiB, size=8MiB, type=linux, name=CACHE
"""
MSDOS: Final = "label: dos\nstart=1MiB, size=4MiB, type=7\nstart=5MiB, size=10MiB, type=83\n"
OF_OLD: Final = "label: dos\nstart=63, size=20417, type=7\nstart=20480, size=20480, type=83\n"
NEW: Final = [{**rows((2, "LINUX", 8))[0], "sfi": "EXT4", "ope": "1"}]


class Case(Struct, frozen=True, kw_only=True):
    """``first``: where it is wiped before it can say anything."""

    script: str
    cfg: list[dict[str, str]]
    first: range = range(0)


CASES: Final = {
    "a CACHE of another size": Case(script=GPT, cfg=[CACHE, *rows((1, "EFI", 4)), *NEW]),
    "a CACHE that goes": Case(script=GPT, cfg=[{"che": "0"}, *rows((1, "EFI", 4)), *NEW]),
    "no CACHE, a new disk": Case(script="", cfg=[{"ttp": "GPT"}, *rows((1, "EFI", 4)), *NEW]),
    "no CACHE, msdos": Case(script=MSDOS, cfg=[*rows((1, "NTFS", 4)), *NEW]),
    "no CACHE, all new": Case(script=MSDOS, cfg=[{"ttp": "GPT"}, *rows((1, "EFI", 6)), *NEW]),
    "a first partition of old": Case(
        script=OF_OLD,
        cfg=[{"ttp": "GPT"}, *rows((1, "EFI", 4)), *NEW],
        first=range(63 * 512, 10 * MIB),
    ),
}


class Medium:
    """What a disk is asked for; ``steps`` are a place with bytes, or None for a flush."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, bytes] | None] = []
        self.told = 0
        """So many of them had been when ogCore was told."""

    @contextmanager
    def watched(self, device: Device, base: int = 0) -> Iterator[Device]:
        yield _Watched(device, self, base)


class _Watched:
    def __init__(self, device: Device, medium: Medium, base: int) -> None:
        self._device, self._medium, self._base = device, medium, base
        self.size = device.size
        self.read_back = device.read_back

    def write(self, offset: int, data: memoryview) -> None:
        self._medium.steps.append((self._base + offset, bytes(data)))
        self._device.write(offset, data)

    def zero(self, offset: int, length: int) -> None:
        self._medium.steps.append((self._base + offset, bytes(length)))
        self._device.zero(offset, length)

    def flush(self) -> None:
        self._medium.steps.append(None)
        self._device.flush()


class WatchedTables(FileTables):
    def __init__(self, medium: Medium) -> None:
        super().__init__()
        self._medium = medium

    @contextmanager
    def open_disk(self, plan: TablePlan, tables: Collection[TableKind | None]) -> Iterator[Device]:
        with super().open_disk(plan, tables) as device, self._medium.watched(device) as watched:
            yield watched


class WatchedMachine(FileMachine):
    def __init__(self, disk: Path, medium: Medium) -> None:
        super().__init__([disk])
        self._medium = medium

    @contextmanager
    def open_gap(self, disk: Disk) -> Iterator[Device]:
        with super().open_gap(disk) as device, self._medium.watched(device, PAGE.start) as watched:
            yield watched


def prepared(disk: Path, script: str) -> bytes:
    """Its boot code, up to where the longest of GRUB ends, and its partitions say where they are."""
    with disk.open("wb") as file:
        file.truncate(SIZE)
    if script:
        run("sfdisk", "--quiet", disk, stdin=script)
        with disk.open("r+b") as file:
            kept = range(512 * 34, 480 << 10, 512) if "gpt" not in script else range(0)
            for start in (*kept, *range(MIB, SIZE - MIB, 64 << 10)):
                file.seek(start)
                file.write(b"%-16d" % start * 32)
    return disk.read_bytes()


async def configured(folder: Path, case: Case, medium: Medium) -> Mapping[str, Any]:
    """The report that ogCore takes."""
    machine, journal = WatchedMachine(folder / "disk", medium), Journal.in_memory()
    copies = Copies(journal, machine, MemoryShelf(), KINDS)

    def equip(equipment: Equipment) -> Equipment:
        return replace(equipment, tables=WatchedTables(medium))

    async with running(folder, settings_of_a_room(folder), equip=equip, journal=journal, copies=copies) as agent:
        job, report = await agent.run("Configurar", dsk="1", cfg=case.cfg, ids="8")
        assert job.state is State.SUCCEEDED, report
        medium.told = len(medium.steps)
        await FinalsInJournal(journal, copies).delivered(job.job_id)
    return report


async def next_life(disk: Path, *, told: bool = False) -> list[Mapping[str, Any]]:
    """What an agent that knows nothing has to tell; when it has ``told``, ogCore knows."""
    journal, machine = Journal.in_memory(), FileMachine([disk])
    copies = Copies(journal, machine, MemoryShelf(), KINDS)
    await adopt_unknown(journal, MarkedDisks(machine, journal), copies, KINDS, report=True)
    reports = journal.undelivered()
    for job_id, _ in reports if told else ():
        await FinalsInJournal(journal, copies).delivered(job_id)
    await copies.aclose()
    journal.close()
    return [report for _, report in reports]


class Cut(NamedTuple):
    """``steps`` were taken; ``surely``: the record had been flushed."""

    name: str
    steps: int
    surely: bool
    found: bytes


def cuts(medium: Medium, before: bytes) -> Iterator[Cut]:
    """All that may be on the medium when the power goes: what was flushed, and some of what came after."""
    settled, pending = bytearray(before), list[tuple[int, bytes]]()
    for number, step in enumerate(medium.steps):
        if step is None:
            _store(settled, pending)
            pending = []
        else:
            pending.append(step)
        some = {"all": pending, "some": pending[1::2], "last": pending[-1:]} if pending else {"none": pending}
        for name, arrived in some.items():
            found = bytearray(settled)
            _store(found, arrived)
            yield Cut(f"after step {number}, {name}", number + 1, record_in(settled) is not None, bytes(found))


def _store(medium: bytearray, steps: list[tuple[int, bytes]]) -> None:
    for offset, data in steps:
        medium[offset : offset + len(data)] = data


def is_untouched(case: Case, before: bytes, found: bytes) -> bool:
    """But for what is wiped before the disk can say anything, and for the place where it will."""
    return all(
        found[at : at + 512] == before[at : at + 512] or at in PAGE or at in case.first for at in range(0, SIZE, 512)
    )


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    members = ("job_id", "nfn", "ids", "dsk", "event_id")
    return all(one[name] == other[name] for name in members)


@pytest.mark.parametrize("name", CASES)
async def test_the_next_agent_tells_of_it(matrix: Matrix, name: str) -> None:
    case, medium = CASES[name], Medium()
    with matrix.folder() as folder:
        disk = folder / "disk"
        before = prepared(disk, case.script)
        final = await configured(folder, case, medium)
        assert await next_life(disk) == []
        after = disk.read_bytes()
        assert not any(after[PAGE.start : PAGE.stop])
        for cut in cuts(medium, before):
            with matrix.cell("configure power", f"{name}, {cut.name}"):
                disk.write_bytes(cut.found)
                reports = await next_life(disk)
                if cut.steps <= medium.told and not reports:
                    assert not cut.surely, "nobody tells of it"
                    assert is_untouched(case, before, cut.found), "nobody tells of it"
                for report in reports:
                    assert same(report, final)
                    assert report["der"] == "093-The agent was interrupted during the partitioning of disk 1"
                assert len(reports) <= 1
                matrix.endings[CANCELLED if reports else WELL] += 1
                if cut.steps % 10 == 0:
                    assert await next_life(disk, told=True) == reports
                    assert await next_life(disk) == []
        disk.unlink()
