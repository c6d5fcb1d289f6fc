"""Boot sectors, and their copies, say where their partition begins."""

from __future__ import annotations

import os
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

import pytest

from ogagent.disk.device import BlockDevice
from ogagent.disk.machine import Device
from ogagent.errors import NotReady, WriteFailed
from ogagent.finish.hidden_sectors import FollowStart
from ogagent.model.plan import Target

SECTOR: Final = 512
SIZE: Final = 48 << 20
START: Final = 2048 * SECTOR
NTFS: Final = ("mkntfs", "--fast", "--force", "--quiet", "-p", "63", "-H", "16", "-S", "63", "-s", "512")
FAT32: Final = ("mkfs.vfat", "-F", "32", "-s", "1", "-S", "512", "-h", "63")

Opened = Callable[[], AbstractContextManager[Device]]


class Volume:
    """A file system in a file."""

    def __init__(self, path: Path, *command: str) -> None:
        self.path = path
        with path.open("wb") as file:
            file.truncate(SIZE)
        environment = {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
        subprocess.run([*command, str(path)], check=True, capture_output=True, env=environment)

    def read(self) -> bytes:
        return self.path.read_bytes()

    def write(self, content: bytes | bytearray) -> None:
        self.path.write_bytes(content)


def target(volume: Volume, start: int = START, sector: int = SECTOR) -> Target:
    return Target(
        disk=1,
        partition=2,
        device=str(volume.path),
        disk_device=str(volume.path),
        identity="",
        start=start,
        size=SIZE,
        sector_size=sector,
    )


def opened(volume: Volume) -> Opened:
    def device() -> BlockDevice:
        fd, size = os.open(volume.path, os.O_RDWR | os.O_CLOEXEC), volume.path.stat().st_size
        return BlockDevice(fd, base=0, size=size, sector_size=SECTOR, name=str(volume.path))

    return device


@pytest.fixture
def ntfs(tmp_path: Path) -> Volume:
    return Volume(tmp_path / "ntfs", *NTFS)


@pytest.fixture
def fat32(tmp_path: Path) -> Volume:
    return Volume(tmp_path / "fat32", *FAT32)


def hidden(content: bytes, at: int = 0) -> int:
    return int(struct.unpack_from("<I", content, at + 28)[0])


def changed(before: bytes, after: bytes) -> list[int]:
    """The sectors that differ."""
    return [at for at in range(0, SIZE, SECTOR) if before[at : at + SECTOR] != after[at : at + SECTOR]]


async def finish(step: FollowStart) -> None:
    assert await step.needed()
    await step.do()
    await step.proof()
    assert not await step.needed()


def check(before: bytes, after: bytes, places: list[int]) -> None:
    """The field of these sectors, and not a byte more."""
    assert changed(before, after) == places
    assert [hidden(before, at) for at in places] == [63] * len(places)
    assert [hidden(after, at) for at in places] == [2048] * len(places)
    restored = bytearray(after)
    for at in places:
        restored[at + 28 : at + 32] = before[at + 28 : at + 32]
    assert restored == before


async def test_ntfs(ntfs: Volume) -> None:
    before = ntfs.read()
    step = FollowStart(target(ntfs), opened(ntfs))
    await finish(step)
    check(before, ntfs.read(), [0, SIZE - SECTOR])
    assert (step.name, step.would) == ("hidden sectors", "the boot sector knows that 2048 sectors lie before it")


async def test_fat32(fat32: Volume) -> None:
    before = fat32.read()
    await finish(FollowStart(target(fat32), opened(fat32)))
    check(before, fat32.read(), [0, 6 * SECTOR])


async def test_a_fat32_with_its_copy_elsewhere(tmp_path: Path) -> None:
    fat32 = Volume(tmp_path / "fat32", *FAT32, "-b", "12")
    before = fat32.read()
    await finish(FollowStart(target(fat32), opened(fat32)))
    check(before, fat32.read(), [0, 12 * SECTOR])


async def test_a_fat32_that_is_mounted_has_a_copy_all_the_same(fat32: Volume) -> None:
    """Linux notes it in the boot sector alone, ``fat_set_state``."""
    content = bytearray(fat32.read())
    content[65] |= 1
    fat32.write(content)
    await finish(FollowStart(target(fat32), opened(fat32)))
    check(bytes(content), fat32.read(), [0, 6 * SECTOR])


async def test_a_volume_that_does_not_fill_its_partition(ntfs: Volume) -> None:
    """Its copy is where the volume ends, and what another one has left at the partition's end is not its own."""
    content, sectors = bytearray(ntfs.read()), SIZE // SECTOR - 2049
    struct.pack_into("<Q", content, 40, sectors)
    content[sectors * SECTOR : sectors * SECTOR + SECTOR] = content[:SECTOR]
    ntfs.write(content)
    await finish(FollowStart(target(ntfs), opened(ntfs)))
    check(bytes(content), ntfs.read(), [0, sectors * SECTOR])


async def test_a_volume_that_counts_whole_clusters(ntfs: Volume) -> None:
    """As ntfsresize makes it: its copy is at the partition's end, some sectors behind the last one it counts."""
    content = bytearray(ntfs.read())
    for at in (0, SIZE - SECTOR):
        struct.pack_into("<Q", content, at + 40, SIZE // SECTOR - 4)
    ntfs.write(content)
    await finish(FollowStart(target(ntfs), opened(ntfs)))
    check(bytes(content), ntfs.read(), [0, SIZE - SECTOR])


async def test_a_volume_without_a_copy(ntfs: Volume) -> None:
    content = bytearray(ntfs.read())
    content[-SECTOR:] = bytes(SECTOR)
    ntfs.write(content)
    await finish(FollowStart(target(ntfs), opened(ntfs)))
    check(bytes(content), ntfs.read(), [0])


async def test_a_copy_that_is_wrong_is_enough(ntfs: Volume) -> None:
    step = FollowStart(target(ntfs), opened(ntfs))
    await finish(step)
    content = bytearray(ntfs.read())
    struct.pack_into("<I", content, SIZE - SECTOR + 28, 63)
    ntfs.write(content)
    with pytest.raises(NotReady, match=f"the boot sector at byte {SIZE - SECTOR} does not hold"):
        await step.proof()
    await finish(step)


async def test_a_table_that_names_no_copy(fat32: Volume) -> None:
    for number in (0, 0xFFFF):
        content = bytearray(fat32.read())
        struct.pack_into("<I", content, 28, 63)
        struct.pack_into("<H", content, 50, number)
        fat32.write(content)
        await finish(FollowStart(target(fat32), opened(fat32)))
        check(bytes(content), fat32.read(), [0])


@pytest.mark.parametrize("start", [0, 63 * SECTOR, 0xFFFFFFFF * SECTOR])
async def test_what_a_boot_sector_can_say(ntfs: Volume, start: int) -> None:
    step = FollowStart(target(ntfs, start), opened(ntfs))
    if await step.needed():
        await step.do()
    await step.proof()
    assert hidden(ntfs.read()) == start // SECTOR


@pytest.mark.parametrize("start", [1 << 41, START + 1])
async def test_what_it_cannot(ntfs: Volume, start: int) -> None:
    before = ntfs.read()
    step = FollowStart(target(ntfs, start), opened(ntfs))
    for ask in (step.needed, step.do, step.proof):
        with pytest.raises(NotReady, match=f"begins at byte {start}, which no boot sector can say"):
            await ask()
    assert ntfs.read() == before


async def test_sectors_of_another_size(ntfs: Volume) -> None:
    with pytest.raises(NotReady, match="has no sectors of 4096 bytes"):
        await FollowStart(target(ntfs, sector=4096), opened(ntfs)).needed()


@pytest.mark.parametrize(("at", "byte"), [(3, b"M"), (510, b"\0")])
async def test_another_file_system(ntfs: Volume, at: int, byte: bytes) -> None:
    content = bytearray(ntfs.read())
    content[at : at + 1] = byte
    ntfs.write(content)
    with pytest.raises(NotReady, match="partition 2 of disk 1 holds neither NTFS nor FAT32"):
        await FollowStart(target(ntfs), opened(ntfs)).do()
    assert ntfs.read() == content


async def test_a_partition_that_is_shorter_than_its_volume(ntfs: Volume) -> None:
    content = ntfs.read()[: SIZE // 2]
    ntfs.write(content)
    await finish(FollowStart(target(ntfs), opened(ntfs)))
    assert hidden(ntfs.read()) == 2048
    assert len(ntfs.read()) == len(content)


class Failing:
    """Refuses the write of number ``last``, and all after it."""

    def __init__(self, device: BlockDevice, last: int) -> None:
        self._device = device
        self._left = last

    @property
    def size(self) -> int:
        return self._device.size

    def write(self, offset: int, data: memoryview) -> None:
        if not self._left:
            raise WriteFailed("no more")
        self._left -= 1
        self._device.write(offset, data)

    def zero(self, offset: int, length: int) -> None:
        self._device.zero(offset, length)

    def flush(self) -> None:
        self._device.flush()

    def read_back(self, offset: int, into: memoryview) -> None:
        self._device.read_back(offset, into)


@pytest.mark.parametrize("last", [0, 1])
async def test_interrupted_in_between_it_is_begun_again(ntfs: Volume, last: int) -> None:
    @contextmanager
    def failing() -> Iterator[Device]:
        fd = os.open(ntfs.path, os.O_RDWR | os.O_CLOEXEC)
        with BlockDevice(fd, base=0, size=SIZE, sector_size=SECTOR, name="x") as device:
            yield Failing(device, last)

    before = ntfs.read()
    with pytest.raises(WriteFailed):
        await FollowStart(target(ntfs), failing).do()
    assert len(changed(before, ntfs.read())) == last
    await finish(FollowStart(target(ntfs), opened(ntfs)))
    check(before, ntfs.read(), [0, SIZE - SECTOR])
