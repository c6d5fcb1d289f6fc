"""The disks of the machine this runs on, and what is on them, as they are now."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Sequence
from functools import partial
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from ogagent.disk.codes import partition_code
from ogagent.disk.content import Content, probe
from ogagent.disk.excluded import Exclusions
from ogagent.disk.kernel import KernelDisk, find_disks
from ogagent.disk.layout import Span, is_extended, span_of
from ogagent.disk.operating_system import operating_system
from ogagent.disk.readings import THOROUGH, Reading, Unread
from ogagent.disk.tables import Table, TableEntry, read_table
from ogagent.disk.usage import used_percent_of_mount
from ogagent.errors import AgentError, ToolMissing
from ogagent.model.disk import OLDER_TABLE, PROTECTED, UNREADABLE, Disk, Partition, TableKind
from ogagent.system.text import printable

_log: Final = logging.getLogger(__name__)


def unread_disks(include: Sequence[str], exclusions: Exclusions) -> list[Unread]:
    """``include`` as in ``[disks]`` of the configuration. Blocking. Raises ToolMissing."""
    found = find_disks(include, exclusions.now()).items()
    return [Unread(_row(number, disk, Table(kind=None)), partial(read_disk, number, disk)) for number, disk in found]


async def read_disk(number: int, disk: KernelDisk, reading: Reading = THOROUGH) -> Disk:
    """A disk that cannot be read is listed with what is known of it, and why. Raises ToolMissing."""
    table = await _table(disk, reading)
    partitions = await _partitions(disk, table.kind, table.entries, reading) if table.kind else ()
    return _row(number, disk, table, partitions)


def _row(number: int, disk: KernelDisk, table: Table, partitions: tuple[Partition, ...] = ()) -> Disk:
    return Disk(
        disk=number,
        device=disk.device,
        identity=disk.identity,
        model=disk.model,
        size=disk.size,
        sector_size=disk.sector_size,
        table=table.kind,
        partitions=partitions,
        problem=table.problem,
    )


async def _table(disk: KernelDisk, reading: Reading) -> Table:
    if disk.problem:
        return Table(kind=None, problem=disk.problem)
    try:
        return await read_table(disk.device, disk.sector_size, reading.executor)
    except ToolMissing:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the other disks are told of
        return Table(kind=None, problem=_unreadable(f"the partition table of {disk.device}", error))


async def _partitions(
    disk: KernelDisk, table: TableKind, entries: Sequence[TableEntry], reading: Reading
) -> tuple[Partition, ...]:
    protected = _protected(disk, table, entries)
    found = [(span_of(entry), await _partition(disk, table, entry, reading)) for entry in entries]
    return tuple(
        replace(part, problem=PROTECTED) if any(each.meets(span) for each in protected) else part
        for span, part in found
    )


def _protected(disk: KernelDisk, table: TableKind, entries: Sequence[TableEntry]) -> tuple[Span, ...]:
    """Who names an extended partition means what is in it, and the kernel's node for it is two sectors long."""
    starts = {span.start for span in disk.protected}
    extended = (span_of(entry) for entry in entries if is_extended(table, entry.type) and entry.start in starts)
    return (*disk.protected, *extended)


async def _partition(disk: KernelDisk, table: TableKind, entry: TableEntry, reading: Reading) -> Partition:
    place = _place(disk, entry)
    extended = is_extended(table, entry.type)
    # An extended partition holds partitions, and the kernel's node for it is two sectors long.
    readable = not extended and Span(0, disk.size).holds(span_of(entry))
    content, unread = Content(), ""
    if readable:
        loop = asyncio.get_running_loop()
        content, unread = await loop.run_in_executor(reading.executor, _content, place, reading.thorough)
    return Partition(
        partition=entry.number,
        device=entry.device,
        start=entry.start,
        size=entry.size,
        code=partition_code(table, entry.type),
        filesystem=content.filesystem,
        label=content.label,
        name=printable(entry.name),
        os=await operating_system(place.device, place.offset, content.filesystem) if reading.thorough else "",
        used=content.used,
        mounted=_holder(disk, entry),
        problem=entry.problem or (OLDER_TABLE if _is_elsewhere(disk, entry, extended=extended) else unread),
        member=content.member,
        hibernated=content.hibernated,
        incomplete=content.incomplete,
    )


def _holder(disk: KernelDisk, entry: TableEntry) -> str | None:
    """What holds any byte of it, also where the kernel still goes by an older table; or what holds the whole disk."""
    overlapping = [known.holder for known in disk.partitions.values() if span_of(known).meets(span_of(entry))]
    return next((printable(holder) for holder in (*overlapping, disk.holder) if holder), None)


def _is_elsewhere(disk: KernelDisk, entry: TableEntry, *, extended: bool) -> bool:
    """Whether the kernel has another place for it. A kernel that has read no table at all has none for anything."""
    known = disk.partitions.get(entry.number)
    if known is None:
        return bool(disk.partitions)
    return not extended and span_of(known) != span_of(entry)


class _Place(Struct, frozen=True):
    """Where the bytes of a partition are read; ``mount_point`` when they are mounted as a file system."""

    device: str
    offset: int
    size: int
    mount_point: str | None = None


def _place(disk: KernelDisk, entry: TableEntry) -> _Place:
    """Its own node, whose cache knows what was written through it; the disk where the kernel has no such partition."""
    known = disk.partitions.get(entry.number)
    if known is None or span_of(known) != span_of(entry):
        return _Place(disk.device, entry.start, entry.size)
    mounted = known.holder if known.holder and known.holder.startswith("/") else None
    return _Place(known.device, 0, entry.size, mounted)


def _content(place: _Place, thorough: bool) -> tuple[Content, str]:
    """With the reason why it cannot be read; empty when it can."""
    try:
        fd = os.open(place.device, os.O_RDONLY | os.O_CLOEXEC)
        try:
            content = probe(fd, place.offset, place.size, used=thorough and not place.mount_point)
        finally:
            os.close(fd)
        if thorough and place.mount_point:
            content = replace(content, used=used_percent_of_mount(place.mount_point))
    except ToolMissing:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the other partitions are told of
        return Content(), _unreadable(f"{place.device} at {place.offset}", error)
    return content, ""


def _unreadable(what: str, error: Exception) -> str:
    """The problem of what could not be read for this reason."""
    match error:
        case AgentError():
            reason = error.message
        case OSError():
            reason = error.strerror or str(error)
        case _:
            reason = "internal error"
            _log.exception("%s", what)
    _log.warning("%s cannot be read: %s", what, reason)
    return f"{UNREADABLE}: {printable(reason)}"
