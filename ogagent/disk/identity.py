"""Which disk this is, whatever name it has today: what a job binds to, and what is compared before the first write.

Everything comes from sysfs, never from udev's database: with and without a running udevd a disk is the same disk.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Final

from msgspec import Struct

from ogagent.system.text import printable

SECTOR: Final = 512
"""sysfs counts in these, whatever the disk's own sectors are (Documentation/ABI/stable/sysfs-block)."""

_READ_LIMIT: Final = 256  # bytes of a serial number or WWN that are looked at


class Place(Struct, frozen=True):
    """Where a partition lies: the node of its disk, and its start and size in bytes."""

    disk_device: str
    start: int
    size: int


def disk_identity(sysfs: Path, device: str) -> str:
    """WWN, serial or device path, with the size in bytes: ``wwn:0x5000c500a1b2c3d4;size:500107862016``.

    Raises OSError when the disk has gone.
    """
    wwn, serial = _wwn(sysfs), _serial(sysfs)
    name = f"wwn:{wwn}" if wwn else f"serial:{serial}" if serial else f"path:{device}"
    return f"{name};size:{size_of(sysfs)}"


def disk_of_partition(number: int) -> tuple[Path, Place]:
    """The sysfs directory of the disk on which the partition with this device number lies.

    Raises OSError when there is none, or when the device is a whole disk.
    """
    sysfs = sysfs_directory(number)
    place = Place(device_node(sysfs.parent), read_number(sysfs / "start") * SECTOR, size_of(sysfs))
    return sysfs.parent, place


def sysfs_directory(number: int) -> Path:
    """Where nothing is to be read when the kernel knows no such block device."""
    return Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve()


def device_node(sysfs: Path) -> str:
    """A slash in a device's name is written as an exclamation mark in sysfs (``cciss!c0d0``)."""
    return "/dev/" + sysfs.name.replace("!", "/")


def size_of(sysfs: Path) -> int:
    return read_number(sysfs / "size") * SECTOR


def read_number(path: Path) -> int:
    return int(path.read_text("utf-8"))


def read_line(path: Path) -> str:
    """What a small file says, fit to be shown; empty when there is none."""
    with suppress(OSError):
        return printable(path.read_bytes()[:_READ_LIMIT].decode(errors="replace"))
    return ""


def _wwn(sysfs: Path) -> str:
    """NVMe has its ``wwid`` at the disk, SCSI (and so SATA) at the device; an NAA number is the WWN on the label."""
    wwid = read_line(sysfs / "wwid") or read_line(sysfs / "device/wwid")
    return re.sub(r"^naa\.", "0x", wwid) if _tells_apart(wwid.partition(".")[2] or wwid) else ""


def _serial(sysfs: Path) -> str:
    """virtio keeps it at the disk, NVMe and MMC at a parent, SCSI in a page of its own, USB at the USB device."""
    serial = _unit_serial_number(sysfs / "device/vpd_pg80")
    for directory in (sysfs, *sysfs.parents):
        if serial or directory.name == "devices":
            break
        serial = read_line(directory / "serial")
        if (directory / "idVendor").exists():  # beyond the USB device come hubs, which have serial numbers as well
            break
    return serial if _tells_apart(serial) else ""


def _unit_serial_number(page: Path) -> str:
    """SPC-4, 7.8.15: four bytes of header, the last one the length, then ASCII."""
    with suppress(OSError):
        raw = page.read_bytes()[:_READ_LIMIT]
        return printable(raw[4 : 4 + raw[3]].decode("ascii", errors="replace")) if len(raw) > 4 else ""
    return ""


def _tells_apart(name: str) -> bool:
    """Cheap devices answer with nothing but zeros, blanks or dots."""
    return bool(name.strip(" 0.-"))
