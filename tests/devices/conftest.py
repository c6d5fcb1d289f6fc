"""Loop devices with partitions, for tests that need root. Whatever a test attaches or mounts goes when it ends."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from ogagent.disk.identity import disk_of_partition
from ogagent.disk.kernel import describe_disk
from ogagent.disk.occupancy import block_device_number
from ogagent.model.plan import Target
from tests.block_devices import forget_partitions

_WAIT_S = 120  # for the kernel and a udevd, if there is one, to make the nodes


class LoopDisk(Protocol):
    def __call__(self, size: int, table_script: str = "", sector_size: int = 512) -> str:
        """A new loop device over a sparse file; ``table_script`` is for sfdisk, empty for no table."""


class Mount(Protocol):
    def __call__(self, device: str, name: str = "mnt") -> Path:
        """Mounts a device on a new directory of that name."""


def _run(program: str, *arguments: str | Path, stdin: str = "") -> str:
    found = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{program} is not installed")
    command = [found, *map(str, arguments)]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def tool() -> Callable[..., str]:
    """Runs a program and gives its standard output; skips the test when there is no such program."""
    return _run


@pytest.fixture
def loop_disk(tmp_path: Path) -> Iterator[LoopDisk]:
    if os.geteuid() != 0:
        pytest.skip("loop devices need root")
    if not Path("/dev/loop-control").exists():
        pytest.skip("this kernel has no loop devices")
    with ExitStack() as attached:

        def make(size: int, table_script: str = "", sector_size: int = 512) -> str:
            device = _attach(tmp_path, size, sector_size)
            attached.callback(_detach, device)
            if table_script:
                _partition(device, table_script)
            return device

        yield make


@pytest.fixture
def cache_place(loop_disk: LoopDisk, tool: Callable[..., str]) -> Target:
    """A CACHE of 96 MiB, ext4, as a plan has it."""
    disk = loop_disk(98 << 20, "label: gpt\nstart=1MiB, size=96MiB, type=linux, name=CACHE\n")
    tool("mke2fs", "-q", "-t", "ext4", "-m", "0", "-L", "CACHE", f"{disk}p1")
    return bound(f"{disk}p1")


@pytest.fixture
def root(cache_place: Target, mount: Mount) -> Path:
    """Where that CACHE is mounted."""
    return mount(cache_place.device)


def bound(device: str) -> Target:
    sysfs, place = disk_of_partition(block_device_number(device) or 0)
    disk = describe_disk(sysfs, {})
    return Target(
        disk=1,
        partition=1,
        device=device,
        disk_device=disk.device,
        identity=disk.identity,
        start=place.start,
        size=place.size,
        sector_size=disk.sector_size,
    )


@pytest.fixture
def mount(loop_disk: LoopDisk, tmp_path: Path) -> Iterator[Mount]:
    """Unmounts before the loop devices go."""
    with ExitStack() as mounted:

        def make(device: str, name: str = "mnt") -> Path:
            mount_point = tmp_path / name
            mount_point.mkdir()
            _run("mount", device, mount_point)
            mounted.callback(unmount, mount_point)
            return mount_point

        yield make


def unmount(mount_point: Path) -> None:
    """Any program that looks at mounted file systems, to show how full they are, say, holds each for a moment."""
    end = time.monotonic() + _WAIT_S
    while subprocess.run(["umount", mount_point], capture_output=True, check=False).returncode:
        assert time.monotonic() < end, f"{mount_point} cannot be unmounted"
        time.sleep(0.1)


def _attach(directory: Path, size: int, sector_size: int) -> str:
    file = directory / f"loop{len(list(directory.glob('loop*.img')))}.img"
    with file.open("xb") as opened:
        opened.truncate(size)
    device = _run("losetup", "--find", "--show", "--sector-size", str(sector_size), file).strip()
    forget_partitions(device)  # of a test that was killed
    return device


def _detach(device: str) -> None:
    forget_partitions(device)
    _run("losetup", "--detach", device)


def _partition(device: str, script: str) -> None:
    """The kernel is told of each partition: it may be one that cannot read tables."""
    _run("sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", device, stdin=script)
    numbers = _run("partx", "--show", "--noheadings", "--output", "NR", device).split()
    if not numbers:
        return
    _run("partx", "--add", device)
    nodes = [Path(f"{device}p{number}") for number in numbers]
    end = time.monotonic() + _WAIT_S
    while not all(node.is_block_device() for node in nodes):
        assert time.monotonic() < end, f"the kernel made no nodes for {device}: {nodes}"
        time.sleep(0.01)
