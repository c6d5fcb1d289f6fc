"""The real machine on a loop disk: what it opens is what the job was bound to, or nothing is opened."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from msgspec import Struct
from msgspec.structs import replace

from ogagent.disk.real import RealMachine
from ogagent.errors import AgentError, DeviceBusy, DiskChanged, FilesystemMismatch
from ogagent.model.plan import Target
from ogagent.restore.job import restore
from ogagent.restore.progress import Progress
from ogagent.restore.request import RestorePlan, RestoreRequest
from ogagent.source.source import SourcePolicy
from ogagent.system.tls import client_context
from tests.block_devices import block_devices, forget_partitions
from tests.mounts import unmount

_TOOLS: Final = ("losetup", "partx", "sfdisk", "mkfs.ext4", "e2fsck", "debugfs", "mount", "partclone.ext4")
_MISSING: Final = [tool for tool in _TOOLS if shutil.which(tool) is None]

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="loop devices need root"),
    pytest.mark.skipif(bool(_MISSING), reason=f"not installed: {', '.join(_MISSING)}"),
]

MIB: Final = 1 << 20
START: Final = 9 * MIB
SIZE: Final = 8 * MIB
TABLE: Final = "label: gpt\nstart=1MiB, size=8MiB, type=linux\nstart={start}MiB, size={size}MiB, type=linux\n"
PAYLOAD: Final = random.Random(4).randbytes(3 * MIB)


def run(*command: str | Path, data: bytes | None = None) -> bytes:
    done = subprocess.run([str(each) for each in command], input=data, capture_output=True, timeout=300, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr.decode(errors='replace')}"
    return done.stdout


class LoopDisk(Struct, frozen=True):
    file: Path
    device: str

    def partition(self, start: int, size: int) -> None:
        """In MiB, for the second one. The kernel is told by hand: it does not scan loop devices by itself."""
        self.forget()
        table = TABLE.format(start=start, size=size).encode()
        run("sfdisk", "-q", "--wipe", "always", "--no-reread", "--no-tell-kernel", self.device, data=table)
        run("partx", "-a", self.device)

    def forget(self) -> None:
        forget_partitions(self.device)

    def content(self) -> bytes:
        return self.file.read_bytes()

    async def target(self) -> Target:
        """The second partition, as a plan has it."""
        (disk,) = (await RealMachine([self.device], block_devices(self.device)).inventory()).disks
        part = disk.partitions[1]
        return Target(
            disk=disk.disk,
            partition=part.partition,
            device=part.device,
            disk_device=disk.device,
            identity=disk.identity,
            start=part.start,
            size=part.size,
            sector_size=disk.sector_size,
        )


@pytest.fixture(params=[512])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LoopDisk]:
    file = tmp_path / "disk"
    file.write_bytes(random.Random(3).randbytes(24 * MIB))
    device = run("losetup", "--show", "-b", str(request.param), "-f", file).decode().strip()
    disk = LoopDisk(file, device)
    try:
        disk.partition(START // MIB, SIZE // MIB)
        yield disk
    finally:
        disk.forget()
        run("losetup", "-d", device)


@pytest.fixture
def machine() -> RealMachine:
    return RealMachine([], [])


def assert_refused(machine: RealMachine, target: Target, disk: LoopDisk, kind: type[AgentError], number: int) -> None:
    before = disk.content()
    with pytest.raises(kind) as failure, machine.open_target(target) as device:
        device.zero(0, MIB)
    assert failure.value.number == number
    assert target.device in failure.value.message
    assert disk.content() == before


@pytest.mark.parametrize("disk", [512, 4096], indirect=True)
async def test_what_is_written_lies_inside_the_partition(disk: LoopDisk, machine: RealMachine) -> None:
    target = await disk.target()
    assert (target.start, target.size) == (START, SIZE)
    before = disk.content()
    written = random.Random(6).randbytes(SIZE)
    with machine.open_target(target) as device:
        assert device.size == SIZE
        device.write(0, memoryview(written))
        device.flush()
        found = bytearray(5 * MIB - 1000)
        device.read_back(1000, memoryview(found))
        assert found == written[1000 : 5 * MIB]
    assert disk.content() == before[:START] + written + before[START + SIZE :]


# --- not what the job was bound to --------------------------------------------------------------------------------


async def test_a_disk_with_another_identity(disk: LoopDisk, machine: RealMachine) -> None:
    target = replace(await disk.target(), identity="serial:S3Z8NB0K;size:25165824")
    assert_refused(machine, target, disk, DiskChanged, 92)


async def test_another_disk_under_the_same_name(disk: LoopDisk, machine: RealMachine) -> None:
    """One with another size. The name is not let go meanwhile: whoever looks for a free one might take it."""
    target = await disk.target()
    disk.forget()
    disk.file.write_bytes(random.Random(9).randbytes(25 * MIB))
    run("losetup", "--set-capacity", disk.device)
    disk.partition(START // MIB, SIZE // MIB)
    assert (await disk.target()).start == target.start
    assert_refused(machine, target, disk, DiskChanged, 92)


@pytest.mark.parametrize(("start", "size"), [(10, 8), (9, 9), (9, 7)])
async def test_a_partition_that_has_moved(disk: LoopDisk, machine: RealMachine, start: int, size: int) -> None:
    target = await disk.target()
    disk.partition(start, size)
    assert_refused(machine, target, disk, DiskChanged, 92)


async def test_a_partition_that_has_gone(disk: LoopDisk, machine: RealMachine) -> None:
    target = await disk.target()
    await asyncio.to_thread(run, "partx", "-d", "--nr", "2", disk.device)
    assert_refused(machine, target, disk, DiskChanged, 92)


async def test_a_disk_whose_partitions_the_kernel_does_not_know(disk: LoopDisk, machine: RealMachine) -> None:
    target = await disk.target()
    disk.forget()
    opened = machine.open_target(target)
    assert (await asyncio.to_thread(opened.__enter__)).size == target.size
    await asyncio.to_thread(opened.__exit__, None, None, None)
    await asyncio.to_thread(run, "sfdisk", "-q", "--no-reread", "--no-tell-kernel", "--delete", disk.device, "2")
    await asyncio.to_thread(assert_refused, machine, target, disk, DiskChanged, 92)


async def test_the_whole_disk_is_no_partition(disk: LoopDisk, machine: RealMachine) -> None:
    target = replace(await disk.target(), device=disk.device)
    disk.forget()  # otherwise the disk could not be opened for its partitions' sake
    assert_refused(machine, target, disk, DiskChanged, 92)


async def test_a_partition_that_was_mounted_meanwhile(disk: LoopDisk, machine: RealMachine, tmp_path: Path) -> None:
    target = await disk.target()
    run("mkfs.ext4", "-q", "-F", target.device)
    mount_point = tmp_path / "mounted"
    mount_point.mkdir()
    run("mount", "-o", "ro", target.device, mount_point)
    try:
        assert_refused(machine, target, disk, DeviceBusy, 3)
    finally:
        unmount(mount_point)


async def test_a_partition_is_opened_once(disk: LoopDisk, machine: RealMachine) -> None:
    target = await disk.target()
    with machine.open_target(target):
        assert_refused(machine, target, disk, DeviceBusy, 3)
    with machine.open_target(target):
        pass


# --- a whole restore ----------------------------------------------------------------------------------------------


def make_image(folder: Path, block_size: int) -> Path:
    (folder / "tree").mkdir()
    (folder / "tree/payload").write_bytes(PAYLOAD)
    run("mkfs.ext4", "-q", "-b", str(block_size), "-d", folder / "tree", folder / "filesystem", f"{SIZE // MIB}M")
    image = folder / "image-test.img"
    run("partclone.ext4", "-c", "-F", "-L", folder / "log", "-s", folder / "filesystem", "-o", image)
    return image


async def restored(image: Path, target: Target, machine: RealMachine) -> None:
    request = RestoreRequest(dsk=target.disk, par=target.partition, idi="i", nci="image-test", ipr="repository")
    policy = SourcePolicy(tls=client_context("", ""), networks=(), stall_timeout_s=10, retry_for_s=0)
    plan = RestorePlan(request=request, target=target, source=image.as_uri())
    async with asyncio.timeout(300):
        await restore(plan, machine, policy, Progress())


@pytest.mark.parametrize("disk", [512, 4096], indirect=True)
async def test_a_restored_file_system_is_whole(disk: LoopDisk, machine: RealMachine, tmp_path: Path) -> None:
    target = await disk.target()
    before = disk.content()
    await restored(make_image(tmp_path, 4096), target, machine)
    run("e2fsck", "-f", "-n", target.device)
    assert run("debugfs", "-R", "cat /payload", target.device) == PAYLOAD
    after = disk.content()
    assert after[:START] == before[:START]
    assert after[START + SIZE :] == before[START + SIZE :]


@pytest.mark.parametrize("disk", [4096], indirect=True)
async def test_blocks_smaller_than_a_sector_are_refused(disk: LoopDisk, machine: RealMachine, tmp_path: Path) -> None:
    before = disk.content()
    with pytest.raises(FilesystemMismatch) as failure:
        await restored(make_image(tmp_path, 1024), await disk.target(), machine)
    assert failure.value.number == 20
    assert disk.content() == before
