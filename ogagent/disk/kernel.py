"""The disks that the kernel knows, and which of them count."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import pyudev
from msgspec import Struct, field
from msgspec.structs import replace

from ogagent.disk.excluded import Excluded
from ogagent.disk.identity import SECTOR, device_node, disk_identity, read_line, read_number, size_of, sysfs_directory
from ogagent.disk.layout import Span
from ogagent.disk.occupancy import block_device_number, read_holder, read_occupants
from ogagent.errors import ToolMissing
from ogagent.model.disk import UNREADABLE

_log: Final = logging.getLogger(__name__)

# In RAM, in files, on other devices, on the network, in flash chips of the mainboard; floppies and optical drives.
_NO_DISKS: Final = ("bcache", "dm-", "drbd", "fd", "loop", "md", "mtdblock", "nbd", "ram", "rbd", "sr", "zd", "zram")
_USB: Final = re.compile(r"usb[0-9]+")
_SD_CARD: Final = "SD"  # an eMMC, which is soldered in, says MMC: linux/drivers/mmc/core/bus.c


class KernelPartition(Struct, frozen=True, kw_only=True):
    """``start`` and ``size`` in bytes. ``holder`` is a mount point, ``[SWAP]``, ``[dm-0]``, or None."""

    device: str
    start: int
    size: int
    holder: str | None = None


class KernelDisk(Struct, frozen=True, kw_only=True):
    """A disk before its table is read. ``partitions`` are those that the kernel knows, by number; it may know none.

    ``holder`` is what holds the disk as a whole; ``protected`` what of it must not be written to, as disks.exclude has
    it; ``problem`` why nothing more can be known of it.
    """

    device: str
    identity: str
    model: str
    size: int
    sector_size: int
    holder: str | None = None
    partitions: Mapping[int, KernelPartition] = field(default_factory=dict)
    protected: tuple[Span, ...] = ()
    problem: str = ""


def find_disks(include: Sequence[str], excluded: Excluded) -> dict[int, KernelDisk]:
    """By their numbers. Blocking. Raises ToolMissing without libudev."""
    chosen = dict.fromkeys([*in_order(_block_devices()), *_included(include)])
    return numbered(chosen, read_occupants(), excluded)


def numbered(sysfs: Iterable[Path], occupants: Mapping[int, str], excluded: Excluded) -> dict[int, KernelDisk]:
    """A disk that is left out keeps its number: those of the others do not depend on what the configuration says."""
    known = (known_disk(directory, occupants) for directory in sysfs)
    there = [disk for disk in known if disk is not None and (disk.size > 0 or disk.problem)]
    return {
        number: replace(disk, protected=excluded.spans_on(disk.identity))
        for number, disk in enumerate(there, start=1)
        if disk.identity not in excluded.disks
    }


def in_order(devices: Iterable[tuple[int, Path]]) -> list[Path]:
    """Those that count, of all block devices that are no partitions: device number and sysfs directory."""
    own = [(os.major(number), os.minor(number), sysfs) for number, sysfs in devices if is_disk(sysfs)]
    return [sysfs for _, _, sysfs in sorted(own)]


def _block_devices() -> Iterator[tuple[int, Path]]:
    try:
        context = pyudev.Context()
    except ImportError:
        raise ToolMissing("libudev.so.1 is not installed", hint="apt install libudev1") from None
    for device in context.list_devices(subsystem="block", DEVTYPE="disk"):
        if device.device_node is not None:
            yield device.device_number, Path(device.sys_path)


def is_disk(sysfs: Path) -> bool:
    """Whether the device counts without being asked for.

    What hangs on USB, and a card in a reader, come before an NVMe disk in the order of numbers, and do not call
    themselves removable: a disk that somebody has left plugged in would be disk 1.
    """
    flags = [read_line(sysfs / flag) for flag in ("removable", "ro", "hidden")]
    guest = any(map(_USB.fullmatch, sysfs.parts)) or read_line(sysfs / "device/type") == _SD_CARD
    return "1" not in flags and not guest and not sysfs.name.startswith(_NO_DISKS)


def _included(paths: Iterable[str]) -> Iterator[Path]:
    for path in paths:
        number = block_device_number(path)
        if number is None or (sysfs_directory(number) / "partition").exists():
            _log.warning("disks.include: %s is no disk", path)
        else:
            yield sysfs_directory(number)


def known_disk(sysfs: Path, occupants: Mapping[int, str]) -> KernelDisk | None:
    """None for a disk that has just gone. One that is there is counted, whatever is wrong with it: the numbers of those
    after it depend on it.
    """
    try:
        return describe_disk(sysfs, occupants)
    except (OSError, ValueError, OverflowError) as error:
        _log.warning("%s cannot be read: %s", sysfs, error)
        return _unknown(sysfs) if sysfs.exists() else None


def _unknown(sysfs: Path) -> KernelDisk:
    device = device_node(sysfs)
    problem = f"{UNREADABLE}: the kernel does not say what it must"
    return KernelDisk(device=device, identity=f"path:{device}", model="", size=0, sector_size=SECTOR, problem=problem)


def describe_disk(sysfs: Path, occupants: Mapping[int, str]) -> KernelDisk:
    """``occupants`` by device number. Raises OSError or ValueError when sysfs does not say what it must."""
    device = device_node(sysfs)
    sector_size = read_number(sysfs / "queue/logical_block_size")
    if sector_size < SECTOR:
        raise ValueError(f"sectors of {sector_size} bytes")
    return KernelDisk(
        device=device,
        identity=disk_identity(sysfs, device),
        model=read_line(sysfs / "device/model") or read_line(sysfs / "device/name"),
        size=size_of(sysfs),
        sector_size=sector_size,
        holder=_holder(sysfs, occupants),
        partitions=dict(sorted(_partitions(sysfs, occupants))),
    )


def _partitions(sysfs: Path, occupants: Mapping[int, str]) -> Iterator[tuple[int, KernelPartition]]:
    """Without those that cannot be described, as one that goes at this moment: in the table it is then one that the
    kernel does not have.
    """
    for path in sysfs.glob("*/partition"):
        try:
            yield read_number(path), _partition(path.parent, occupants)
        except (OSError, ValueError, OverflowError) as error:
            _log.warning("%s is left out: %s", path.parent, error)


def _partition(sysfs: Path, occupants: Mapping[int, str]) -> KernelPartition:
    return KernelPartition(
        device=device_node(sysfs),
        start=read_number(sysfs / "start") * SECTOR,
        size=size_of(sysfs),
        holder=_holder(sysfs, occupants),
    )


def _holder(sysfs: Path, occupants: Mapping[int, str]) -> str | None:
    major, minor = map(int, (sysfs / "dev").read_text("utf-8").split(":"))
    return occupants.get(os.makedev(major, minor)) or read_holder(sysfs)
