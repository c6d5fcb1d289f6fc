"""Which disk a device is: what a job binds to, and what is compared again before the first write."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from msgspec import Struct

from ogagent.disk.text import printable

_SECTOR: Final = 512  # sysfs counts in these, whatever the disk's own sectors are

# Where drivers say who a disk is, best first (Documentation/ABI in the kernel's source).
_NAMES: Final = (
    ("wwn", "wwid"),
    ("wwn", "device/wwid"),
    ("serial", "serial"),
    ("serial", "device/serial"),
    ("serial", "device/vpd_pg80"),
)


class Place(Struct, frozen=True):
    """Where a partition lies: the node of its disk, and its start and size in bytes."""

    disk_device: str
    start: int
    size: int


def disk_identity(sysfs: Path, device: str) -> str:
    """WWN, serial or device path, with the size in bytes: ``wwn:naa.5000c500a1b2c3d4;size:500107862016``."""
    for kind, name in _NAMES:
        with suppress(OSError):
            value = printable((sysfs / name).read_bytes()[-256:].decode("ascii", "replace")).strip()
            if value:
                return f"{kind}:{value};size:{size_of(sysfs)}"
    return f"path:{device};size:{size_of(sysfs)}"


def size_of(sysfs: Path) -> int:
    return int((sysfs / "size").read_text()) * _SECTOR


def disk_of_partition(number: int) -> tuple[Path, Place]:
    """The sysfs directory of the disk on which the partition with this device number lies. Raises OSError."""
    sysfs = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve(strict=True)
    start = int((sysfs / "start").read_text()) * _SECTOR
    disk = sysfs.parent
    return disk, Place(f"/dev/{disk.name.replace('!', '/')}", start, size_of(sysfs))
