"""Partition tables, as ``sfdisk --json`` reads them."""

from __future__ import annotations

import asyncio
import os
import re
from typing import Final

import msgspec
from msgspec import Struct

from ogagent.disk import blkid
from ogagent.errors import ToolFailed
from ogagent.model.disk import TableKind
from ogagent.system import process

_TIMEOUT_S: Final = 20
_KINDS: Final[dict[str, TableKind]] = {"gpt": "gpt", "dos": "msdos"}


class TableEntry(Struct, frozen=True, kw_only=True):
    """``start`` and ``size`` in bytes; ``type`` a type byte in hexadecimal or a GUID; ``device`` the usual node."""

    number: int
    device: str
    start: int
    size: int
    type: str
    name: str = ""


class Table(Struct, frozen=True, kw_only=True):
    kind: TableKind
    entries: tuple[TableEntry, ...] = ()


async def read_table(device: str, sector_size: int) -> Table | None:
    """The table of a disk, or of a file that is one; None when it has none, or one of another kind.

    Raises OSError when the device cannot be read, ToolMissing, ToolFailed.
    """
    # sfdisk fails on a disk without a table and on a broken disk alike; libblkid tells them apart.
    kind = await asyncio.to_thread(_table_kind, device, sector_size)
    if kind not in _KINDS:
        return None
    return parse_table(await process.run(["sfdisk", "--json", device], timeout_s=_TIMEOUT_S))


def _table_kind(device: str, sector_size: int) -> str:
    fd = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return blkid.partition_table(fd, sector_size)
    finally:
        os.close(fd)


class _SfdiskEntry(Struct):
    node: str
    start: int
    size: int
    type: str
    name: str = ""


class _SfdiskTable(Struct):
    label: str
    device: str
    unit: str
    sectorsize: int
    partitions: list[_SfdiskEntry] = []


class _SfdiskOutput(Struct):
    partitiontable: _SfdiskTable


def parse_table(output: bytes) -> Table:
    """From the output of ``sfdisk --json``. Raises ToolFailed when it is not what sfdisk 2.38 and later print."""
    try:
        table = msgspec.json.decode(output, type=_SfdiskOutput).partitiontable
    except msgspec.DecodeError as error:
        raise ToolFailed(
            f"the output of sfdisk cannot be read: {error}", hint="sfdisk 2.38 or later is needed"
        ) from None
    kind = _KINDS.get(table.label)
    if kind is None or table.unit != "sectors":
        raise ToolFailed(f"sfdisk describes a table of kind {table.label!r} in {table.unit!r}")
    return Table(kind=kind, entries=tuple(_entry(table, each) for each in table.partitions))


def _entry(table: _SfdiskTable, found: _SfdiskEntry) -> TableEntry:
    # /dev/sda2, /dev/nvme0n1p2, /dev/disk/by-id/wwn-0x5000c500a1b2c3d4-part2
    number = re.fullmatch(rf"{re.escape(table.device)}(?:p|-part)?([1-9][0-9]*)", found.node)
    if number is None:
        raise ToolFailed(f"sfdisk names a partition of {table.device} {found.node!r}")
    return TableEntry(
        number=int(number[1]),
        device=found.node,
        start=found.start * table.sectorsize,
        size=found.size * table.sectorsize,
        type=found.type,
        name=found.name,
    )
