"""What a disk says of the job that changes it: before anything else, and nowhere where somebody has something."""

from __future__ import annotations

import asyncio
import logging
import shutil
from pathlib import Path
from typing import Final

import pytest

from ogagent.disk.record import LENGTH, PLACE, record_of
from ogagent.model.units import MIB
from ogagent.partition.layout import plan_table
from ogagent.partition.writer import prepare, write
from tests.partition.disks import asked, rows
from tests.partition.judges import Recorded, disk_of, opened, run
from tests.records import record_in

SIZE: Final = 64 * MIB
RECORD: Final = record_of("serial:1", SIZE, {"dsk": "1"}, job_id="Configurar-dfa42888", started="")
OLDER: Final = record_of("serial:1", SIZE, {"dsk": "1"}, job_id="Configurar-00000002", started="")
GPT: Final = "label: gpt\nfirst-lba: 34\nstart=1MiB, size=8MiB, type=uefi\nstart=9MiB, size=12MiB, type=linux\n"
MSDOS: Final = "label: dos\nstart=1MiB, size=8MiB, type=7\nstart=9MiB, size=12MiB, type=83\n"
LOW: Final = "label: gpt\nfirst-lba: 34\nstart=40, size=16384, type=uefi\nstart=9MiB, size=12MiB, type=linux\n"
LOW_MSDOS: Final = "label: dos\nstart=63, size=16384, type=7\nstart=9MiB, size=12MiB, type=83\n"
SOMETHING: Final = b"something of somebody's".ljust(LENGTH, b".")

Writes = list[tuple[int, bytes]]


def disk_with(folder: Path, script: str, page: bytes = b"") -> Path:
    disk = folder / "disk"
    with disk.open("xb") as file:
        file.truncate(SIZE)
    if script:
        run("sfdisk", "--quiet", disk, stdin=script)
    with disk.open("r+b") as file:
        file.seek(PLACE)
        file.write(page)
    return disk


def written(disk: Path, cfg: object) -> Writes:
    plan = plan_table(asked(cfg), asyncio.run(disk_of(disk)), "uefi")
    with opened(disk) as device:
        recorded = Recorded(device)
        write(recorded, plan, prepare(device, plan), RECORD)
    return [each for batch in recorded.writes for each in batch]


SMALLER: Final = rows((1, "EFI", 8), (2, "LINUX", 10))
ALL_NEW: Final = [{"ttp": "GPT", "che": "0"}, *rows((1, "LINUX", 20))]


@pytest.mark.parametrize("page", [b"", OLDER, OLDER[:512]], ids=["nothing", "another record", "a torn one"])
@pytest.mark.parametrize(
    ("script", "cfg"), [(GPT, SMALLER), (MSDOS, rows((1, "NTFS", 8), (2, "LINUX", 10))), (GPT, ALL_NEW)]
)
def test_it_is_there_before_anything_else_changes(
    tmp_path: Path, script: str, cfg: list[dict[str, str]], page: bytes
) -> None:
    disk = disk_with(tmp_path, script, page)
    first, *others = written(disk, cfg)
    assert first == (PLACE, RECORD)
    assert others
    assert record_in(disk.read_bytes()) is not None, "nothing that comes later takes it away"


@pytest.mark.parametrize(
    ("script", "end"),
    [(LOW, 40 * 512 + 8 * MIB), (LOW_MSDOS, 63 * 512 + 8 * MIB), ("", SIZE)],
    ids=["gpt", "msdos", "the whole disk"],
)
def test_what_lies_there_and_goes_is_wiped_first(tmp_path: Path, script: str, end: int) -> None:
    """It would mount once more, with a record in it, if the power went in between."""
    disk = disk_with(tmp_path, script, SOMETHING)
    run("mke2fs", "-q", "-F", "-t", "ext4", "-E", f"offset={end - 8 * MIB if script else 0}", disk, "8M")
    writes = written(disk, ALL_NEW)
    record = writes.index((PLACE, RECORD))
    for offset, data in writes[:record]:
        assert not any(data)
        assert offset + len(data) <= end
    superblock = (end - 8 * MIB if script else 0) + 1024
    assert any(offset <= superblock < offset + len(data) for offset, data in writes[:record])
    assert record_in(disk.read_bytes()) is not None


@pytest.mark.parametrize(
    ("script", "cfg"),
    [
        (LOW, rows((1, "EFI", 8), (2, "LINUX", 10))),
        (LOW_MSDOS, rows((1, "NTFS", 8), (2, "LINUX", 10))),
        (LOW, [*rows((1, "EFI", 8), ope="1"), *rows((2, "LINUX", 12))]),
    ],
    ids=["gpt", "msdos", "formatted in its place"],
)
def test_a_partition_that_has_the_place(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, script: str, cfg: list[dict[str, str]]
) -> None:
    cfg = [{**row, "sfi": "EXT4"} if row["ope"] == "1" else row for row in cfg]
    disk = disk_with(tmp_path, script)
    assert RECORD not in [data for _, data in written(disk, cfg)]
    assert "has no room to say whose job this is" in caplog.text


def test_a_table_that_has_the_place(tmp_path: Path) -> None:
    """The first one may keep its entries anywhere before the first partition."""
    disk = disk_with(tmp_path, GPT)
    run("sgdisk", f"--move-main-table={PLACE // 512 - 8}", disk)
    assert RECORD not in [data for _, data in written(disk, SMALLER)]


def test_what_somebody_has_between_table_and_partitions(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A disk of which something is kept: nobody knows what it is, and for whom."""
    disk = disk_with(tmp_path, GPT, SOMETHING)
    written(disk, SMALLER)
    assert disk.read_bytes()[PLACE : PLACE + LENGTH] == SOMETHING
    assert [entry.levelno for entry in caplog.records if entry.name.startswith("ogagent.")] == [logging.WARNING]


def test_a_table_that_stays_as_it_is(tmp_path: Path) -> None:
    disk = disk_with(tmp_path, GPT)
    shutil.copy(disk, tmp_path / "before")
    assert written(disk, rows((1, "EFI", 8), (2, "LINUX", 12))) == []
    assert disk.read_bytes() == (tmp_path / "before").read_bytes()
