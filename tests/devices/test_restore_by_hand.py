"""``ogagent restore`` onto block devices: what is written to, what is refused, and what is looked at for that."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.content import filled
from tests.devices.conftest import LoopDisk, Mount
from tests.test_standalone import WATCHED

MIB = 1 << 20

Tool = Callable[..., str]


def restore(tool: Tool, folder: Path, device: str, *python: str) -> subprocess.CompletedProcess[str]:
    """An ext4 with blocks of 1 KiB."""
    filesystem, image = folder / "fs.raw", folder / "x.img"
    with filesystem.open("wb") as file:
        file.truncate(16 * MIB)
    tool("mke2fs", "-q", "-F", "-b", "1024", "-t", "ext4", "-d", filled(folder / "content"), filesystem)
    tool("partclone.ext4", "-c", "-s", filesystem, "-O", image, "-L", folder / "log")
    command = [sys.executable, *(python or ("-m", "ogagent")), "restore", str(image), device, "--yes"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_small_blocks(loop_disk: LoopDisk, tool: Tool, tmp_path: Path) -> None:
    device = loop_disk(16 * MIB)
    done = restore(tool, tmp_path, device)
    assert done.returncode == 0, done.stderr
    assert "read back" in done.stdout
    tool("e2fsck", "-fn", device)


def test_blocks_smaller_than_a_sector_could_not_be_mounted(loop_disk: LoopDisk, tool: Tool, tmp_path: Path) -> None:
    device = loop_disk(16 * MIB, sector_size=4096)
    done = restore(tool, tmp_path, device)
    assert done.returncode == 1
    assert "blocks of 1024 bytes, the disk has sectors of 4096" in done.stderr
    assert not any(Path(device).read_bytes())


TABLE = """label: gpt
size=16MiB, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B
size=16MiB, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, name=CACHE
size=16MiB, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4
"""


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ("", "is a whole disk with partitions"),
        ("p1", "is an EFI system partition"),
        ("p2", "is the CACHE"),
    ],
)
def test_what_is_refused(loop_disk: LoopDisk, tool: Tool, tmp_path: Path, part: str, told: str) -> None:
    """Also of a disk that counts only for whoever names it, as a loop device does."""
    device = loop_disk(64 * MIB, TABLE) + part
    refused = restore(tool, tmp_path, device)
    assert refused.returncode == 1
    assert refused.stderr == f"ogagent: {device} {told}" + (" (name one of its partitions)\n" if not part else "\n")
    assert not any(Path(f"{device.removesuffix(part)}p3").read_bytes())


def test_what_is_in_use(loop_disk: LoopDisk, mount: Mount, tool: Tool, tmp_path: Path) -> None:
    device = loop_disk(64 * MIB, TABLE) + "p3"
    tool("mke2fs", "-q", "-F", device)
    mounted = mount(device)
    refused = restore(tool, tmp_path, device)
    assert (refused.returncode, refused.stderr) == (1, f"ogagent: {device} is in use: {mounted} (unmount it first)\n")


@pytest.mark.parametrize("table", ["", "label: gpt\nstart=1MiB, size=140MiB, type=linux\n"])
def test_a_member_of_a_volume(table: str, loop_disk: LoopDisk, tool: Tool, tmp_path: Path) -> None:
    """A partition, or a whole disk."""
    one, other = (loop_disk(144 * MIB, table) + ("p1" if table else "") for _ in range(2))
    tool("mkfs.btrfs", "-q", one, other)
    for device in (one, other):
        refused = restore(tool, tmp_path, device)
        assert refused.returncode == 1
        assert f"{device} is a member of a volume (btrfs)" in refused.stderr
    tool("mkfs.btrfs", "-q", "-f", one)
    assert restore(tool, tmp_path, one).returncode == 0


def test_a_partition_that_the_table_does_not_know(loop_disk: LoopDisk, tool: Tool, tmp_path: Path) -> None:
    disk = loop_disk(64 * MIB, TABLE)
    tool("sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", "--delete", disk, "3")
    refused = restore(tool, tmp_path, f"{disk}p3")
    assert refused.returncode == 1
    assert f"{disk}p3 is not in the partition table of {disk}" in refused.stderr


def test_no_other_disk_is_looked_at(loop_disk: LoopDisk, tool: Tool, tmp_path: Path) -> None:
    disk = loop_disk(64 * MIB, TABLE)
    device = f"{disk}p3"
    done = restore(tool, tmp_path, device, "-c", WATCHED)
    assert done.returncode == 0, done.stderr
    seen = done.stderr.splitlines()[-1].split()
    devices = {path for path in seen if path.startswith("/dev/")} - {"/dev/null", "/dev/urandom"}
    assert {disk, device} <= devices
    assert [path for path in devices if path != disk and not path.startswith(f"{disk}p")] == []
    others = re.compile(rf"/sys/.*/block/(?!{Path(disk).name}/)[^/]+/(?!loop/backing_file)")  # what a loop is made of
    assert [path for path in seen if others.match(str(Path(path).resolve()))] == []
