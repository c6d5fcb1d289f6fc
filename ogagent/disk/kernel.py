"""The disks that the kernel knows, and which of them count."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
import pyudev
from msgspec import Struct

from ogagent.disk.identity import (
    SYSFS_SECTOR,
    device_node,
    disk_identity,
    read_line,
    read_number,
    size_of,
    sysfs_directory,
)
from ogagent.disk.occupancy import block_device_number, read_holder, read_occupants
from ogagent.errors import ToolMissing

_log = logging.getLogger(__name__)

# In RAM, in files, on other devices, on the network, in flash chips of the mainboard, floppies, optical drives.
_NO_DISKS: Final = ("dm-", "drbd", "fd", "loop", "md", "mtdblock", "nbd", "pmem", "ram", "rbd", "sr", "zd", "zram")


class KernelPartition(Struct, frozen=True, kw_only=True):
    """``start`` and ``size`` in bytes. ``mounted`` is what holds it, None for nothing."""

    device: str
    start: int
    size: int
    mounted: str | None = None


class KernelDisk(Struct, frozen=True, kw_only=True):
    """A disk before its table is read. ``partitions`` are those the kernel knows, by number; it may know none."""

    device: str
    identity: str
    model: str
    size: int
    sector_size: int
    mounted: str | None = None
    partitions: Mapping[int, KernelPartition] = msgspec.field(default_factory=dict)


def find_disks(include: Sequence[str], exclude: Sequence[str]) -> list[KernelDisk]:
    """In the order of their numbers. Blocking. Raises ToolMissing without libudev."""
    excluded = {block_device_number(path) for path in exclude}
    own = sorted(_block_devices(), key=lambda rdev: (os.major(rdev), os.minor(rdev)))
    chosen = [rdev for rdev in own if is_disk(sysfs_directory(rdev))] + list(_included(include))
    occupants = read_occupants()
    disks = []
    for rdev in dict.fromkeys(chosen):
        if rdev not in excluded:
            disks += _described(rdev, occupants)
    return disks


def _block_devices() -> Iterator[int]:
    try:
        context = pyudev.Context()
    except ImportError:
        raise ToolMissing("libudev.so.1 is not installed", hint="apt install libudev1") from None
    for device in context.list_devices(subsystem="block", DEVTYPE="disk"):
        if device.device_node is not None:
            yield device.device_number


def is_disk(sysfs: Path) -> bool:
    """Whether the device counts without being asked for."""
    flags = [read_line(sysfs / flag) for flag in ("removable", "ro", "hidden")]
    return "1" not in flags and not sysfs.name.startswith(_NO_DISKS)


def _included(paths: Iterable[str]) -> Iterator[int]:
    for path in paths:
        rdev = block_device_number(path)
        if rdev is None or (sysfs_directory(rdev) / "partition").exists():
            _log.warning("disks.include: %s is no disk", path)
        else:
            yield rdev


def _described(rdev: int, occupants: Mapping[int, str]) -> list[KernelDisk]:
    """Empty for a device without a medium, and for one that has just gone."""
    try:
        disk = describe_disk(sysfs_directory(rdev), occupants)
    except (OSError, ValueError) as error:
        _log.warning("disk %d:%d is left out: %s", os.major(rdev), os.minor(rdev), error)
        return []
    return [disk] if disk.size > 0 else []


def describe_disk(sysfs: Path, occupants: Mapping[int, str]) -> KernelDisk:
    """``occupants`` by device number. Raises OSError or ValueError when sysfs does not say what it must."""
    parts = {read_number(path): path.parent for path in sysfs.glob("*/partition")}
    return KernelDisk(
        device=device_node(sysfs),
        identity=disk_identity(sysfs),
        model=read_line(sysfs / "device/model") or read_line(sysfs / "device/name"),
        size=size_of(sysfs),
        sector_size=read_number(sysfs / "queue/logical_block_size"),
        mounted=_holder(sysfs, occupants),
        partitions={number: _partition(parts[number], occupants) for number in sorted(parts)},
    )


def _partition(sysfs: Path, occupants: Mapping[int, str]) -> KernelPartition:
    return KernelPartition(
        device=device_node(sysfs),
        start=read_number(sysfs / "start") * SYSFS_SECTOR,
        size=size_of(sysfs),
        mounted=_holder(sysfs, occupants),
    )


def _holder(sysfs: Path, occupants: Mapping[int, str]) -> str | None:
    major, minor = map(int, (sysfs / "dev").read_text().split(":"))
    return occupants.get(os.makedev(major, minor)) or read_holder(sysfs)
