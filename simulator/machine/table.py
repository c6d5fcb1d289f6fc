"""The partition table of a disk that is a file, of whichever kind it is."""

from __future__ import annotations

import os
from typing import Literal

from msgspec import Struct

from simulator.machine import gpt
from simulator.machine.mbr import read_chain, read_mbr


class Row(Struct, frozen=True, kw_only=True):
    """``start`` and ``size`` in bytes; ``type`` as ``sfdisk --json`` prints it: a GUID, or a byte in hexadecimal."""

    number: int
    start: int
    size: int
    type: str
    name: str = ""


class DiskTable(Struct, frozen=True, kw_only=True):
    """``size`` is that of the disk. ``kind`` is None for a disk without a table; ``sector_size`` is a guess then.

    ``usable`` is what a GPT leaves for partitions, ``links`` and ``broken`` belong to the chain of logical ones.
    """

    kind: Literal["gpt", "msdos"] | None
    size: int
    sector_size: int = 512
    rows: tuple[Row, ...] = ()
    usable: tuple[int, int] = (0, 0)
    links: tuple[int, ...] = ()
    broken: Literal["", "circle", "unsigned", "outside", "crowded"] = ""

    def row(self, number: int) -> Row | None:
        return next((row for row in self.rows if row.number == number), None)


def read_disk(fd: int) -> DiskTable:
    size = os.fstat(fd).st_size
    if table := gpt.read_table(fd):
        rows = tuple(
            Row(number=each.number, start=each.start, size=each.size, type=each.type, name=each.name)
            for each in table.entries
        )
        return DiskTable(kind="gpt", size=size, sector_size=table.sector_size, rows=rows, usable=table.usable)
    if (primaries := read_mbr(fd)) is not None:
        chain = read_chain(fd, primaries)
        rows = tuple(
            Row(number=each.number, start=each.start, size=each.size, type=f"{each.type:x}")
            for each in (*primaries, *chain.entries)
        )
        return DiskTable(kind="msdos", size=size, rows=rows, links=chain.links, broken=chain.broken)
    return DiskTable(kind=None, size=size)
