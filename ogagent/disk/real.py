"""The machine that the agent runs on."""

from __future__ import annotations

import asyncio
import fcntl
import os
import stat
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final, Protocol

from ogagent.disk.device import BlockDevice, sector_size
from ogagent.disk.excluded import Exclusions
from ogagent.disk.gap import GAP
from ogagent.disk.identity import device_node, disk_identity, disk_of_partition, size_of, sysfs_directory
from ogagent.disk.inventory import unread_disks
from ogagent.disk.layout import Span
from ogagent.disk.machine import Device
from ogagent.disk.readings import Readings
from ogagent.disk.tables import read_table
from ogagent.errors import DiskChanged, PartitionOverlaps, ToolFailed
from ogagent.model.disk import Disk, Inventory
from ogagent.model.plan import Target
from ogagent.system import exclusive

BLKGETSIZE64: Final = 0x80081272  # linux/fs.h
_HINT: Final = "read the inventory again, and repeat the request when the disk is the one you mean"


class RealMachine:
    """Implements ``ogagent.disk.machine.WholeMachine``. ``include`` and ``exclude`` as in ``[disks]`` of the
    configuration.
    """

    def __init__(self, include: Sequence[str], exclude: Sequence[str]) -> None:
        """Blocking. Raises SettingsError for a path in ``exclude`` that is no block device."""
        self._exclusions = Exclusions(exclude)
        self._readings = Readings(partial(unread_disks, include, self._exclusions))

    async def inventory(self, *, thorough: bool = True) -> Inventory:
        return await self._readings.inventory(thorough=thorough)

    @contextmanager
    def open_target(self, target: Target) -> Iterator[Device]:
        fd, base = _open_target(target)
        try:
            compare(fd, base, target)
            span = Span(target.start, target.start + target.size)
            self._exclusions.refuse(target.device, target.identity, [span])
        except BaseException:
            os.close(fd)
            raise
        device = BlockDevice(fd, base=base, size=target.size, sector_size=target.sector_size, name=target.device)
        try:
            yield device
        finally:
            device.close()

    @contextmanager
    def open_gap(self, disk: Disk) -> Iterator[Device]:
        try:
            fd = os.open(disk.device, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise DiskChanged(f"{disk.device} cannot be opened: {error.strerror}", hint=_HINT) from error
        try:
            compare_disk(fd, disk)
            self._exclusions.refuse(disk.device, disk.identity, [GAP])
        except BaseException:
            os.close(fd)
            raise
        size = GAP.end - GAP.start
        with BlockDevice(fd, base=GAP.start, size=size, sector_size=disk.sector_size, name=disk.device) as device:
            yield device


def _open_target(target: Target) -> tuple[int, int]:
    """The partition's own node with base 0; or, where the kernel has read no partition table and so nobody can hold a
    single partition, the whole disk with the partition's start.
    """
    try:
        return open_exclusively(target.device), 0
    except FileNotFoundError:
        with suppress(FileNotFoundError):
            return open_exclusively(target.disk_device), target.start
    raise DiskChanged(f"neither {target.device} nor {target.disk_device} is there any more", hint=_HINT)


def open_exclusively(path: str) -> int:
    """To be written to. Raises DeviceBusy, DiskChanged or FileNotFoundError."""
    try:
        return exclusive.open_exclusively(path, os.O_RDWR)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DiskChanged(f"{path} cannot be opened: {error.strerror}", hint=_HINT) from error


class WholeDisk(Protocol):
    """As somebody has seen it. Sizes in bytes."""

    @property
    def device(self) -> str: ...

    @property
    def identity(self) -> str: ...

    @property
    def size(self) -> int: ...

    @property
    def sector_size(self) -> int: ...


def compare_disk(fd: int, disk: WholeDisk) -> None:
    """What has been opened is asked, not what the name stands for by now. Raises DiskChanged for another disk."""
    status = os.fstat(fd)
    if not stat.S_ISBLK(status.st_mode):
        raise DiskChanged(f"{disk.device} is no block device", hint=_HINT)
    sysfs = sysfs_directory(status.st_rdev)
    try:
        identity = disk_identity(sysfs, device_node(sysfs))
        (size,) = struct.unpack("Q", fcntl.ioctl(fd, BLKGETSIZE64, bytes(8)))
    except (OSError, ValueError) as error:
        raise DiskChanged(f"{disk.device} is no disk any more: {error}", hint=_HINT) from error
    if identity != disk.identity:
        raise DiskChanged(f"{disk.device} is disk {identity} now, it was {disk.identity}", hint=_HINT)
    if (size, sector_size(fd)) != (disk.size, disk.sector_size):
        raise DiskChanged(f"{disk.device} has {size} bytes now, in sectors of {sector_size(fd)}", hint=_HINT)


def compare(fd: int, base: int, target: Target) -> None:
    """What has been opened is asked, not what the name stands for by now. Raises DiskChanged for another place."""
    status = os.fstat(fd)
    if not stat.S_ISBLK(status.st_mode):
        raise DiskChanged(f"{target.device} is no block device", hint=_HINT)
    (size,) = struct.unpack("Q", fcntl.ioctl(fd, BLKGETSIZE64, bytes(8)))
    problem = ""
    try:
        if base:
            sysfs = sysfs_directory(status.st_rdev)
            if any(sysfs.glob("*/partition")):
                raise DiskChanged(f"{target.device} has gone, other partitions of the disk are there", hint=_HINT)
            found, problem = _entry_on_disk(fd, target)
        else:
            sysfs, place = disk_of_partition(status.st_rdev)
            found = (place.start, size)
            if target.start + target.size > size_of(sysfs):
                problem = f"it reaches beyond the end of the disk, which has {size_of(sysfs)} bytes"
        identity = disk_identity(sysfs, device_node(sysfs))
    except (OSError, ValueError, ToolFailed) as error:
        raise DiskChanged(f"{target.device} is no partition any more: {error}", hint=_HINT) from error
    if identity != target.identity:
        raise DiskChanged(f"{target.device} is on disk {identity} now, it was {target.identity}", hint=_HINT)
    if found != (target.start, target.size):
        raise DiskChanged(
            f"{target.device} has {found[1]} bytes at {found[0]} now, it had {target.size} at {target.start}",
            hint=_HINT,
        )
    if problem:
        raise PartitionOverlaps(f"{target.device}: {problem}", hint=_HINT)


def _entry_on_disk(fd: int, target: Target) -> tuple[tuple[int, int], str]:
    """Start and size in the table of what is open, as it is now, and what is wrong with them.

    This runs in a thread, where a loop of its own may wait for sfdisk.
    """
    table = asyncio.run(read_table(f"/proc/{os.getpid()}/fd/{fd}", target.sector_size))
    for entry in table.entries:
        if entry.number == target.partition:
            return (entry.start, entry.size), table.problem or entry.problem
    return (0, 0), ""
