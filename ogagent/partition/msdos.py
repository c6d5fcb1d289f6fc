"""MSDOS partition tables, byte by byte: the first sector (MBR), and one for each logical partition (EBR).

Source: linux/block/partitions/msdos.c, and what sfdisk writes.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Collection, Iterator, Sequence
from typing import Final

from msgspec import Struct

from ogagent.disk.layout import is_extended
from ogagent.errors import PartitioningFailed
from ogagent.partition.cache import PRIMARIES
from ogagent.partition.change import Draft, Read
from ogagent.partition.plan import PlannedPartition, TablePlan

_BOOT_CODE: Final = 440
_ROWS: Final = 446
_ROW: Final = struct.Struct("<B3sB3sII")
_SIGNATURE: Final = b"\x55\xaa"
_LINK: Final = 0x05
_MOST: Final = 56
_HEADS, _TRACK, _CYLINDERS = 255, 63, 1024


class Msdos(Struct, frozen=True, kw_only=True):
    """Rows by start and size in bytes; ``links`` are the first bytes of the sectors of logical partitions."""

    rows: dict[tuple[int, int], bytes]
    links: tuple[int, ...]


def draft_msdos(draft: Draft, plan: TablePlan, old: Msdos) -> None:
    """The steps to the MSDOS table of the plan; ``old`` is the one that is there.

    Raises PartitioningFailed when a logical partition leaves no room for what names it.
    """
    chain = _chain(plan, old)
    before = draft.read(0, plan.sector_size)
    first = _first(plan, old, before)
    if first == before and not chain:
        return
    draft.step(*chain)
    draft.decide(0, first)


def _first(plan: TablePlan, old: Msdos, before: bytes) -> bytes:
    """Boot code and disk id of a disk that is not new are left alone: Windows knows its disks by that id."""
    stays = plan.was == "msdos" and not plan.anew
    code = before[:_ROWS] if stays else bytes(_BOOT_CODE) + secrets.token_bytes(4) + bytes(2)
    rows = bytearray(64)
    for part in plan.partitions:
        if part.number <= PRIMARIES:
            row = _row(plan, old, part, part.start)
            rows[(part.number - 1) * _ROW.size : part.number * _ROW.size] = row
    rest = before[512:] if stays else bytes(plan.sector_size - 512)
    return code + bytes(rows) + _SIGNATURE + rest


def _chain(plan: TablePlan, old: Msdos) -> list[tuple[int, bytes]]:
    """Sectors of a chain that changes, none of which the old one uses; empty for one that stays."""
    extended = next((part for part in plan.partitions if is_extended("msdos", part.code)), None)
    if extended is None or extended.fate == "kept":
        return []
    logicals = [part for part in plan.partitions if part.number > PRIMARIES]
    links = _links(extended, logicals, old.links, plan.sector_size)
    chain = []
    for index, link in enumerate(links):
        rows = b""
        if index < len(logicals):
            rows = _row(plan, old, logicals[index], logicals[index].start - link)
        if index + 1 < len(links):
            following = links[index + 1]
            end = logicals[index + 1].start + logicals[index + 1].size
            rows += _packed(plan.sector_size, _LINK, following - extended.start, end - following, following)
        sector = bytes(_ROWS) + rows.ljust(64, b"\0") + _SIGNATURE
        chain.append((link, sector.ljust(plan.sector_size, b"\0")))
    return chain


def _links(
    extended: PlannedPartition, logicals: Sequence[PlannedPartition], taken: Collection[int], sector_size: int
) -> list[int]:
    """The first is where the extended partition begins, each other in the gap before its partition."""
    links = [extended.start]
    for part in logicals[1:]:
        ends = [each.start + each.size for each in logicals if each.start < part.start]
        gap = range(part.start - sector_size, max(ends, default=extended.start) - 1, -sector_size)
        links.append(next((place for place in gap[:_MOST] if place not in taken and place not in links), -1))
    if links[0] in taken or -1 in links:
        raise PartitioningFailed(
            "a logical partition leaves no room beside it for a new chain of logical partitions",
            hint="save what is on it, and make it anew",
        )
    return links


def _row(plan: TablePlan, old: Msdos, part: PlannedPartition, start: int) -> bytes:
    """One whose place and type stay is copied, with its flag; ``start`` counts from where the table has its zero."""
    there = old.rows.get((part.start, part.size))
    if there is not None and there[4] == int(part.code, 16):
        return there[:8] + (start // plan.sector_size).to_bytes(4, "little") + there[12:]
    return _packed(plan.sector_size, int(part.code, 16), start, part.size, part.start)


def _packed(sector_size: int, kind: int, start: int, size: int, absolute: int) -> bytes:
    first = absolute // sector_size
    last = (absolute + size) // sector_size - 1
    return _ROW.pack(0, _chs(first), kind, _chs(last), start // sector_size, size // sector_size)


def _chs(sector: int) -> bytes:
    cylinder, rest = divmod(sector, _HEADS * _TRACK)
    head, track = divmod(rest, _TRACK)
    if cylinder >= _CYLINDERS:
        return b"\xfe\xff\xff"
    return bytes((head, (track + 1) | cylinder >> 2 & 0xC0, cylinder & 0xFF))


def read_msdos(read: Read, sector_size: int) -> Msdos:
    """In a sector of the chain the first row and the first link count, as for sfdisk."""
    rows: dict[tuple[int, int], bytes] = {}
    extended = None
    for raw, start, size in _used(read(0, sector_size), sector_size):
        rows[start, size] = raw
        if _is_extended(raw):
            extended = start if extended is None else extended
    links: list[int] = []
    link = extended
    while link is not None and extended is not None and link not in links and len(links) < _MOST:
        sector = read(link, sector_size)
        if sector[510:512] != _SIGNATURE:
            break
        links.append(link)
        used = list(_used(sector, sector_size))
        own = [each for each in used if not _is_extended(each[0])]
        onward = [extended + start for raw, start, _ in used if _is_extended(raw)]
        for raw, start, size in own[:1]:
            rows[link + start, size] = raw
        link = onward[0] if onward else None
    return Msdos(rows=rows, links=tuple(links))


def _is_extended(row: bytes) -> bool:
    return is_extended("msdos", f"{row[4]:x}")


def _used(sector: bytes, sector_size: int) -> Iterator[tuple[bytes, int, int]]:
    """Rows, with start and size in bytes."""
    for at in range(_ROWS, 510, _ROW.size):
        raw = sector[at : at + _ROW.size]
        _, _, kind, _, start, size = _ROW.unpack(raw)
        if kind and size:
            yield raw, start * sector_size, size * sector_size
