"""The active partition of an MSDOS table: the one whose boot sector a BIOS starts.

Source: the layout of a master boot record, four rows of 16 bytes from byte 446: the first byte of each is the flag, the
fifth the type, and bytes 8 to 11 the first sector.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from typing import Final

from ogagent.disk.device import BlockDevice
from ogagent.disk.identity import device_node, disk_identity, sysfs_directory
from ogagent.errors import DeviceBusy, DiskChanged, NoSystem, ReadBackDiffers
from ogagent.model.plan import Target
from ogagent.power.down import Down, Goal
from ogagent.power.power import BootPlace
from ogagent.power.systems import System
from ogagent.system.aside import aside
from ogagent.system.memory import page_aligned

_ROWS_AT: Final = 446
_ROW: Final = 16
_PRIMARY: Final = range(1, 5)
_ACTIVE: Final = 0x80
_PROTECTIVE: Final = 0xEE
_SIGNED: Final = slice(510, 512)
_SIGNATURE: Final = b"\x55\xaa"
_PATIENCE_S: Final = 60.0
_LOCK_S: Final = 10.0
_PAUSE_S: Final = 0.1
_HINT: Final = "read the inventory again"


class ActivePartition:
    """Implements ``ogagent.power.power.Way``."""

    def __init__(self, target: Target, down: Down) -> None:
        self._target = target
        self._down = down

    @property
    def would(self) -> str:
        return f"make {self._target.name} the active one, and restart"

    async def prepare(self) -> None:
        try:
            await aside(_PATIENCE_S, lambda: make_active(self._target))
        except TimeoutError:
            raise DeviceBusy(f"{self._target.disk_device} does not answer") from None

    async def go(self) -> None:
        await self._down.go(Goal.RESTART)


def refuse_inactive(place: BootPlace, system: System) -> None:
    """Raises NoSystem for what cannot be made active, or would not start when it were."""
    target, hint = place.partition, ""
    if system.windows:
        if not system.boot_manager:
            raise NoSystem(
                f"{target.name} holds Windows, but not what a BIOS starts it with (bootmgr)",
                hint="start the partition that has it, System Reserved perhaps",
            )
    else:
        hint = "with machine.kexec = true a Linux is started wherever it is"
    if place.table != "msdos":
        raise NoSystem(f"{target.name} lies on a GPT disk: without UEFI none of its partitions is chosen", hint=hint)
    if target.partition not in _PRIMARY:
        raise NoSystem(f"{target.name} is a logical one: no BIOS starts those", hint=hint)


def make_active(target: Target) -> None:
    """It, and no other; nothing else on the disk changes. Raises DiskChanged, DeviceBusy, WriteFailed, ReadBackDiffers.

    Not O_EXCL, for other partitions of the disk may be in use, and not a byte of these is touched. Who else changes
    the table holds the disk by flock, as systemd's BLOCK_DEVICE_LOCKING has it.
    """
    try:
        fd = os.open(target.disk_device, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise DiskChanged(f"{target.disk_device} cannot be opened: {error.strerror}", hint=_HINT) from error
    size = target.sector_size
    with BlockDevice(fd, base=0, size=size, sector_size=size, name=target.disk_device) as device:
        _lock(fd, target)
        _compare(fd, target)
        before, after = page_aligned(size), page_aligned(size)
        device.read_back(0, before)
        wanted = activated(bytes(before), target)
        if wanted == before:
            return
        device.write(0, memoryview(wanted))
        device.flush()
        device.read_back(0, after)
        if after != wanted:
            raise ReadBackDiffers(f"{target.disk_device} does not hold the partition table that was written")


def activated(sector: bytes, target: Target) -> bytes:
    """The first sector of the disk, with this partition as the active one. Raises DiskChanged for another table."""
    rows = [sector[at : at + _ROW] for at in range(_ROWS_AT, _SIGNED.start, _ROW)]
    row = rows[target.partition - 1]
    start = int.from_bytes(row[8:12], "little") * target.sector_size
    if sector[_SIGNED] != _SIGNATURE or any(each[4] == _PROTECTIVE for each in rows) or start != target.start:
        raise DiskChanged(f"{target.disk_device} has another partition table now", hint=_HINT)
    changed = bytearray(sector)
    for number in _PRIMARY:
        changed[_ROWS_AT + _ROW * (number - 1)] = _ACTIVE if number == target.partition else 0
    return bytes(changed)


def _lock(fd: int, target: Target) -> None:
    end = time.monotonic() + _LOCK_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno != errno.EWOULDBLOCK or time.monotonic() > end:
                raise DeviceBusy(f"the table of {target.disk_device} is in use by somebody else") from error
        else:
            return
        time.sleep(_PAUSE_S)


def _compare(fd: int, target: Target) -> None:
    status = os.fstat(fd)
    try:
        sysfs = sysfs_directory(status.st_rdev)
        identity = disk_identity(sysfs, device_node(sysfs))
    except (OSError, ValueError) as error:
        raise DiskChanged(f"{target.disk_device} is no disk any more: {error}", hint=_HINT) from error
    if not stat.S_ISBLK(status.st_mode) or identity != target.identity:
        raise DiskChanged(f"{target.disk_device} is disk {identity} now, it was {target.identity}", hint=_HINT)
