"""Partitions that were unmounted, and such as a power cut leaves: what the kernel wrote itself, and what it replays."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from ogagent.disk.clean import Unclean, uncleanliness
from ogagent.disk.volume import Volume
from tests.devices.conftest import LoopDisk
from tests.devices.test_read_only import fill, leave_dirty, mounted, write
from tests.mounts import unmount

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="loop devices need root")

MIB: Final = 1 << 20
MAKE: Final = {
    "ext2": (32, ("mke2fs", "-q", "-t", "ext2")),
    "ext3": (32, ("mke2fs", "-q", "-t", "ext3")),
    "ext4": (32, ("mke2fs", "-q", "-t", "ext4", "-O", "orphan_file")),
    "xfs": (320, ("mkfs.xfs", "-q")),
    "btrfs": (128, ("mkfs.btrfs", "-q")),
}
REASONS: Final = {
    "ext2": "it was not unmounted cleanly",
    "ext3": "its journal has yet to be replayed",
    "ext4": "its journal has yet to be replayed",
    "xfs": "its log has yet to be replayed",
    "btrfs": "its log has yet to be replayed",
}
LOG: Final = 64 * MIB
LARGEST: Final = 256 << 10

Tool = Callable[..., str]


@pytest.fixture
def partition(loop_disk: LoopDisk, tool: Tool) -> Callable[[str], str]:
    def make(kind: str) -> str:
        size, command = MAKE[kind]
        disk = loop_disk((size + 2) * MIB, f"label: gpt\nstart=1MiB, size={size}MiB, type=linux\n")
        tool(*command, f"{disk}p1")
        return f"{disk}p1"

    return make


def found(device: str, kind: str) -> Unclean | None:
    """In the file under the loop device, where the kernel writes while it is mounted as well."""
    with open(device, "rb") as opened:
        os.fsync(opened.fileno())
    sysfs = Path("/sys/class/block", Path(device).name).resolve()
    disk = sysfs.parent if (sysfs / "partition").exists() else sysfs
    start = 512 * int((sysfs / "start").read_text()) if disk != sysfs else 0
    with Path((disk / "loop/backing_file").read_text().rstrip("\n")).open("rb") as file:
        return uncleanliness(Volume(file.fileno(), start, 512 * int((sysfs / "size").read_text())), kind)


def reason(device: str, kind: str) -> str:
    unclean = found(device, kind)
    return unclean.reason if unclean else ""


@pytest.mark.parametrize("kind", MAKE)
def test_unmounted(kind: str, partition: Callable[[str], str], tmp_path: Path) -> None:
    device = partition(kind)
    assert found(device, kind) is None
    fill(device, tmp_path / "mnt")
    assert found(device, kind) is None


@pytest.mark.parametrize("kind", MAKE)
def test_a_power_cut(kind: str, partition: Callable[[str], str], tool: Tool, tmp_path: Path) -> None:
    device = partition(kind)
    leave_dirty(device, kind, tmp_path / "mnt")
    assert reason(device, kind) == REASONS[kind]
    if kind == "ext2":  # a mount replays nothing, and leaves it marked
        fill(device, tmp_path / "mnt")
        assert reason(device, kind) == REASONS[kind]
        subprocess.run(["e2fsck", "-f", "-y", device], check=False, capture_output=True)
    fill(device, tmp_path / "mnt")
    assert found(device, kind) is None


@pytest.mark.parametrize("kind", ["ext3", "ext4", "xfs"])
def test_while_it_is_mounted(kind: str, partition: Callable[[str], str], tmp_path: Path) -> None:
    device = partition(kind)
    with mounted(device, tmp_path / "mnt"):
        write(tmp_path / "mnt/file", "content")
        assert reason(device, kind) == REASONS[kind]
    assert found(device, kind) is None


def test_what_btrfs_has_committed_is_whole(partition: Callable[[str], str], tmp_path: Path) -> None:
    device = partition("btrfs")
    with mounted(device, tmp_path / "mnt"):
        end = time.monotonic() + 300
        write(tmp_path / "mnt/file", "content")
        while reason(device, "btrfs") != REASONS["btrfs"]:  # somebody's sync(2) has committed it
            assert time.monotonic() < end
            write(tmp_path / "mnt/file", "content")
        subprocess.run(["btrfs", "filesystem", "sync", tmp_path / "mnt"], check=True)
        assert found(device, "btrfs") is None


@contextmanager
def read_only(device: str, folder: Path) -> Iterator[None]:
    subprocess.run(["mount", "-o", "ro", device, folder], check=True)
    try:
        yield
    finally:
        unmount(folder)


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_a_mount_to_read_replays_it_too(kind: str, partition: Callable[[str], str], tmp_path: Path) -> None:
    device = partition(kind)
    leave_dirty(device, kind, tmp_path / "mnt")
    with read_only(device, tmp_path / "mnt"):
        pass
    assert found(device, kind) is None


def judged(device: str, tool: Tool) -> bool:
    """Whether xfsprogs finds the log clean."""
    verdict = re.search("<(CLEAN|DIRTY)>", tool("xfs_logprint", "-t", device))
    assert verdict
    return verdict[1] == "CLEAN"


@pytest.mark.parametrize("records", ["su=256k", "version=2"])
def test_an_xfs_whose_log_is_gone_round(records: str, loop_disk: LoopDisk, tool: Tool, tmp_path: Path) -> None:
    """In records so large that this takes hundreds of them, and in such as they come."""
    device, twin = loop_disk(320 * MIB), loop_disk(320 * MIB)
    tool("mkfs.xfs", "-q", "-l", f"size={LOG},{records}", device)
    for turn in range(5):
        with mounted(device, tmp_path / "mnt"):
            for number in range(LOG // LARGEST // 3):
                write(tmp_path / f"mnt/{turn}-{number}", "content")
            assert reason(device, "xfs") == REASONS["xfs"]
            Path(twin).write_bytes(Path(device).read_bytes())
        assert found(device, "xfs") is None
        assert judged(device, tool)
        assert reason(twin, "xfs") == REASONS["xfs"]
        assert not judged(twin, tool)


def test_an_xfs_whose_log_was_thrown_away(partition: Callable[[str], str], tool: Tool, tmp_path: Path) -> None:
    device = partition("xfs")
    leave_dirty(device, "xfs", tmp_path / "mnt")
    tool("xfs_repair", "-L", device)
    assert found(device, "xfs") is None
    fill(device, tmp_path / "mnt")
    assert found(device, "xfs") is None
