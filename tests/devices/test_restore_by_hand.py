"""``ogagent restore`` onto a block device that has no partitions."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.devices.conftest import LoopDisk

MIB = 1 << 20

Tool = Callable[..., str]


def restore(tool: Tool, folder: Path, device: str) -> subprocess.CompletedProcess[str]:
    """An ext4 with blocks of 1 KiB."""
    filesystem, image = folder / "fs.raw", folder / "x.img"
    with filesystem.open("wb") as file:
        file.truncate(16 * MIB)
    tool("mke2fs", "-q", "-F", "-b", "1024", "-t", "ext4", "-d", Path(__file__).parent, filesystem)
    tool("partclone.ext4", "-c", "-s", filesystem, "-O", image, "-L", folder / "log")
    command = [sys.executable, "-m", "ogagent", "restore", str(image), device, "--yes"]
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
