"""A disk that is a file is configured, and what can go wrong goes wrong: no root is needed."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace

from ogagent.errors import (
    AgentError,
    DeviceBusy,
    DiskChanged,
    FilesystemNotSupported,
    PartitioningFailed,
    ReadBackDiffers,
    WriteFailed,
)
from ogagent.model.disk import Disk, TableKind
from ogagent.model.units import MIB
from ogagent.partition.change import TableChange
from ogagent.partition.formats import FORMATS, format_of, require_tools
from ogagent.partition.layout import plan_table
from ogagent.partition.plan import PlannedPartition, TablePlan
from ogagent.partition.work import configure, settle
from simulator.faults import parse_fault
from simulator.machine.file_machine import FileMachine
from simulator.machine.file_tables import FileTables
from tests.partition.disks import asked, rows
from tests.partition.judges import run, sgdisk_is_content, table_by_sfdisk

SIZE: Final = 100 * MIB
OLD: Final = "label: gpt\nsize=8MiB\nsize=12MiB\n"
NEW: Final = [
    {"che": "1", "tch": "20480"},
    *rows((1, "LINUX", 8)),
    {**rows((2, "LINUX", 30))[0], "sfi": "EXT4", "ope": "1"},
    {**rows((3, "LINUX-SWAP", 10))[0], "ope": "1"},
]


class Books:
    def __init__(self) -> None:
        self.told: list[object] = []

    @property
    def change(self) -> TableChange:
        change = self.told[0]
        assert isinstance(change, TableChange)
        return change

    async def writing(self, change: TableChange) -> None:
        self.told.append(change)

    async def formatting(self, number: int) -> None:
        self.told.append(number)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk"
    with path.open("xb") as file:
        file.truncate(SIZE)
    run("sfdisk", "--quiet", path, stdin=OLD)
    with path.open("r+b") as file:
        file.seek(9 * MIB)  # where the second partition begins
        file.write(b"something that was there" * 512)
    return path


def content(disk: Path) -> bytes:
    return disk.read_bytes()


async def inventory(disk: Path) -> Disk:
    return (await FileMachine([disk]).inventory()).disks[0]


async def plan_for(disk: Path, cfg: object = NEW) -> TablePlan:
    return plan_table(asked(cfg), await inventory(disk), "uefi")


async def test_a_disk_is_configured(disk: Path) -> None:
    books = Books()
    await configure(FileTables(), await plan_for(disk), books)

    found = await inventory(disk)
    assert [(part.partition, part.filesystem, part.label) for part in found.partitions] == [
        *((1, "", ""), (2, "ext4", ""), (3, "swap", ""), (4, "ext4", "CACHE")),
    ]
    assert books.told[1:] == [2, 3, 4, 0]
    sgdisk_is_content(disk)
    run("e2fsck", "-fn", _copy(disk, found, 2))
    run("e2fsck", "-fn", _copy(disk, found, 4))


def _copy(disk: Path, found: Disk, number: int) -> Path:
    (part,) = (part for part in found.partitions if part.partition == number)
    with disk.open("rb") as file:
        file.seek(part.start)
        (disk.parent / "copy").write_bytes(file.read(part.size))
    return disk.parent / "copy"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("disk:eio@0%", WriteFailed),
        ("disk:eio@104857100", WriteFailed),
        ("disk:lost@104857100", ReadBackDiffers),
        ("disk:flip@104857100", ReadBackDiffers),
        ("disk:lost@9MiB", ReadBackDiffers),
        ("disk:flip@9MiB", ReadBackDiffers),
        ("disk:flush", WriteFailed),
        ("disk:readonly", WriteFailed),
        ("disk:gone@1MiB", WriteFailed),
    ],
)
async def test_a_disk_that_fails_has_the_old_table_or_the_new_one(
    disk: Path, fault: str, error: type[AgentError]
) -> None:
    old = table_by_sfdisk(disk)
    plan, books = await plan_for(disk), Books()
    with pytest.raises(error):
        await configure(FileTables(lambda: (parse_fault(fault),)), plan, books)
    found = table_by_sfdisk(disk)
    assert found is not None
    assert (found == old) or [row.size >> 11 for row in found[1].values()] == [8, 30, 10, 20]
    settled = settle(FileTables(), plan, books.change, 0)
    assert (table_by_sfdisk(disk) == old) == (settled == "old")
    sgdisk_is_content(disk)


async def test_a_crash_in_a_formatting_leaves_an_empty_partition(disk: Path) -> None:
    plan, books = await plan_for(disk), Books()
    await configure(FileTables(), plan, books)
    assert settle(FileTables(), plan, books.change, 2) == "new"

    assert [part.filesystem for part in (await inventory(disk)).partitions] == ["", "", "swap", "ext4"]


async def test_nothing_is_written_before_it_is_in_the_books(disk: Path) -> None:
    before = content(disk)

    class Full(Books):
        async def writing(self, _change: TableChange) -> None:
            raise WriteFailed("the journal is full")

    with pytest.raises(WriteFailed, match="journal"):
        await configure(FileTables(), await plan_for(disk), Full())
    assert content(disk) == before


async def test_a_cancel_before_the_first_byte_writes_nothing(disk: Path) -> None:
    before, begun = content(disk), asyncio.Event()

    class Slow(Books):
        async def writing(self, _change: TableChange) -> None:
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(configure(FileTables(), await plan_for(disk), Slow()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert content(disk) == before


async def test_a_file_system_that_cannot_be_made_leaves_an_empty_partition(disk: Path) -> None:
    class Failing(FileTables):
        async def make_filesystem(self, plan: TablePlan, partition: PlannedPartition) -> None:
            await super().make_filesystem(plan, partition)
            if partition.number == 3:
                raise PartitioningFailed("mkswap failed with status 1")

    books = Books()
    with pytest.raises(PartitioningFailed, match="mkswap"):
        await configure(Failing(), await plan_for(disk), books)
    assert books.told[1:] == [2, 3]
    assert [part.filesystem for part in (await inventory(disk)).partitions] == ["", "ext4", "", ""]


async def test_another_disk_is_not_written_to(disk: Path) -> None:
    before = content(disk)
    plan = await plan_for(disk)
    with pytest.raises(DiskChanged):
        await configure(FileTables(), replace(plan, identity="file:other;size:1"), Books())
    of_gpt: tuple[TableKind, ...] = ("gpt",)
    with pytest.raises(DeviceBusy), FileTables().open_disk(plan, of_gpt):
        await configure(FileTables(), plan, Books())
    assert content(disk) == before


def mbr_row(flag: int, kind: int, start: int, size: int) -> bytes:
    """In MiB, but for what protects the table."""
    place = (1, size * 2048 - 1) if kind == 0xEE else (start * 2048, size * 2048)
    return struct.pack("<B3sB3sII", flag, b"\0\2\0", kind, b"\xff\xff\xff", *place)


WHOLE: Final = mbr_row(0x80, 0xEE, 0, 100)
HYBRID: Final = mbr_row(0, 0xEE, 0, 1), mbr_row(0x80, 0x83, 1, 8), mbr_row(0, 0x83, 9, 12)


@pytest.mark.parametrize(
    ("there", "wanted", "left"),
    [
        ([WHOLE], [1, 2], [WHOLE]),
        ([bytes(16), WHOLE], [1], [bytes(16), WHOLE]),
        (HYBRID, [1, 2], HYBRID),
        (HYBRID, [1], HYBRID[:2]),
        (HYBRID[:2], [2], [WHOLE.replace(b"\x80", b"\0")]),
    ],
    ids=["active", "second row", "hybrid", "one goes", "all go"],
)
async def test_the_first_sector_of_a_gpt_that_stays_is_left_alone_but_for_rows_of_what_goes(
    disk: Path, there: Sequence[bytes], wanted: Sequence[int], left: Sequence[bytes]
) -> None:
    """A BIOS may start no disk without an active row, and Windows by BIOS knows hybrid rows only."""
    code = b"boot code and disk id".ljust(446, b".")
    with disk.open("r+b") as file:
        file.write(code + b"".join(there).ljust(64, b"\0"))
    cfg = [row for row in rows((1, "LINUX", 8), (2, "LINUX", 12)) if int(row["par"]) in wanted]
    await configure(FileTables(), await plan_for(disk, [*cfg, *rows((3, "LINUX", 20))]), Books())

    assert content(disk)[:512] == code + b"".join(left).ljust(64, b"\0") + b"\x55\xaa"
    found = table_by_sfdisk(disk)
    assert found is not None
    assert (found[0], list(found[1])) == ("gpt", [*wanted, 3])


async def test_a_type_that_nobody_has_a_code_for_stays_when_its_partition_is_formatted(disk: Path) -> None:
    apfs = "7C3457EF-0000-11AA-AA11-00306543ECAC"
    run("sfdisk", "--quiet", disk, stdin=f'label: gpt\nsize=8MiB, type={apfs}, name="Macintosh HD"\nsize=12MiB\n')
    before = table_by_sfdisk(disk)
    cfg = [{"par": "1", "cpt": "0000", "sfi": "EXT4", "tam": str(8 << 10), "ope": "1"}, *rows((2, "LINUX", 12))]
    await configure(FileTables(), await plan_for(disk, cfg), Books())

    after = table_by_sfdisk(disk)
    assert before is not None
    assert after is not None
    assert (after[1][1].type, after[1][1].name, after[1][2]) == (apfs, "", before[1][2])
    assert after[1][1].uuid != before[1][1].uuid


def test_a_tool_that_is_missing_is_named_with_its_package() -> None:
    for each in FORMATS.values():
        with pytest.raises(FilesystemNotSupported, match=each.package) as refused:
            require_tools(["", "EMPTY", each.name], lambda _: False)
        assert each.package in refused.value.hint
    require_tools(["EMPTY", ""], lambda _: False)


@pytest.mark.parametrize(
    ("name", "found"), [("cache", "EXT4"), ("swap", "LINUX-SWAP"), ("vfat", "FAT32"), ("xfs", "XFS")]
)
def test_other_names_of_file_systems(name: str, found: str) -> None:
    known = format_of(name)
    assert known is not None
    assert known.name == found


@pytest.mark.parametrize("each", FORMATS.values(), ids=lambda each: each.name)
def test_a_label_that_is_too_long_is_none(each: object) -> None:
    assert isinstance(each, type(FORMATS["EXT4"]))
    with pytest.raises(ValueError, match="label"):
        each.argv("/dev/sda1", "x" * (each.label_length + 1))
    assert "CACHE" in each.argv("/dev/sda1", "CACHE")
