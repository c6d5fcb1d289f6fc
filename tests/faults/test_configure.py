"""A disk that fails or lies while it is partitioned: the table is the old or the new one, what is kept is untouched; a
job that says it succeeded has formatted what it was to format.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec.structs import replace

from ogagent.disk import blkid
from ogagent.functions.function import Equipment
from ogagent.model.job import State
from simulator.faults import parse_fault
from simulator.machine.file_tables import FileTables
from tests.faults.bench import CANCELLED, WELL, Matrix
from tests.functions.running import running, settings_of_a_room
from tests.partition.disks import rows
from tests.partition.judges import Table, run, table_by_sfdisk

MIB: Final = 1 << 20
SIZE: Final = 32 * MIB
CACHE: Final = {"che": "1", "tch": str(6 * 1024)}
GPT: Final = """label: gpt
start=1MiB, size=4MiB, type=uefi, name=EFI
start=5MiB, size=10MiB, type=linux
4: start=25MiB, size=6MiB, type=linux, name=CACHE
"""
MSDOS: Final = """label: dos
start=1MiB, size=4MiB, type=7
start=5MiB, size=10MiB, type=83
4: start=25MiB, size=6MiB, type=ca
"""
NEW: Final = {"sfi": "EXT4", "ope": "1"}
STARTS: Final = {
    "nothing to gpt": ("", [{**CACHE, "ttp": "GPT"}, *rows((1, "EFI", 4)), {**rows((2, "LINUX", 12))[0], **NEW}]),
    "gpt": (GPT, [CACHE, *rows((1, "EFI", 4)), {**rows((2, "LINUX", 12))[0], **NEW}]),
    "msdos to gpt": (MSDOS, [{**CACHE, "ttp": "GPT"}, *rows((1, "NTFS", 4)), {**rows((2, "LINUX", 12))[0], **NEW}]),
    "msdos": (MSDOS, [CACHE, *rows((1, "NTFS", 4)), {**rows((2, "LINUX", 12))[0], **NEW}]),
}
"""In each the partitions 1 and 4 stay where they are there, and 2 is made anew and formatted."""
PLACES: Final = (0, 512, 1024, MIB * 3 // 4, 5 * MIB, 17 * MIB - 1, SIZE - 17 * 1024, SIZE - 512)
FAULTS: Final = (
    *(
        f"disk:{what}@{place}={time}"
        for what, place, time in product(("eio", "gone", "flip", "lost", "torn"), PLACES, (1, 2))
    ),
    *(f"disk:{what}@{place}" for what, place in product(("full", "flip", "unreadable", "misread"), PLACES)),
    *(f"disk:flush={time}" for time in range(1, 9)),
    "disk:readonly",
)


def prepared(folder: Path, script: str) -> Table:
    """A disk whose bytes say where they are, but for its table."""
    disk = folder / "disk"
    disk.unlink(missing_ok=True)
    with disk.open("xb") as file:
        file.truncate(SIZE)
    if script:
        run("sfdisk", "--quiet", disk, stdin=script)
        with disk.open("r+b") as file:
            for start in range(MIB, 31 * MIB, MIB // 4):
                file.seek(start + 4096)
                file.write(b"%-16d" % start * 64)
        place = f"offset={25 * MIB}"
        run("mke2fs", "-q", "-F", "-t", "ext4", "-L", "CACHE", "-E", place, disk, "6M")
    return table_by_sfdisk(disk)


def places(table: Table) -> dict[int, tuple[int, int]]:
    return {number: (row.start * 512, row.size * 512) for number, row in table[1].items()} if table else {}


def filesystem_at(disk: Path, place: tuple[int, int]) -> str:
    with disk.open("rb") as file:
        return blkid.superblock(file.fileno(), *place).get("TYPE", "")


async def configured(folder: Path, cfg: object, fault: str) -> tuple[State, dict[str, Any]]:
    faults = (parse_fault(fault),) if fault else ()

    def equip(equipment: Equipment) -> Equipment:
        return replace(equipment, tables=FileTables(lambda: faults))

    async with running(folder, settings_of_a_room(folder), equip=equip) as agent:
        job, report = await agent.run("Configurar", dsk="1", cfg=cfg)
        return job.state, dict(report)


def check(disk: Path, before: bytes, old: Table, new: Table, state: State, report: dict[str, Any], fault: str) -> None:
    found, after = table_by_sfdisk(disk), disk.read_bytes()
    lies_for_ever = fault.startswith(("disk:flip", "disk:misread")) and "=" not in fault
    assert places(found) in (places(old), places(new)) or (lies_for_ever and state is State.FAILED)
    for start, size in {places(old).get(number) for number in (1, 4)} - {None}:  # type: ignore[misc]
        assert before[start : start + size] == after[start : start + size], "what is kept has changed"
    assert (report["res"] == "1") == (state is State.SUCCEEDED)
    if state is State.SUCCEEDED:
        assert places(found) == places(new)
        assert filesystem_at(disk, places(new)[2]) == "ext4"
    elif places(found) == places(new) != places(old):
        assert filesystem_at(disk, places(new)[2]) in ("", "ext4")


@pytest.mark.parametrize("name", STARTS)
async def test_a_disk_that_fails_or_lies(matrix: Matrix, name: str) -> None:
    script, cfg = STARTS[name]
    with matrix.folder() as folder:
        disk = folder / "disk"
        old = prepared(folder, script)
        before = disk.read_bytes()
        state, report = await configured(folder, cfg, "")
        assert state is State.SUCCEEDED, report
        new = table_by_sfdisk(disk)
        for fault in FAULTS:
            with matrix.cell("configure", f"{name}, {fault}"):
                disk.write_bytes(before)
                state, report = await configured(folder, cfg, fault)
                check(disk, before, old, new, state, report, fault)
                matrix.endings[_number(state, report)] += 1
        disk.unlink()


def _number(state: State, report: dict[str, Any]) -> int:
    if state is State.SUCCEEDED:
        return WELL
    return CANCELLED if state is State.CANCELLED else int(report["der"][:3])
