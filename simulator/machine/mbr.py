"""MSDOS partition tables on disks that are files: four primary partitions, as a classroom has them.

Source: the layout that sfdisk(8) writes; the table lies in the first sector, at byte 446.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from typing import BinaryIO, Final

from msgspec import Struct

_SECTOR: Final = 512
_TABLE_AT: Final = 446
_ROW: Final = struct.Struct("<B3sB3sII")
_ROWS: Final = 4
_SIGNATURE: Final = b"\x55\xaa"
_PROTECTIVE: Final = 0xEE
# Programs that still look at cylinders, heads and sectors read "beyond what these can say" here.
_NO_GEOMETRY: Final = b"\xfe\xff\xff"


class MbrEntry(Struct, frozen=True, kw_only=True):
    """``start`` and ``size`` in bytes."""

    number: int
    start: int
    size: int
    type: int


def write_mbr(file: BinaryIO, entries: Sequence[MbrEntry]) -> None:
    rows = bytearray(_ROWS * _ROW.size)
    for entry in entries:
        where = (entry.start // _SECTOR, entry.size // _SECTOR)
        _ROW.pack_into(rows, (entry.number - 1) * _ROW.size, 0, _NO_GEOMETRY, entry.type, _NO_GEOMETRY, *where)
    file.seek(_TABLE_AT)
    file.write(rows + _SIGNATURE)


def read_mbr(fd: int) -> tuple[MbrEntry, ...] | None:
    """None where there is no table, or one that only protects a GPT."""
    sector = os.pread(fd, _SECTOR, 0)
    if len(sector) < _SECTOR or sector[-2:] != _SIGNATURE:
        return None
    rows = list(_ROW.iter_unpack(sector[_TABLE_AT:-2]))
    entries = [(number, row) for number, row in enumerate(rows, start=1) if row[2] and row[5]]
    if not entries or any(row[2] == _PROTECTIVE for _, row in entries):
        return None
    return tuple(
        MbrEntry(number=number, start=first * _SECTOR, size=count * _SECTOR, type=kind)
        for number, (_, _, kind, _, first, count) in entries
    )
