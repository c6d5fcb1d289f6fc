"""A block device or a file that an operator names by its path."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from ogagent.disk.device import BlockDevice, sector_size
from ogagent.disk.machine import Device
from ogagent.errors import DeviceBusy, DiskNotFound
from ogagent.model.disk import Inventory
from ogagent.model.plan import Target


class ByPath:
    """Implements ``ogagent.disk.machine.Machine`` for what an operator names by hand; nothing else is there."""

    async def inventory(self, *, thorough: bool = True) -> Inventory:  # noqa: ARG002 - as Machine has it
        return Inventory()

    @contextmanager
    def open_target(self, target: Target) -> Iterator[Device]:
        fd = _open(target.device)
        device = BlockDevice(fd, base=0, size=target.size, sector_size=target.sector_size, name=target.device)
        try:
            yield device
        finally:
            device.close()


def _open(path: str) -> int:
    """O_EXCL fails on a block device that is in use, and means nothing for a file: open(2)."""
    try:
        return os.open(path, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise DeviceBusy(f"{path} is in use", hint="unmount it first") from error
        raise DiskNotFound(f"{path} cannot be opened: {error.strerror}") from error


def target_at(path: str) -> Target:
    """Blocking. Raises DeviceBusy, DiskNotFound."""
    fd = _open(path)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode) and not stat.S_ISBLK(os.fstat(fd).st_mode):
            raise DiskNotFound(f"{path} is neither a block device nor a file")
        size, sector = os.lseek(fd, 0, os.SEEK_END), sector_size(fd)
    finally:
        os.close(fd)
    return Target(
        disk=0, partition=0, device=path, disk_device=path, identity=path, start=0, size=size, sector_size=sector
    )
