"""Disks and optical drives."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ogagent.hardware.sysfs import directories, line, number
from ogagent.model.hardware import Component

_BLOCK: Final = "sys/block"
_SECTOR: Final = 512  # sysfs counts in these: Documentation/ABI/stable/sysfs-block
_OPTICAL: Final = re.compile(r"sr[0-9]+")
_NO_DISKS: Final = re.compile(r"fd[0-9]+|mtdblock[0-9]+|mmcblk[0-9]+(boot[0-9]+|rpmb)")
_NO_VENDORS: Final = ("ATA", "NVMe")  # how a disk is asked, and not who made it


def drives(root: Path) -> Iterator[Component]:
    """What has a device behind it: loop devices, RAM disks, volumes have none. A reader without a card is no disk."""
    for block in directories(root / _BLOCK):
        device = block / "device"
        optical = _OPTICAL.fullmatch(block.name)
        if not device.is_dir() or _NO_DISKS.fullmatch(block.name):
            continue
        size = (number(block / "size") or 0) * _SECTOR
        if optical or size > 0:
            yield Component(
                code="cdr" if optical else "dis",
                vendor=_vendor(device),
                name=line(device / "model") or line(device / "name") or block.name,
                version=line(device / "rev") or line(device / "firmware_rev"),
                size=None if optical else size,
            )


def _vendor(device: Path) -> str:
    vendor = line(device / "vendor")
    return "" if vendor in _NO_VENDORS or vendor.startswith("0x") else vendor
