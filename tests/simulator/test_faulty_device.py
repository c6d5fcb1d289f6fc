"""A disk that fails and lies on demand, around a device that is a file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ogagent.disk.device import BlockDevice
from ogagent.errors import WriteFailed
from simulator.faults import Fault, parse_fault
from simulator.machine.faulty_device import FaultyDevice

SIZE = 1 << 20
OLD = b"\xaa" * SIZE


class Disk:
    def __init__(self, path: Path) -> None:
        path.write_bytes(OLD)
        self.path = path
        self.faults: tuple[Fault, ...] = ()
        block = BlockDevice(os.open(path, os.O_RDWR), base=0, size=SIZE, sector_size=512, name="sda2")
        self.close = block.close
        self.device = FaultyDevice(block, "sda2", lambda: self.faults)

    def has(self, *faults: str) -> None:
        self.faults = tuple(parse_fault(text) for text in faults)

    def write(self, offset: int, data: bytes) -> None:
        self.device.write(offset, memoryview(data))

    def read(self, offset: int, length: int) -> bytes:
        into = bytearray(length)
        self.device.read_back(offset, memoryview(into))
        return bytes(into)

    @property
    def stored(self) -> bytes:
        return self.path.read_bytes()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(tmp_path / "disk")
    yield disk
    disk.close()


def test_without_a_fault(disk: Disk) -> None:
    disk.write(4096, b"new")
    disk.device.zero(0, 4096)
    disk.device.flush()
    assert disk.read(4095, 5) == b"\0new\xaa"
    assert disk.device.size == SIZE


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("disk:full@8KiB", r"at offset 4096 failed: No space left on device \(ENOSPC\)"),
        ("disk:eio@50%", "EIO"),
        ("disk:readonly", "EROFS"),
        ("disk:gone@8000", "ENODEV"),
    ],
)
def test_a_write_that_fails(disk: Disk, fault: str, told: str) -> None:
    disk.has(fault)
    if "readonly" not in fault:
        disk.write(0, bytes(4096))
    offset = SIZE // 2 if "50%" in fault else 4096
    with pytest.raises(WriteFailed, match=told):
        disk.write(offset, b"x" * 5000)
    assert disk.stored[4096:] == OLD[4096:]


def test_a_disk_that_is_gone_stays_away(disk: Disk) -> None:
    disk.has("disk:gone@0")
    with pytest.raises(WriteFailed):
        disk.write(0, b"x")
    disk.has()
    for act in (disk.device.flush, lambda: disk.write(9, b"x"), lambda: disk.read(0, 1)):
        with pytest.raises(WriteFailed, match="ENODEV"):
            act()


def test_only_the_second_time(disk: Disk) -> None:
    disk.has("disk:eio@4=2", "disk:flush=2")
    disk.write(0, b"first")
    disk.write(5, b"elsewhere")
    with pytest.raises(WriteFailed, match="EIO"):
        disk.write(0, b"second")
    disk.write(0, b"third")
    disk.device.flush()
    with pytest.raises(WriteFailed, match="flushing"):
        disk.device.flush()
    disk.device.flush()


@pytest.mark.parametrize(
    ("fault", "stored"), [("flip@2", b"nev"), ("lost@2", b"\xaa" * 3), ("torn@2", b"ne\xaa"), ("flip@3", b"new")]
)
def test_a_write_that_lies(disk: Disk, fault: str, stored: bytes) -> None:
    disk.has(f"disk:{fault}")
    disk.write(0, b"new")
    assert disk.stored[:3] == stored
    assert disk.stored[3:] == OLD[3:]


def test_a_read_that_fails_or_lies(disk: Disk) -> None:
    disk.has("disk:unreadable@10")
    assert disk.read(0, 10) == OLD[:10]
    with pytest.raises(WriteFailed, match=r"reading back sda2 at offset 8 failed: .* \(EIO\)"):
        disk.read(8, 4)
    disk.has("disk:misread@10=2")
    assert [disk.read(9, 2) for _ in range(3)] == [OLD[:2], b"\xaa\xab", OLD[:2]]


def test_what_was_asked_for_is_counted(disk: Disk) -> None:
    """Zeros as well; on a medium that takes its time the head moves as often as places do not follow each other."""
    for kind, seeks in (("ssd", 2), ("hdd", 4)):
        disk.has(f"disk:medium={kind}")
        disk.write(0, b"new")
        disk.device.zero(3, 5)
        disk.read(8, 10)
        disk.device.flush()
        assert disk.read(100, 4) == OLD[:4]
        disk.write(0, b"n")
        assert (disk.device.seeks, disk.stored[:9]) == (seeks, b"new\0\0\0\0\0\xaa")
    assert (disk.device.written, disk.device.read) == (18, 28)


def test_a_fault_of_the_repository_is_none_of_the_disk(disk: Disk) -> None:
    disk.has("repository:down")
    disk.write(0, b"new")
    assert disk.read(0, 3) == b"new"
