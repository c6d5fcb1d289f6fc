"""A partition looked into without changing a byte of it.

The file system is mounted read-only without playing its journal back, and below it lies a loop device that cannot be
written. The mount is in nobody's directory tree: what it holds can be reached by the descriptor of its root alone, and
with the last descriptor mount and loop device are gone, also when the agent is killed.
"""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar

from ogagent.errors import (
    AgentError,
    FilesystemNotSupported,
    PartitionNotReadable,
    ToolFailed,
    ToolMissing,
)
from ogagent.model.filesystem import READABLE, Driver, driver_of
from ogagent.system import process
from ogagent.system.aside import aside
from ogagent.system.exclusive import open_exclusively
from ogagent.system.kernel_calls import READ_ONLY, detach, mount_detached
from ogagent.system.read_only_loop import open_read_only

_HINT: Final = "look at the kernel log (dmesg); a damaged file system has to be repaired first"
_PATIENCE_S: Final = 60.0
_PAUSE_S: Final = 0.05
_LONGEST_S: Final = 3600.0
_END_S: Final = 5.0

T = TypeVar("T")


@asynccontextmanager
async def read_only(
    device: str, filesystem: str, place: Path, compare: Callable[[int], None] = lambda _: None
) -> AsyncIterator[int]:
    """A descriptor of the root directory. Nobody else mounts the partition meanwhile, nor restores onto it.

    ``filesystem`` as libblkid calls it. ``place``: a directory of the agent's own, where a program may mount for a
    moment. ``compare`` is called with the open partition, in a thread, and raises when another one was meant.
    Raises FilesystemNotSupported, DeviceBusy, PartitionNotReadable, ToolMissing.
    """
    driver = driver_of(filesystem)
    if driver is None:
        raise FilesystemNotSupported(
            f"{device} holds {filesystem or 'no file system'}, which cannot be looked into",
            hint=f"what can be looked into: {', '.join(READABLE)}",
        )
    loop, node = await _asked(device, lambda: _guarded(device, compare), lambda opened: os.close(opened[0]))
    try:
        async with _mounted(device, driver, node, place) as root:
            yield root
    finally:
        await _closed(device, loop)


@asynccontextmanager
async def _mounted(device: str, driver: Driver, node: str, place: Path) -> AsyncIterator[int]:
    root = await _asked(device, lambda: _mount(driver.name, node, driver.reading), _close_if_any)
    if root is not None:
        try:
            yield root
        finally:
            await _closed(device, root)
    elif driver.program:
        async with _mounted_by(driver.program, device, node, place) as root:
            yield root
    else:
        raise FilesystemNotSupported(
            f"{device} cannot be looked into: this kernel has no driver {driver.name}",
            hint="use an ogLive whose kernel has it",
        )


@asynccontextmanager
async def _mounted_by(program: str, device: str, node: str, place: Path) -> AsyncIterator[int]:
    """The program serves the file system for as long as it is mounted, and ends by itself when it is not any more."""
    mount_point = await _asked(device, lambda: Path(tempfile.mkdtemp(prefix="partition-", dir=place)), Path.rmdir)
    command = [program, "-o", "ro,nosuid,nodev,noexec,no_detach", node, str(mount_point)]
    serving = asyncio.create_task(process.run(command, timeout_s=_LONGEST_S))
    try:
        try:
            root = await _asked(device, lambda: _taken(mount_point, serving), _close_if_any)
        finally:
            await _asked(device, lambda: _removed(mount_point), lambda _: None)
        if root is None:
            raise _why_not(device, serving)
        try:
            yield root
        finally:
            await _closed(device, root)
            await asyncio.wait([serving], timeout=_END_S)
    finally:
        serving.cancel()
        with suppress(asyncio.CancelledError, AgentError):
            await serving


def _taken(mount_point: Path, serving: asyncio.Task[bytes]) -> int | None:
    """The root of what is mounted there in a moment; None when nothing will be."""
    while not serving.done():
        with suppress(OSError):  # its program may die at any moment
            if mount_point.is_mount():
                return os.open(mount_point, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        time.sleep(_PAUSE_S)
    return None


def _close_if_any(fd: int | None) -> None:
    if fd is not None:
        os.close(fd)


def _removed(mount_point: Path) -> None:
    """What is mounted there is to be had by its descriptor alone from now on."""
    with suppress(OSError):  # nothing is
        detach(str(mount_point))
    mount_point.rmdir()


def _why_not(device: str, serving: asyncio.Task[bytes]) -> AgentError:
    failure = None if serving.cancelled() else serving.exception()
    if isinstance(failure, ToolMissing):
        return failure
    reason = failure.message if isinstance(failure, ToolFailed) else "the program ended"
    return PartitionNotReadable(f"{device} cannot be mounted: {reason}")


def _mount(driver: str, node: str, options: tuple[str, ...]) -> int | None:
    """None without the driver."""
    try:
        return mount_detached(driver, node, options, READ_ONLY)
    except OSError as error:
        if error.errno == errno.ENODEV:
            return None
        raise


def _guarded(device: str, compare: Callable[[int], None]) -> tuple[int, str]:
    """The loop device keeps what it was given open, and with O_EXCL the partition is taken for as long."""
    partition = open_exclusively(device, os.O_RDONLY | os.O_NONBLOCK)
    try:
        if not stat.S_ISBLK(os.fstat(partition).st_mode):
            raise PartitionNotReadable(f"{device} is no block device")
        compare(partition)
        return open_read_only(partition, device)
    finally:
        os.close(partition)


async def _closed(device: str, fd: int) -> None:
    """The last descriptor unmounts, which takes its time."""
    await _asked(device, lambda: os.close(fd), lambda _: None)


async def _asked(device: str, work: Callable[[], T], late: Callable[[T], object]) -> T:
    try:
        return await aside(_PATIENCE_S, work, late=late)
    except TimeoutError:
        raise PartitionNotReadable(f"{device} does not answer", hint=_HINT) from None
    except OSError as error:
        raise PartitionNotReadable(f"{device} cannot be looked into: {error.strerror}", hint=_HINT) from error
