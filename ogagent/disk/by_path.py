"""A block device or a file that an operator names by its path."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ogagent.disk.device import BlockDevice, sector_size
from ogagent.disk.identity import device_node, disk_identity, disk_of_partition, sysfs_directory
from ogagent.disk.machine import Device
from ogagent.disk.real import compare
from ogagent.errors import DiskChanged, DiskNotFound
from ogagent.model.disk import Inventory
from ogagent.model.plan import Target
from ogagent.system.exclusive import open_exclusively

_HINT: Final = "begin again, and name the one you mean"


class ByPath:
    """Implements ``ogagent.disk.machine.Machine`` for what an operator names by hand; nothing else is there."""

    async def inventory(self, *, thorough: bool = True) -> Inventory:  # noqa: ARG002 - as Machine has it
        return Inventory()

    @contextmanager
    def open_target(self, target: Target) -> Iterator[Device]:
        fd = _open(target.device)
        try:
            _compare(fd, target)
        except BaseException:
            os.close(fd)
            raise
        device = BlockDevice(fd, base=0, size=target.size, sector_size=target.sector_size, name=target.device)
        try:
            yield device
        finally:
            device.close()


def _compare(fd: int, target: Target) -> None:
    if target.device != target.disk_device:  # it was found on a disk, and not named by the operator
        compare(fd, 0, target)
        return
    found = _identity(fd, target.device)
    if found != target.identity:
        raise DiskChanged(f"{target.device} is {found} now, it was {target.identity}", hint=_HINT)


def target_at(path: str, number: int | None = None) -> Target:
    """Bound to what is there now. ``number`` of the block device that it must be, 0 for a file; None: whatever
    it is.

    Blocking. Raises DeviceBusy, DiskNotFound, DiskChanged.
    """
    fd = _open(path)
    try:
        identity = _identity(fd, path)
        if number is not None and os.fstat(fd).st_rdev != number:
            raise DiskChanged(f"{path} is {identity} now, another one has been looked at", hint=_HINT)
        size, sector = os.lseek(fd, 0, os.SEEK_END), sector_size(fd)
    finally:
        os.close(fd)
    return Target(
        disk=0, partition=0, device=path, disk_device=path, identity=identity, start=0, size=size, sector_size=sector
    )


def _open(path: str) -> int:
    try:
        return open_exclusively(path, os.O_RDWR)
    except OSError as error:
        raise DiskNotFound(f"{path} cannot be opened: {error.strerror}") from error


def _identity(fd: int, path: str) -> str:
    """Of what has been opened, whatever else the path stands for by now: the file; or the disk, and which bytes of it.

    A file is the same whatever its length: programs that make the file system in it smaller cut it off.
    """
    status = os.fstat(fd)
    if stat.S_ISREG(status.st_mode):
        return f"file:{status.st_dev}:{status.st_ino}"
    if not stat.S_ISBLK(status.st_mode):
        raise DiskNotFound(f"{path} is neither a block device nor a file")
    sysfs, start, size = sysfs_directory(status.st_rdev), 0, os.lseek(fd, 0, os.SEEK_END)
    try:
        if (sysfs / "partition").exists():
            sysfs, place = disk_of_partition(status.st_rdev)
            start = place.start
        disk = disk_identity(sysfs, device_node(sysfs))
    except (OSError, ValueError) as error:
        raise DiskNotFound(f"the kernel does not tell what {path} is: {error}") from error
    return f"{disk};bytes:{start}+{size};sector:{sector_size(fd)}"
