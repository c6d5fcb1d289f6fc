"""A classroom PC whose disk is a file, as the agent sees it."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from ogagent.errors import CacheError, DeviceBusy, DiskChanged, PartitionOverlaps, WriteFailed
from ogagent.model.disk import UNREADABLE, Disk
from ogagent.model.plan import Target, bound
from simulator.machine.classroom import CACHE, DISK_SIZE, SYSTEM, make_disk
from simulator.machine.file_cache import FileCache
from simulator.machine.file_machine import FileMachine
from simulator.machine.gpt import Entry, write_table
from simulator.proof import digest_of_neighbours
from simulator.tree import MIB


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("disk") / "disk.raw"
    make_disk(path)
    return path


@pytest.fixture
def disk(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(original, tmp_path / "disk.raw"))


def digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


def remove(path: Path) -> None:
    path.unlink()


async def only_disk(path: Path) -> Disk:
    (disk,) = (await FileMachine([path]).inventory()).disks
    return disk


async def system_of(path: Path) -> Target:
    disk = await only_disk(path)
    part = disk.partitions[1]
    return Target(
        disk=1,
        partition=part.partition,
        device=part.device,
        disk_device=disk.device,
        identity=disk.identity,
        start=part.start,
        size=part.size,
        sector_size=disk.sector_size,
    )


async def test_inventory(disk: Path) -> None:
    found = await only_disk(disk)
    assert (found.disk, found.device, found.table) == (1, str(disk), "gpt")
    assert (found.size, found.sector_size) == (DISK_SIZE, 512)
    assert found.identity == f"file:{disk};size:{DISK_SIZE}"
    assert [part.partition for part in found.partitions] == [1, 2, 3, 4]
    assert [part.code for part in found.partitions] == ["EF00", "8300", "8300", "CA00"]
    assert [part.name for part in found.partitions] == ["EFI", "Linux", "Datos", "CACHE"]
    assert [part.cache for part in found.partitions] == [False, False, False, True]
    assert not any(part.mounted or part.incomplete for part in found.partitions)


async def test_what_the_partitions_hold(disk: Path) -> None:
    _, system, data, cache = (await only_disk(disk)).partitions
    assert (system.device, system.start, system.size) == (f"{disk}#2", SYSTEM.start, SYSTEM.size)
    assert (system.filesystem, system.label, system.os) == ("ext4", "ANTIGUO", "Sistema antiguo 1")
    assert system.used is not None
    assert 0 < system.used < 50
    assert (data.filesystem, data.used) == ("", None)
    assert (cache.filesystem, cache.label, cache.size) == ("ext4", "CACHE", CACHE.size)


async def test_disks_are_numbered_as_they_are_given(disk: Path, tmp_path: Path) -> None:
    blank = tmp_path / "blank"
    blank.write_bytes(bytes(MIB))
    first, second = (await FileMachine([blank, disk]).inventory()).disks
    assert (first.disk, first.table, first.partitions, first.problem) == (1, None, (), "")
    assert (second.disk, second.device) == (2, str(disk))


async def test_writing_stays_inside_the_partition(disk: Path) -> None:
    target = await system_of(disk)
    before = digest_of_neighbours(disk, SYSTEM)
    with FileMachine([disk]).open_target(target) as device:
        assert device.size == SYSTEM.size
        device.write(0, memoryview(b"first"))
        device.write(SYSTEM.size - 4, memoryview(b"last"))
        with pytest.raises(WriteFailed):
            device.write(SYSTEM.size - 3, memoryview(b"last"))
        device.flush()
        read = bytearray(5)
        device.read_back(0, memoryview(read))
    assert read == b"first"
    assert digest_of_neighbours(disk, SYSTEM) == before
    with disk.open("rb") as file:
        file.seek(SYSTEM.start + SYSTEM.size - 4)
        assert file.read(4) == b"last"


async def test_only_one_may_write(disk: Path) -> None:
    target = await system_of(disk)
    machine = FileMachine([disk])
    with machine.open_target(target), pytest.raises(DeviceBusy), FileMachine([disk]).open_target(target):
        pass
    with machine.open_target(target):
        pass


async def test_another_partition_of_the_disk_may_be_written_meanwhile(disk: Path) -> None:
    cache = bound(await only_disk(disk), (await only_disk(disk)).partitions[3])
    with FileMachine([disk]).open_target(await system_of(disk)), FileMachine([disk]).open_target(cache) as other:
        assert other.size == cache.size


async def test_another_disk_is_not_written_to(disk: Path) -> None:
    target = await system_of(disk)
    machine = FileMachine([disk])
    with disk.open("ab") as file:
        file.write(bytes(MIB))
    before = digest(disk)
    with pytest.raises(DiskChanged), machine.open_target(target):
        pass
    assert digest(disk) == before


async def test_a_partition_that_has_moved_is_not_written_to(disk: Path) -> None:
    target = await system_of(disk)
    moved = Entry(number=2, start=SYSTEM.start + MIB, size=SYSTEM.size - MIB, type=SYSTEM.type)
    with disk.open("r+b") as file:
        write_table(file, DISK_SIZE, (moved,))
    with pytest.raises(DiskChanged), FileMachine([disk]).open_target(target):
        pass


async def test_a_disk_that_is_gone(disk: Path) -> None:
    target = await system_of(disk)
    remove(disk)
    with pytest.raises(DiskChanged), FileMachine([disk]).open_target(target):
        pass


async def test_a_disk_that_is_no_file_is_still_listed(disk: Path, tmp_path: Path) -> None:
    first, second = (await FileMachine([tmp_path / "none", disk]).inventory()).disks
    assert (first.disk, first.size, first.table) == (1, 0, None)
    assert first.problem == f"{UNREADABLE}: No such file or directory"
    assert (second.disk, second.problem, len(second.partitions)) == (2, "", 4)


async def test_a_partition_that_shares_bytes_with_another_is_shown_and_not_opened(disk: Path) -> None:
    target = await system_of(disk)
    beside = Entry(number=7, start=SYSTEM.start + SYSTEM.size - 512, size=4096, type=SYSTEM.type, name="CACHE")
    with disk.open("r+b") as file:
        write_table(file, DISK_SIZE, (SYSTEM, beside))
    assert [(part.partition, part.problem) for part in (await only_disk(disk)).partitions] == [
        (2, "it shares bytes with partition 7, the CACHE"),
        (7, "it shares bytes with partition 2"),
    ]
    before = digest(disk)
    with pytest.raises(PartitionOverlaps), FileMachine([disk]).open_target(target):
        pass
    assert digest(disk) == before


async def test_a_cache_with_a_problem_is_not_used(disk: Path) -> None:
    found = await only_disk(disk)
    cache = bound(found, replace(found.partitions[3], problem="it shares bytes with partition 2"))
    with pytest.raises(CacheError, match="shares bytes"):
        async with FileCache().mounted(cache):
            pass
