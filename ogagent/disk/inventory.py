"""The disks of the machine this runs on, and what is on them, as they are now."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from ogagent.disk.codes import is_extended, mark_cache, partition_code
from ogagent.disk.content import Content, probe
from ogagent.disk.kernel import KernelDisk, find_disks
from ogagent.disk.operating_system import operating_system
from ogagent.disk.tables import TableEntry, read_table
from ogagent.disk.text import printable
from ogagent.disk.usage import used_percent_of_mount
from ogagent.errors import ToolFailed
from ogagent.model.disk import Disk, Inventory, Partition, TableKind

_log: Final = logging.getLogger(__name__)


async def read_inventory(include: Sequence[str], exclude: Sequence[str]) -> Inventory:
    """``include`` and ``exclude`` as in ``[disks]`` of the configuration. Raises ToolMissing."""
    found = await asyncio.to_thread(find_disks, include, exclude)
    return Inventory(disks=mark_cache([await read_disk(number, disk) for number, disk in enumerate(found, start=1)]))


async def read_disk(number: int, disk: KernelDisk) -> Disk:
    """A disk that cannot be read is listed with what is known of it. Raises ToolMissing."""
    try:
        table = await read_table(disk.device, disk.sector_size)
    except (OSError, ToolFailed) as error:
        _log.warning("the partition table of %s cannot be read: %s", disk.device, error)
        table = None
    return Disk(
        disk=number,
        device=disk.device,
        identity=disk.identity,
        model=disk.model,
        size=disk.size,
        sector_size=disk.sector_size,
        table=table.kind if table else None,
        partitions=tuple([await _partition(disk, table.kind, entry) for entry in table.entries]) if table else (),
    )


async def _partition(disk: KernelDisk, table: TableKind, entry: TableEntry) -> Partition:
    code = partition_code(table, entry.type)
    place = _place(disk, entry)
    # An extended partition holds partitions, and the kernel's node for it is two sectors long.
    content = Content() if is_extended(table, code) else await asyncio.to_thread(_content, place)
    return Partition(
        partition=entry.number,
        device=entry.device,
        start=entry.start,
        size=entry.size,
        code=code,
        filesystem=content.filesystem,
        label=content.label,
        name=printable(entry.name),
        os=await operating_system(place.device, place.offset, content.filesystem),
        used=content.used,
        mounted=_holder(disk, entry),
    )


def _holder(disk: KernelDisk, entry: TableEntry) -> str | None:
    """What holds any byte of it, also where the kernel still goes by an older table; or what holds the whole disk."""
    overlapping = [
        known.holder
        for known in disk.partitions.values()
        if known.start < entry.start + entry.size and entry.start < known.start + known.size
    ]
    return next((printable(holder) for holder in (*overlapping, disk.holder) if holder), None)


class _Place(Struct, frozen=True):
    """Where the bytes of a partition are read; ``mount_point`` when they are mounted as a file system."""

    device: str
    offset: int
    size: int
    mount_point: str | None = None


def _place(disk: KernelDisk, entry: TableEntry) -> _Place:
    """Its own node, whose cache knows what was written through it; the disk where the kernel has no such partition."""
    known = disk.partitions.get(entry.number)
    if known is None or (known.start, known.size) != (entry.start, entry.size):
        return _Place(disk.device, entry.start, entry.size)
    mounted = known.holder if known.holder and known.holder.startswith("/") else None
    return _Place(known.device, 0, entry.size, mounted)


def _content(place: _Place) -> Content:
    """Empty when the device cannot be read."""
    try:
        fd = os.open(place.device, os.O_RDONLY | os.O_CLOEXEC)
        try:
            content = probe(fd, place.offset, place.size)
        finally:
            os.close(fd)
    except OSError as error:
        _log.warning("%s cannot be read at %d: %s", place.device, place.offset, error)
        return Content()
    return replace(content, used=used_percent_of_mount(place.mount_point)) if place.mount_point else content
