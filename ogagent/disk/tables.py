"""Partition tables, as ``sfdisk --json`` reads them, and whether they can be believed."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from ogagent.disk import blkid
from ogagent.disk.chain import Chain, read_chain
from ogagent.disk.layout import Layout, Span, is_extended, own_spans
from ogagent.disk.whole import whole_disk_problem
from ogagent.errors import ToolFailed
from ogagent.model.disk import TableKind
from ogagent.model.units import KIB
from ogagent.system import process
from ogagent.system.text import printable

_log: Final = logging.getLogger(__name__)

_TIMEOUT_S: Final = 10
_MOST_OUTPUT: Final = 128 * KIB  # twice what the 128 partitions of a GPT can take
_KINDS: Final[dict[str, TableKind]] = {"gpt": "gpt", "dos": "msdos"}
_Found = TypeVar("_Found")


class TableEntry(Struct, frozen=True, kw_only=True):
    """``start`` and ``size`` in bytes; ``type`` a type byte in hexadecimal or a GUID; ``device`` the usual node.

    ``problem`` says why its bytes are not its own; empty when they are.
    """

    number: int
    device: str
    start: int
    size: int
    type: str
    name: str = ""
    problem: str = ""


class Table(Struct, frozen=True, kw_only=True):
    """``kind`` is None for a disk without a table that is known here; ``problem`` says what it holds instead, or why
    its partitions must not be used. ``usable`` is what the header of a GPT leaves for partitions.
    """

    kind: TableKind | None
    entries: tuple[TableEntry, ...] = ()
    usable: Span = Span(0, 0)
    problem: str = ""


async def read_table(device: str, sector_size: int, executor: Executor | None = None) -> Table:
    """The table of a disk, or of a file that is one. Blocks in threads of the executor; None: the loop's own.

    Raises OSError when it cannot be read, ToolMissing, ToolFailed.
    """
    # sfdisk fails on a disk without a table and on a broken disk alike; libblkid tells them apart.
    kind = await _look(executor, device, lambda fd: blkid.partition_table(fd, sector_size))
    table = Table(kind=None)
    if kind in _KINDS:
        said = await process.run(["sfdisk", "--json", device], timeout_s=_TIMEOUT_S, max_output=_MOST_OUTPUT)
        table = parse_table(said)
        if table.kind != _KINDS[kind]:
            raise ToolFailed(f"sfdisk reads a table of kind {table.kind} where libblkid finds {kind}")
    return await _look(executor, device, lambda fd: _judged(fd, sector_size, kind, table))


async def _look(executor: Executor | None, device: str, at: Callable[[int], _Found]) -> _Found:
    def opened() -> _Found:
        fd = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return at(fd)
        finally:
            os.close(fd)

    return await asyncio.get_running_loop().run_in_executor(executor, opened)


def _judged(fd: int, sector_size: int, kind: str, table: Table) -> Table:
    problem = whole_disk_problem(fd, sector_size, table=kind, entries=len(table.entries))
    if table.kind is None:
        return replace(table, problem=problem)
    size = os.lseek(fd, 0, os.SEEK_END)
    extended = [entry for entry in table.entries if is_extended(table.kind, entry.type)]
    chain = read_chain(fd, extended[0], sector_size) if extended else Chain()  # sfdisk, too, follows the first only
    own = own_spans(table.kind, size, sector_size, usable=table.usable, links=chain.links)
    layout = Layout(kind=table.kind, size=size, entries=table.entries, own=own, chain=chain.broken)
    entries = tuple(replace(entry, problem=layout.problem_of(entry)) for entry in table.entries)
    return replace(table, entries=entries, problem=problem)


_Count = Annotated[int, Meta(ge=0)]


class _SfdiskEntry(Struct):
    node: str
    start: _Count
    size: _Count
    type: str
    name: str = ""


class _SfdiskTable(Struct):
    label: str
    device: str
    unit: str
    sectorsize: _Count
    firstlba: _Count = 0
    lastlba: _Count = 0
    partitions: list[_SfdiskEntry] = []


class _SfdiskOutput(Struct):
    partitiontable: _SfdiskTable


def parse_table(output: bytes) -> Table:
    """From the output of ``sfdisk --json``. Raises ToolFailed when it is not what sfdisk 2.38 and later print."""
    try:
        table = msgspec.convert(_json(output), _SfdiskOutput).partitiontable
    except (ValueError, RecursionError, msgspec.ValidationError) as error:
        raise ToolFailed(
            f"the output of sfdisk cannot be read: {error}", hint="sfdisk 2.38 or later is needed"
        ) from None
    kind = _KINDS.get(table.label)
    if kind is None or table.unit != "sectors":
        raise ToolFailed(f"sfdisk describes a table of kind {table.label!r} in {table.unit!r}")
    entries = tuple(_entry(table, each) for each in table.partitions)
    if len({entry.number for entry in entries}) < len(entries):
        raise ToolFailed(f"sfdisk names a partition of {table.device} twice")
    usable = Span(table.firstlba * table.sectorsize, (table.lastlba + 1) * table.sectorsize)
    return Table(kind=kind, entries=entries, usable=usable)


def _json(output: bytes) -> Any:
    """What sfdisk has to remark about a table stands before the JSON, and names stand in it byte by byte, also where
    these are no UTF-8. Raises ValueError."""
    remarks, brace, document = output.decode(errors="replace").partition("{")
    if remarks.strip():
        _log.info("sfdisk remarks: %s", printable(remarks))
    return json.loads(brace + document, strict=False)


def _entry(table: _SfdiskTable, found: _SfdiskEntry) -> TableEntry:
    # /dev/sda2, /dev/nvme0n1p2, /dev/disk/by-id/wwn-0x5000c500a1b2c3d4-part2
    number = re.fullmatch(rf"{re.escape(table.device)}(?:p|-part)?([1-9][0-9]{{0,3}})", found.node)
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
