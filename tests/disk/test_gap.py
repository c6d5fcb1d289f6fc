"""The record of a disk: where it is believed, and how it goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
from msgspec.structs import replace

from ogagent.disk.gap import GAP, erase_record, record_in_gap
from ogagent.disk.record import decode, disk_mark, encode, record_of
from ogagent.errors import DiskChanged, ReadBackDiffers
from ogagent.model.disk import UNREADABLE, Disk, Partition
from simulator.faults import parse_fault
from simulator.machine.file_machine import FileMachine

MIB: Final = 1 << 20
SIZE: Final = 8 * MIB
JOB_ID: Final = "Configurar-dfa42888"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = (tmp_path / "disk").resolve()
    path.write_bytes(b"\x55" * SIZE)
    return path


def disk_of(path: Path, *partitions: Partition, **members: Any) -> Disk:
    return Disk(
        disk=1, device=str(path), identity=f"file:{path};size:{SIZE}", model="", size=SIZE, sector_size=512,
        table="gpt", partitions=partitions, **members,
    )  # fmt: skip


def page_of(path: Path, **changes: Any) -> bytes:
    page = record_of(f"file:{path};size:{SIZE}", SIZE, {"dsk": "1"}, job_id=JOB_ID, started="")
    record = decode(page)
    assert record is not None
    return encode(replace(record, **changes))


def lay(path: Path, page: bytes) -> bytes:
    with path.open("r+b") as file:
        file.seek(GAP.start)
        file.write(page)
    return path.read_bytes()


def part(start: int, filesystem: str) -> Partition:
    return Partition(partition=1, device="", start=start, size=2 * MIB, code="8300", filesystem=filesystem)


def test_whose_job_it_was(path: Path) -> None:
    assert record_in_gap(disk_of(path)) is None
    lay(path, page_of(path))
    for known in (
        disk_of(path), disk_of(path, part(MIB, "ext4")), disk_of(path, part(63 * 512, "")),
        disk_of(path, problem="it holds something that is not known here, and no partitions"),
    ):  # fmt: skip
        record = record_in_gap(known)
        assert record is not None
        assert record.job_id == JOB_ID


def test_what_is_not_said_of_this_disk(path: Path) -> None:
    for page in (page_of(path, disk=disk_mark("another")), page_of(path, size=SIZE - 512), page_of(path)[:100]):
        lay(path, page.ljust(GAP.end - GAP.start, b"\0"))
        assert record_in_gap(disk_of(path)) is None
    lay(path, page_of(path))
    assert record_in_gap(disk_of(path, part(63 * 512, "ext4"))) is None, "anybody who has a file there can make one up"
    assert record_in_gap(replace(disk_of(path), problem=f"{UNREADABLE}: it does not answer")) is None


def test_it_goes_and_nothing_else(path: Path) -> None:
    before = lay(path, page_of(path))
    with FileMachine([path]).open_gap(disk_of(path)) as gap:
        erase_record(gap, "Configurar-00000002")
        assert path.read_bytes() == before, "that of another job stays"
        erase_record(gap, JOB_ID)
        erase_record(gap, JOB_ID)
    after = bytearray(before)
    after[GAP.start : GAP.end] = bytes(GAP.end - GAP.start)
    assert path.read_bytes() == bytes(after)


def test_a_disk_that_lies(path: Path) -> None:
    lay(path, page_of(path))
    machine = FileMachine([path], lambda: (parse_fault("disk:lost@0"),))
    with pytest.raises(ReadBackDiffers), machine.open_gap(disk_of(path)) as gap:
        erase_record(gap, JOB_ID)


def test_another_disk(path: Path) -> None:
    before = lay(path, page_of(path))
    with pytest.raises(DiskChanged), FileMachine([path]).open_gap(replace(disk_of(path), identity="another")):
        pass
    assert path.read_bytes() == before
