"""Power that goes while a table is written on a disk whose sectors are of 4096 bytes, as sfdisk and sgdisk see it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Final

import pytest

from ogagent.model.units import MIB
from ogagent.partition.layout import plan_table
from ogagent.partition.writer import prepare, write
from tests.devices.conftest import LoopDisk
from tests.partition.disks import asked, rows
from tests.partition.judges import Recorded, disk_of, opened, run, sgdisk_is_content, table_by_sfdisk

SIZE: Final = 64 * MIB
SECTOR: Final = 4096
CACHE: Final = {"che": "1", "tch": str(10 * 1024)}
GPT: Final = "label: gpt\nsize=8MiB, type=uefi\nsize=12MiB\n4: start=53MiB, size=10MiB, name=CACHE\n"
LOGICAL: Final = """label: dos
start=1MiB, size=8MiB, type=7
2: start=9MiB, size=40MiB, type=f
5: start=10MiB, size=8MiB, type=83
6: start=19MiB, size=8MiB, type=83
"""
CASES: Final = {
    "gpt": (GPT, [CACHE, *rows((1, "EFI", 8), (2, "LINUX", 14))]),
    "gpt to msdos": (GPT, [{**CACHE, "ttp": "MSDOS"}, *rows((1, "EFI", 8), (2, "LINUX", 14))]),
    "logical": (LOGICAL, rows((1, "NTFS", 7), (2, "EXTENDED", 40), (5, "LINUX", 8), (6, "LINUX", 9))),
    "logical to gpt": (LOGICAL, [{"ttp": "GPT"}, *rows((1, "NTFS", 8), (5, "LINUX", 8), (6, "LINUX", 9))]),
}


@pytest.mark.parametrize("case", CASES)
async def test_the_table_is_the_old_or_the_new_one(loop_disk: LoopDisk, case: str) -> None:
    script, cfg = CASES[case]
    device = loop_disk(SIZE, sector_size=SECTOR)
    run("sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", device, stdin=script)
    old, before = table_by_sfdisk(device), content(device)
    plan = plan_table(asked(cfg), await disk_of(device, SECTOR), "uefi")
    with opened(device, SECTOR) as disk:
        recorded = Recorded(disk)
        change = prepare(recorded, plan)
        write(recorded, plan, change)
    new = table_by_sfdisk(device)
    assert new != old
    chance, seen, done = random.Random(7), set(), list[tuple[int, bytes]]()
    for batch in recorded.writes:
        sectors = [(start + at, data[at : at + SECTOR]) for start, data in batch for at in range(0, len(data), SECTOR)]
        for some in ([], chance.sample(sectors, chance.randint(0, len(sectors)))):
            lay(device, before, [*done, *some])
            found = table_by_sfdisk(device)
            with opened(device, SECTOR) as disk:
                settled = change.settle(disk)
            assert found == table_by_sfdisk(device) == {"old": old, "new": new}[settled]
            if found and found[0] == "gpt":
                sgdisk_is_content(device)
            seen.add(settled)
        done += batch
    assert seen == {"old", "new"}


def content(device: str) -> bytes:
    return Path(device).read_bytes()


def lay(device: str, before: bytes, arrived: list[tuple[int, bytes]]) -> None:
    with open(device, "r+b") as disk:
        disk.write(before)
        for offset, data in arrived:
            disk.seek(offset)
            disk.write(data)
