"""MSDOS partition tables on disks that are files: four primary partitions, and a chain of logical ones in an extended.

Source: the layout that sfdisk(8) writes; a table lies in the first sector, at byte 446, and in each link of the chain.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence
from typing import BinaryIO, Final, Literal

from msgspec import Struct

_SECTOR: Final = 512
_TABLE_AT: Final = 446
_ROW: Final = struct.Struct("<B3sB3sII")
_ROWS: Final = 4
_SIGNATURE: Final = b"\x55\xaa"
_PROTECTIVE: Final = 0xEE
_EXTENDED: Final = (0x05, 0x0F, 0x85)
_FIRST_LOGICAL: Final = 5
_MOST_LINKS: Final = 56
_BOOT_FLAGS: Final = (0x00, 0x80)
# Programs that still look at cylinders, heads and sectors read "beyond what these can say" here.
_NO_GEOMETRY: Final = b"\xfe\xff\xff"
_NO_ROW: Final = bytes(_ROW.size)


class MbrEntry(Struct, frozen=True, kw_only=True):
    """``start`` and ``size`` in bytes."""

    number: int
    start: int
    size: int
    type: int


class Chain(Struct, frozen=True, kw_only=True):
    """The logical partitions. ``links`` are the first bytes of the sectors that name them; ``broken`` says in a word
    why these cannot be followed to an end.
    """

    entries: tuple[MbrEntry, ...] = ()
    links: tuple[int, ...] = ()
    broken: Literal["", "circle", "unsigned", "outside", "crowded"] = ""


def write_mbr(file: BinaryIO, entries: Sequence[MbrEntry]) -> None:
    rows = [_NO_ROW] * _ROWS
    for entry in entries:
        rows[entry.number - 1] = _row(entry.type, entry.start, entry.size)
    _write(file, 0, rows)


def write_link(
    file: BinaryIO, at: int, extended: MbrEntry, logical: MbrEntry, onward: int | None = None, *, signed: bool = True
) -> None:
    """A link of the chain at byte ``at``, for one logical partition; ``onward`` is where the next one is."""
    rows = [_row(logical.type, logical.start - at, logical.size)]
    if onward is not None:
        rows.append(_row(_EXTENDED[0], onward - extended.start, _SECTOR))
    _write(file, at, rows, _SIGNATURE if signed else bytes(2))


def _row(kind: int, start: int, size: int) -> bytes:
    return _ROW.pack(0, _NO_GEOMETRY, kind, _NO_GEOMETRY, start // _SECTOR, size // _SECTOR)


def _write(file: BinaryIO, at: int, rows: Sequence[bytes], signature: bytes = _SIGNATURE) -> None:
    file.seek(at + _TABLE_AT)
    file.write(b"".join(rows).ljust(_ROWS * _ROW.size, b"\0") + signature)


def read_mbr(fd: int) -> tuple[MbrEntry, ...] | None:
    """None where there is no table, or one that only protects a GPT."""
    sector = os.pread(fd, _SECTOR, 0)
    if len(sector) < _SECTOR or sector[-2:] != _SIGNATURE:
        return None
    rows = list(_ROW.iter_unpack(sector[_TABLE_AT:-2]))
    entries = [(number, row) for number, row in enumerate(rows, start=1) if row[2] and row[5]]
    if any(row[2] == _PROTECTIVE for _, row in entries):
        return None
    if any(row[0] not in _BOOT_FLAGS for row in rows):  # the rest of a boot sector, which ends like a table
        return None
    return tuple(
        MbrEntry(number=number, start=first * _SECTOR, size=count * _SECTOR, type=kind)
        for number, (_, _, kind, _, first, count) in entries
    )


def read_chain(fd: int, entries: Sequence[MbrEntry]) -> Chain:
    """The logical partitions in the first extended one; none where there is no such."""
    extended = next((entry for entry in entries if entry.type in _EXTENDED), None)
    found: list[MbrEntry] = []
    links: list[int] = []
    at = extended.start if extended else None
    while extended and at is not None:
        if at in links:
            return Chain(entries=tuple(found), links=tuple(links), broken="circle")
        if not extended.start <= at <= extended.start + extended.size - _SECTOR:
            return Chain(entries=tuple(found), links=tuple(links), broken="outside")
        sector = os.pread(fd, _SECTOR, at)
        if sector[-2:] != _SIGNATURE:
            return Chain(entries=tuple(found), links=tuple(links), broken="unsigned")
        links.append(at)
        rows = [(row[2], row[4] * _SECTOR, row[5] * _SECTOR) for row in _ROW.iter_unpack(sector[_TABLE_AT:-2])]
        logical = [row for row in rows if row[0] and row[2] and row[0] not in _EXTENDED]
        onward = [row for row in rows if row[0] in _EXTENDED and row[2]]
        if len(logical) > 1 or len(onward) > 1 or len(links) > _MOST_LINKS:
            return Chain(entries=tuple(found), links=tuple(links), broken="crowded")
        for kind, start, size in logical:
            number = _FIRST_LOGICAL + len(found)
            found.append(MbrEntry(number=number, start=at + start, size=size, type=kind))
        at = extended.start + onward[0][1] if onward else None
    return Chain(entries=tuple(found), links=tuple(links))
