"""The disks of the machine this runs on, as they are now."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import pyudev
from msgspec import Struct

from ogagent.disk import content
from ogagent.disk.codes import is_extended, mark_cache, partition_code
from ogagent.disk.identity import disk_identity, size_of
from ogagent.disk.occupancy import block_device_number, read_holder, read_occupants
from ogagent.disk.operating_system import operating_system
from ogagent.disk.tables import Table, TableEntry, read_table
from ogagent.disk.text import printable
from ogagent.errors import ToolFailed
from ogagent.model.disk import Disk, Inventory, Partition

_log: Final = logging.getLogger(__name__)

# Documentation/admin-guide/devices.txt: RAM disks, floppies, loop devices, md, optical drives
_NO_DISKS: Final = frozenset((1, 2, 7, 9, 11))
_NO_DISK_NAMES: Final = ("zram", "dm-", "nbd", "mtdblock", "drbd")


class _Found(Struct, frozen=True):
    device: str
    sysfs: Path


async def read_inventory(include: Sequence[str], exclude: Sequence[str]) -> Inventory:
    """A disk that cannot be read is listed with what is known of it. Raises ToolMissing."""
    found = await asyncio.to_thread(_enumerate, include, exclude)
    occupants = await asyncio.to_thread(read_occupants)
    disks = [await _read_disk(number, each, occupants) for number, each in enumerate(found, start=1)]
    return Inventory(disks=mark_cache(disks))


def _enumerate(include: Sequence[str], exclude: Sequence[str]) -> list[_Found]:
    context = pyudev.Context()
    devices = [each for each in context.list_devices(subsystem="block", DEVTYPE="disk") if _is_disk(each)]
    devices.sort(key=lambda each: (os.major(each.device_number), os.minor(each.device_number)))
    numbers = {block_device_number(path) for path in exclude}
    paths = [str(each.device_node) for each in devices] + list(include)
    found: list[_Found] = []
    for path in dict.fromkeys(paths):
        number = block_device_number(path)
        if number is None:
            _log.warning("%s is no block device", path)
        elif number not in numbers:
            numbers.add(number)
            found.append(_Found(path, Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve()))
    return found


def _is_disk(device: pyudev.Device) -> bool:
    sysfs = Path(device.sys_path)
    if os.major(device.device_number) in _NO_DISKS or sysfs.name.startswith(_NO_DISK_NAMES):
        return False
    return _flag(sysfs, "removable") == _flag(sysfs, "ro") == "0" and size_of(sysfs) > 0


def _flag(sysfs: Path, name: str) -> str:
    with suppress(OSError):
        return (sysfs / name).read_text().strip()
    return "0"


async def _read_disk(number: int, found: _Found, occupants: dict[int, str]) -> Disk:
    sysfs = found.sysfs
    sector_size = int((sysfs / "queue/logical_block_size").read_text())
    try:
        table = await read_table(found.device, sector_size)
    except (OSError, ToolFailed) as error:
        _log.warning("the partition table of %s cannot be read: %s", found.device, error)
        table = None
    whole = occupants.get(block_device_number(found.device) or 0) or read_holder(sysfs)
    entries = sorted(table.entries, key=lambda entry: entry.number) if table else []
    partitions = [await _read_partition(found, table, entry, whole, occupants) for entry in entries if table]
    return Disk(
        disk=number,
        device=found.device,
        identity=disk_identity(sysfs, found.device),
        model=_model(sysfs),
        size=size_of(sysfs),
        sector_size=sector_size,
        table=table.kind if table else None,
        partitions=tuple(partitions),
    )


async def _read_partition(
    found: _Found, table: Table, entry: TableEntry, whole: str | None, occupants: dict[int, str]
) -> Partition:
    device, sysfs = _node(found, entry)
    number = block_device_number(device)
    held = occupants.get(number or 0) or (read_holder(sysfs) if sysfs else None) or whole
    code = partition_code(table.kind, entry.type)
    inside = content.Content()
    system = ""
    if number is not None and not is_extended(table.kind, code):
        try:
            inside = await asyncio.to_thread(_probe, device)
            system = await operating_system(device, 0, inside.filesystem)
        except OSError as error:
            _log.warning("%s cannot be read: %s", device, error)
    return Partition(
        partition=entry.number,
        device=device,
        start=entry.start,
        size=entry.size,
        code=code,
        filesystem=inside.filesystem,
        label=inside.label,
        name=printable(entry.name),
        os=system,
        used=inside.used,
        mounted=held,
    )


def _node(found: _Found, entry: TableEntry) -> tuple[str, Path | None]:
    """The kernel's own name for a partition, with its sysfs directory; the usual name when the kernel has none."""
    for child in found.sysfs.glob("*/partition"):
        with suppress(OSError, ValueError):
            if int(child.read_text()) == entry.number:
                return f"/dev/{child.parent.name.replace('!', '/')}", child.parent
    return entry.device, None


def _probe(device: str) -> content.Content:
    fd = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return content.probe(fd, 0, os.lseek(fd, 0, os.SEEK_END))
    finally:
        os.close(fd)


def _model(sysfs: Path) -> str:
    with suppress(OSError):
        return printable((sysfs / "device/model").read_text(errors="replace")).strip()
    return ""
