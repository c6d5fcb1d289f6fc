"""The first sector of a disk with an MSDOS table: which partition a BIOS starts, and the code that does it.

Sources: the layout of a master boot record, 440 bytes of code, and four rows of 16 bytes from byte 446: the first byte
of each is the flag, the fifth the type, and bytes 8 to 11 the first sector. The code is started at 0x7c00 with the
disk in DL, and starts a boot sector in the same way, DS:SI at its row (BIOS Boot Specification 1.01, 3 and 6.5.1; INT
13h, function 42h: T13 1572D, Enhanced Disk Drive, 8.8).
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable
from typing import Final

from ogagent.disk.device import BlockDevice
from ogagent.disk.identity import device_node, disk_identity, sysfs_directory
from ogagent.errors import DeviceBusy, DiskChanged, ReadBackDiffers
from ogagent.model.plan import Target
from ogagent.system.memory import page_aligned

PRIMARY: Final = range(1, 5)
_CODE: Final = slice(0, 440)
_ROWS_AT: Final = 446
_ROW: Final = 16
_ACTIVE: Final = 0x80
_PROTECTIVE: Final = 0xEE
_GRUB: Final = b"GRUB "  # what boot.S of GRUB prints when it fails
_SIGNED: Final = slice(510, 512)
_SIGNATURE: Final = b"\x55\xaa"
_LOCK_S: Final = 10.0
_PAUSE_S: Final = 0.1
_HINT: Final = "read the inventory again"
_STARTS_THE_ACTIVE: Final = (
    bytes.fromhex(
        "fa 31c0 8ed0 bc007c 8ed8 8ec0 fc"  # cli; ss = ds = es = ax = 0; sp = 0x7c00; cld
        "89e6 bf0006 b90001 f3a5 ea1c060000"  # to 0x600, 512 bytes; goes on there, at 0x61c
        "fb bebe07 b104"  # sti; si = the first row; cx = 4
        "f60480 750a 83c610 e2f6"  # active? to 0x631; the next row
        "be7506 eb31"  # none is: says so
        "52 56"  # 0x631: dx and si are kept
        "666a00 66ff7408 0e 68007c 6a01 6a10"  # on the stack: 16 bytes, 1 sector, to 0:0x7c00, the row's first one
        "89e6 b442 cd13 be8c06 7215"  # INT 13h, function 42h; fails? to 0x662
        "83c410 be8c06 813efe7d55aa 7507"  # no 0x55 0xaa at its end? to 0x662
        "5e 5a ea007c0000"  # si and dx as they were; goes on at 0:0x7c00
        "ac 84c0 7409 bb0700 b40e cd10 ebf2"  # 0x662: INT 10h, function 0eh, for each letter of si
        "cd18 f4 ebfd"  # INT 18h, the firmware goes on; or stands still
    )
    + b"No partition is active\0The active partition does not start\0"
)


def make_active(target: Target) -> None:
    """It, and no other; nothing else on the disk changes. Blocking; raises as ``make_startable`` does."""
    _change(target, lambda sector: activated(sector, target))


def is_startable(sector: bytes, *, grub_counts: bool) -> bool:
    """Whether there is code, and an active partition. ``grub_counts``: that of GRUB has something to start."""
    return _has_code(sector, grub_counts) and _has_active(sector)


def make_startable(target: Target, *, grub_counts: bool) -> None:
    """Code where there is none, and this partition the active one where none is: what is there stays. Blocking.

    Raises DiskChanged, DeviceBusy, WriteFailed, ReadBackDiffers.
    """
    _change(target, lambda sector: startable(sector, target, grub_counts=grub_counts))


def startable(sector: bytes, target: Target, *, grub_counts: bool) -> bytes:
    """What ``make_startable`` makes of the first sector of the disk. Raises DiskChanged for another table."""
    active = activated(sector, target)
    wanted = bytearray(sector if _has_active(sector) else active)
    if not _has_code(sector, grub_counts):
        wanted[_CODE] = _STARTS_THE_ACTIVE.ljust(_CODE.stop, b"\0")
    return bytes(wanted)


def _has_code(sector: bytes, grub_counts: bool) -> bool:
    code = sector[_CODE]
    return any(code) and (grub_counts or _GRUB not in code)


def _has_active(sector: bytes) -> bool:
    return any(sector[at] & _ACTIVE for at in range(_ROWS_AT, _SIGNED.start, _ROW))


def first_sector(disk: str, length: int) -> bytes:
    """Blocking. Raises OSError."""
    fd = os.open(disk, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return os.pread(fd, length, 0)
    finally:
        os.close(fd)


def _change(target: Target, change: Callable[[bytes], bytes]) -> None:
    """Not O_EXCL, for other partitions of the disk may be in use, and not a byte of these is touched. Who else changes
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
        wanted = change(bytes(before))
        if wanted == before:
            return
        device.write(0, memoryview(wanted))
        device.flush()
        device.read_back(0, after)
        if after != wanted:
            raise ReadBackDiffers(f"{target.disk_device} does not hold the first sector that was written")


def activated(sector: bytes, target: Target) -> bytes:
    """The first sector of the disk, with this partition as the active one. Raises DiskChanged for another table."""
    rows = [sector[at : at + _ROW] for at in range(_ROWS_AT, _SIGNED.start, _ROW)]
    row = rows[target.partition - 1]
    start = int.from_bytes(row[8:12], "little") * target.sector_size
    if sector[_SIGNED] != _SIGNATURE or any(each[4] == _PROTECTIVE for each in rows) or start != target.start:
        raise DiskChanged(f"{target.disk_device} has another partition table now", hint=_HINT)
    changed = bytearray(sector)
    for number in PRIMARY:
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
