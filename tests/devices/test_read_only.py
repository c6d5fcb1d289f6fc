"""Partitions that are looked into: not a byte of them changes, whatever state they are in, and nothing stays."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

from ogagent.disk.occupancy import block_device_number
from ogagent.errors import DeviceBusy, DiskChanged, FilesystemNotSupported, PartitionNotReadable
from ogagent.model.filesystem import Driver
from ogagent.system.mounts import _mounted, read_only
from ogagent.system.tree import Tree
from tests.devices.conftest import LoopDisk, Mount
from tests.mounts import unmount

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="loop devices need root")

MIB: Final = 1 << 20
FAR_S: Final = 300
_BTRFS_LOG: Final = slice(0x10060, 0x10068)
"""log_root of the superblock."""
MAKE: Final = {
    "ext2": (32, ("mke2fs", "-q", "-t", "ext2")),
    "ext3": (32, ("mke2fs", "-q", "-t", "ext3")),
    "ext4": (32, ("mke2fs", "-q", "-t", "ext4")),
    "xfs": (320, ("mkfs.xfs", "-q")),
    "btrfs": (128, ("mkfs.btrfs", "-q")),
}

Tool = Callable[..., str]


def digest(device: str) -> str:
    """Of what is on the medium, not of what the kernel remembers of it."""
    subprocess.run(["blockdev", "--flushbufs", device], check=True)
    with open(device, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read(root: int, path: str) -> bytes | None:
    return Tree(root).read(path, MIB)


def traces(device: str, folder: Path) -> list[str]:
    """Mounts of the device and below the folder, and loop devices over the device."""
    mounts = [line for line in Path("/proc/self/mounts").read_text().splitlines() if str(folder) in line]
    loops = [device for path in Path("/sys/block").glob("loop*/loop/backing_file") if backed_by(path, device)]
    return [*mounts, *loops, *(str(path) for path in folder.glob("partition-*"))]


def backed_by(loop: Path, device: str) -> bool:
    """One of somebody else may be gone by now."""
    with suppress(OSError):
        return loop.read_text().strip() == device
    return False


async def nothing_stays(device: str, folder: Path) -> None:
    """A loop device that was let go ends a moment later."""
    end = time.monotonic() + FAR_S
    while left := traces(device, folder):
        assert time.monotonic() < end, left
        await asyncio.sleep(0.05)


@contextmanager
def mounted(device: str, folder: Path) -> Iterator[None]:
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", device, folder], check=True)
    try:
        yield
    finally:
        unmount(folder)
        free(device)


def free(device: str) -> None:
    """Who has made a copy of the mounts for itself, or looks at each, holds the file system a little longer."""
    end = time.monotonic() + FAR_S
    while True:
        try:
            os.close(os.open(device, os.O_RDONLY | os.O_EXCL))
        except OSError:
            assert time.monotonic() < end, f"{device} is in use"
            time.sleep(0.05)
        else:
            return


def write(path: Path, text: str) -> None:
    """And have it on the disk, in the journal at least."""
    with path.open("a", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def fill(device: str, folder: Path) -> None:
    with mounted(device, folder):
        write(folder / "file", "content")


def leave_dirty(device: str, kind: str, folder: Path) -> None:
    """As a power cut leaves it: what the device holds while it is mounted."""
    fill(device, folder)
    with mounted(device, folder):
        for number in range(20):
            write(folder / f"file{number}", "more")
        if kind == "xfs":  # no more of its log is laid down after this
            subprocess.run(["xfs_io", "-x", "-c", "shutdown -f", folder], check=True)
        copy = Path(device).read_bytes()
        end = time.monotonic() + FAR_S
        while kind == "btrfs" and copy[_BTRFS_LOG] == bytes(8):  # somebody's sync(2) has committed it
            assert time.monotonic() < end
            write(folder / "file0", "more")
            copy = Path(device).read_bytes()
    Path(device).write_bytes(copy)


def is_dirty(tool: Tool, device: str, kind: str) -> bool:
    if kind == "ext4":
        return "needs_recovery" in tool("dumpe2fs", "-h", device)
    if kind == "xfs":
        log = subprocess.run(["xfs_logprint", "-t", device], check=False, capture_output=True, text=True)
        return "<DIRTY>" in log.stdout
    lines = [line.split() for line in tool("btrfs", "inspect-internal", "dump-super", device).splitlines()]
    return ["log_root", "0"] not in lines


def break_directory(device: str, tool: Tool) -> None:
    tool("debugfs", "-w", "-R", "mkdir folder", device)
    block = int(tool("debugfs", "-R", "blocks folder", device).split()[0])
    with open(device, "r+b") as file:
        file.seek(block * 4096)
        file.write(b"\xff" * 64)


@pytest.mark.parametrize("kind", MAKE)
async def test_a_clean_partition_stays_as_it_is(kind: str, loop_disk: LoopDisk, tool: Tool, tmp_path: Path) -> None:
    size, command = MAKE[kind]
    device = loop_disk(size * MIB)
    tool(*command, device)
    fill(device, tmp_path / "mnt")
    before = digest(device)
    async with read_only(device, kind, tmp_path) as root:
        assert Tree(root).read("file", MIB) == b"content"
        with pytest.raises(OSError, match="Read-only file system"):
            os.open("new", os.O_CREAT | os.O_WRONLY, dir_fd=root)
        assert traces(device, tmp_path) == [device]
    assert digest(device) == before
    await nothing_stays(device, tmp_path)


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs"])
async def test_a_journal_is_not_played_back(kind: str, loop_disk: LoopDisk, tool: Tool, tmp_path: Path) -> None:
    size, command = MAKE[kind]
    device = loop_disk(size * MIB)
    tool(*command, device)
    leave_dirty(device, kind, tmp_path / "mnt")
    assert is_dirty(tool, device, kind)
    before = digest(device)
    async with read_only(device, kind, tmp_path) as root:
        assert Tree(root).read("file", MIB) == b"content"
    assert digest(device) == before
    assert is_dirty(tool, device, kind)


async def test_ntfs_stays_as_it_is(loop_disk: LoopDisk, tool: Tool, tmp_path: Path) -> None:
    device = loop_disk(32 * MIB)
    tool("mkfs.ntfs", "-q", "-f", "-F", device)
    tool("ntfscp", "-q", device, __file__, "file")
    before = digest(device)
    async with read_only(device, "ntfs", tmp_path) as root:
        assert Tree(root).names(".") == ["file"]
        assert traces(device, tmp_path) == [device]
    assert digest(device) == before
    await nothing_stays(device, tmp_path)


async def test_an_error_that_is_found_is_not_written_down(loop_disk: LoopDisk, tool: Tool, tmp_path: Path) -> None:
    device = loop_disk(32 * MIB)
    tool("mke2fs", "-q", "-t", "ext4", "-b", "4096", "-O", "metadata_csum", device)
    break_directory(device, tool)
    before = digest(device)
    async with read_only(device, "ext4", tmp_path) as root:
        with pytest.raises(OSError):  # noqa: PT011 - EUCLEAN or EBADMSG
            Tree(root).names("folder")
    assert digest(device) == before


async def test_what_is_mounted_is_not_looked_into(
    loop_disk: LoopDisk, mount: Mount, tool: Tool, tmp_path: Path
) -> None:
    device = loop_disk(32 * MIB)
    tool("mke2fs", "-q", "-t", "ext4", device)
    mount(device)
    with pytest.raises(DeviceBusy, match="in use"):
        async with read_only(device, "ext4", tmp_path):
            pass


async def test_nobody_writes_to_what_is_looked_into(loop_disk: LoopDisk, tool: Tool, tmp_path: Path) -> None:
    device = loop_disk(32 * MIB)
    tool("mke2fs", "-q", "-t", "ext4", device)
    async with read_only(device, "ext4", tmp_path):
        with pytest.raises(OSError, match="busy"):
            os.open(device, os.O_RDWR | os.O_EXCL)
    await nothing_stays(device, tmp_path)
    os.close(os.open(device, os.O_RDWR | os.O_EXCL))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("", FilesystemNotSupported), ("zfs_member", FilesystemNotSupported), ("ext4", PartitionNotReadable)],
)
async def test_what_cannot_be_mounted_is_said(
    kind: str, expected: type[Exception], loop_disk: LoopDisk, tmp_path: Path
) -> None:
    device = loop_disk(32 * MIB)
    with pytest.raises(expected, match=device):
        async with read_only(device, kind, tmp_path):
            pass
    await nothing_stays(device, tmp_path)


async def test_a_kernel_without_the_driver(loop_disk: LoopDisk, tmp_path: Path) -> None:
    """With a program for it, that is what looks into it instead."""
    device = loop_disk(32 * MIB)
    for program, expected in (("", FilesystemNotSupported), ("ntfs-3g", PartitionNotReadable)):
        with pytest.raises(expected, match=device) as refusal:
            async with _mounted(device, Driver("nofs", ("ro",), program=program), device, tmp_path):
                pass
        assert ("no driver nofs" in refusal.value.message) == (not program)
    await nothing_stays(device, tmp_path)


async def test_ntfs_that_is_none_leaves_nothing(loop_disk: LoopDisk, tmp_path: Path) -> None:
    device = loop_disk(32 * MIB)
    with pytest.raises(PartitionNotReadable, match="cannot be"):
        async with read_only(device, "ntfs", tmp_path):
            pass
    await nothing_stays(device, tmp_path)


async def test_another_partition_than_was_meant(loop_disk: LoopDisk, tool: Tool, tmp_path: Path) -> None:
    device = loop_disk(32 * MIB)
    tool("mke2fs", "-q", "-t", "ext4", device)
    seen: list[int] = []

    def compare(fd: int) -> None:
        seen.append(os.fstat(fd).st_rdev)
        raise DiskChanged("another one")

    with pytest.raises(DiskChanged, match="another one"):
        async with read_only(device, "ext4", tmp_path, compare):
            pass
    assert seen == [block_device_number(device)]


async def test_there_is_no_such_partition(tmp_path: Path) -> None:
    with pytest.raises(PartitionNotReadable, match="No such file"):
        async with read_only("/dev/none1", "ext4", tmp_path):
            pass
    with pytest.raises(PartitionNotReadable, match="no block device"):
        async with read_only("/dev/null", "ext4", tmp_path):
            pass


KILLED: Final = """
import asyncio, os, signal, sys
from pathlib import Path
from ogagent.system.mounts import read_only
async def main():
    async with read_only(sys.argv[1], "ext4", Path(sys.argv[2])):
        os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""


async def test_nothing_stays_of_an_agent_that_is_killed(loop_disk: LoopDisk, tool: Tool, tmp_path: Path) -> None:
    device = loop_disk(32 * MIB)
    tool("mke2fs", "-q", "-t", "ext4", device)
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, device, str(tmp_path))
    assert await killed.wait() == -9
    await nothing_stays(device, tmp_path)


async def test_a_cancel_leaves_nothing(loop_disk: LoopDisk, tool: Tool, tmp_path: Path) -> None:
    device = loop_disk(32 * MIB)
    tool("mkfs.ntfs", "-q", "-f", "-F", device)
    inside = asyncio.Event()

    async def look() -> None:
        async with read_only(device, "ntfs", tmp_path):
            inside.set()
            await asyncio.sleep(1000)

    task = asyncio.create_task(look())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await nothing_stays(device, tmp_path)
