"""What is opened to be written to is compared itself, not what its name stands for by now; on loop devices."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from ogagent.disk.by_path import ByPath, target_at
from ogagent.disk.occupancy import block_device_number
from ogagent.disk.real import compare
from ogagent.errors import DiskChanged
from ogagent.model.plan import Target
from tests.block_devices import forget_partitions
from tests.devices.conftest import LoopDisk, bound

MIB = 1 << 20
ONE = "label: gpt\nstart=1MiB, size=8MiB, type=linux\n"
ANOTHER = "label: gpt\nstart=2MiB, size=8MiB, type=linux\n"

Tool = Callable[..., str]


def unknown_to_the_kernel(disk: str, tool: Tool) -> Target:
    """Its first partition, which only the table tells of."""
    target = bound(f"{disk}p1")
    forget_partitions(disk)
    return target


def point(link: Path, to: str) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(to)


async def compared(disk: str, target: Target) -> None:
    fd = os.open(disk, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
    try:
        await asyncio.to_thread(compare, fd, target.start, target)
    finally:
        os.close(fd)


async def test_the_table_is_that_of_the_disk_that_is_open(loop_disk: LoopDisk, tool: Tool, tmp_path: Path) -> None:
    """Its name, and the name of the partition, lead to another disk meanwhile, whose table is another."""
    disk, other, name = loop_disk(16 * MIB, ONE), loop_disk(16 * MIB, ANOTHER), tmp_path / "name"
    target = replace(unknown_to_the_kernel(disk, tool), disk_device=str(name), device=f"{name}1")
    point(name, other)
    await compared(disk, target)


async def test_no_other_table_will_do(loop_disk: LoopDisk, tool: Tool, tmp_path: Path) -> None:
    """That of the disk that is open has changed; its name leads to another one, whose table is as it was."""
    disk, other, name = loop_disk(16 * MIB, ONE), loop_disk(16 * MIB, ONE), tmp_path / "name"
    target = replace(unknown_to_the_kernel(disk, tool), disk_device=str(name), device=f"{name}1")
    tool("sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", "--delete", disk, "1")
    point(name, other)
    with pytest.raises(DiskChanged, match="has 0 bytes at 0 now"):
        await compared(disk, target)


# Has the device for itself, and lets it go when it is about to be opened a second time: the first time was in vain.
BUSY = """
import os, sys
path, attempts = sys.argv[1], []
held = os.open(path, os.O_RDONLY | os.O_EXCL)
def hook(event, arguments):
    if event == "open" and arguments[0] == path:
        attempts.append(path)
        if len(attempts) == 2:
            os.close(held)
sys.addaudithook(hook)
"""
OPENERS = {
    "the machine": "from ogagent.disk.real import open_exclusively as opened",
    "by hand": "from ogagent.disk.by_path import target_at as opened",
}


@pytest.mark.parametrize("opener", OPENERS.values(), ids=OPENERS.keys())
def test_who_only_looks_at_it_for_a_moment_is_waited_for(loop_disk: LoopDisk, opener: str) -> None:
    script = f"{opener}\n{BUSY}\nopened(path)\nprint(len(attempts))\n"
    command = [sys.executable, "-c", script, loop_disk(16 * MIB)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("2\n", "")


@pytest.mark.parametrize("part", ["", "p1"])
def test_what_was_named_by_hand_is_another_disk_by_now(loop_disk: LoopDisk, tmp_path: Path, part: str) -> None:
    one, other = (loop_disk(16 * MIB, ONE if part else "") + part for _ in range(2))
    name = tmp_path / "name"
    point(name, one)
    target = target_at(str(name))
    with ByPath().open_target(target) as device:
        assert device.size == target.size
    point(name, other)
    with pytest.raises(DiskChanged), ByPath().open_target(target) as device:
        device.zero(0, MIB)


def test_what_was_named_by_hand_lies_elsewhere_by_now(loop_disk: LoopDisk, tool: Tool) -> None:
    disk = loop_disk(16 * MIB, ONE)
    target = target_at(f"{disk}p1")
    forget_partitions(disk)
    tool("addpart", disk, "1", str(2 * MIB // 512), str(8 * MIB // 512))
    with pytest.raises(DiskChanged), ByPath().open_target(target):
        raise AssertionError


def test_another_device_than_was_looked_at(loop_disk: LoopDisk) -> None:
    one, other = loop_disk(16 * MIB), loop_disk(16 * MIB)
    number = block_device_number(one)
    assert target_at(one, number).size == 16 * MIB
    with pytest.raises(DiskChanged):
        target_at(other, number)
    with pytest.raises(DiskChanged):
        target_at(one, 0)
