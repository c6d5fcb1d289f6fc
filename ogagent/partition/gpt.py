"""GUID partition tables, byte by byte. Source: UEFI specification 2.10, chapter 5."""

from __future__ import annotations

import struct
import uuid
import zlib
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from ogagent.disk.codes import UNKNOWN, partition_type
from ogagent.partition.change import Draft, Read
from ogagent.partition.plan import PlannedPartition, TablePlan

ENTRIES: Final = 16384
"""Bytes of the array of entries that is written: 128 of 128 bytes, the least that 5.3.1 allows."""

_SIGNATURE: Final = b"EFI PART"
_REVISION: Final = 0x00010000
_HEADER: Final = struct.Struct("<8sIIIIQQQQ16sQIII")
_ENTRY: Final = struct.Struct("<16s16sQQQ72s")
_MBR_ROW: Final = struct.Struct("<B3sB3sII")
_MOST_ENTRIES: Final = 4096
_PRIMARY: Final = 1
_PROTECTIVE: Final = 0xEE
_MBR: Final = 512
_BOOT_CODE: Final = 440
_ROWS: Final = 446
_LARGEST: Final = 0xFFFFFFFF


class Gpt(Struct, frozen=True, kw_only=True):
    """A table that is whole. ``at`` and ``entries_at`` in sectors, ``entries`` as they stand there."""

    at: int
    alternate: int
    entries_at: int
    guid: bytes
    entries: bytes

    def rows(self, sector_size: int) -> Iterator[tuple[int, int, bytes]]:
        """Start and size in bytes, and the entry as it stands there."""
        for offset in range(0, len(self.entries), _ENTRY.size):
            raw = self.entries[offset : offset + _ENTRY.size]
            kind, _, first, last, _, _ = _ENTRY.unpack(raw)
            if any(kind):
                yield first * sector_size, (last - first + 1) * sector_size, raw


class _Geometry(Struct, frozen=True, kw_only=True):
    """In sectors, but for ``sector_size``."""

    sector_size: int
    last: int

    @property
    def array(self) -> int:
        return -(-ENTRIES // self.sector_size)

    @property
    def copy(self) -> int:
        """Where the entries of the copy are."""
        return self.last - self.array

    def bytes_of(self, sector: int) -> int:
        return sector * self.sector_size


def read_gpt(read: Read, size: int, sector_size: int) -> Gpt | None:
    """The table that counts: the first, or its copy at the end of the disk where that is damaged; None for neither."""
    last = size // sector_size - 1
    return gpt_at(_PRIMARY, read, size, sector_size) or gpt_at(last, read, size, sector_size)


def has_protective_mbr(read: Read, sector_size: int) -> bool:
    sector = read(0, sector_size)
    kinds = [sector[row + 4] for row in range(_ROWS, 510, 16)]
    return sector[510:512] == b"\x55\xaa" and _PROTECTIVE in kinds


def draft_gpt(draft: Draft, plan: TablePlan, there: Gpt | None) -> None:
    """The steps to the GPT of the plan; ``there`` is the one that counts."""
    read, size = draft.read, plan.sector_size
    geometry = _Geometry(sector_size=size, last=plan.size // size - 1)
    protected = has_protective_mbr(read, size)
    entries = _entries(plan, there)
    guid = there.guid if there and not plan.anew else uuid.uuid4().bytes_le
    writes = _Writes(geometry, guid, entries)
    protective = (0, _protective(read(0, size), plan, geometry))
    if there and there.at == _PRIMARY:
        if there.entries.ljust(ENTRIES, b"\0") == entries and there.guid == guid:
            return
        draft.step(*writes.copy())
        _replace_first(draft, writes, there, _first(plan, geometry))
        draft.step(protective)
        return
    if there:  # the copy counts, so the first table is free to be written
        draft.step(writes.array())
        draft.decide(*writes.header())
        draft.step(*writes.copy())
        draft.step(protective)
        return
    draft.step(writes.array(), *writes.copy()[:1])
    if protected:
        draft.decide(*writes.header())
        draft.step(*writes.copy())
        draft.step(protective)
    else:
        draft.step(writes.header(), *writes.copy())
        draft.decide(*protective)


def _replace_first(draft: Draft, writes: _Writes, there: Gpt, first: int) -> None:
    """Its header decides. It points to entries beside those of the table that counts, and later to their usual place;
    where there is no room beside them the copy, which is new by now, counts as soon as the header has gone.
    """
    array = writes.geometry.array
    usual = range(2, 2 + array)
    old = range(there.entries_at, there.entries_at + -(-len(there.entries) // writes.geometry.sector_size))
    beside = next((at for at in (2, 2 + array) if at >= old.stop or at + array <= old.start), old.stop)
    if beside + array <= first:
        draft.step(writes.array(beside))
        draft.decide(*writes.header(beside))
        if beside != usual.start:
            draft.step(writes.array())
            draft.step(writes.header())
    else:
        draft.decide(writes.geometry.bytes_of(_PRIMARY), bytes(writes.geometry.sector_size))
        draft.step(writes.array())
        draft.step(writes.header())


class _Writes:
    """Places and contents of the new table."""

    def __init__(self, geometry: _Geometry, guid: bytes, entries: bytes) -> None:
        self.geometry = geometry
        self._guid = guid
        self._entries = entries

    def array(self, at: int = 2) -> tuple[int, bytes]:
        padded = self._entries.ljust(self.geometry.bytes_of(self.geometry.array), b"\0")
        return self.geometry.bytes_of(at), padded

    def header(self, entries_at: int = 2) -> tuple[int, bytes]:
        return self._header(_PRIMARY, self.geometry.last, entries_at)

    def copy(self) -> tuple[tuple[int, bytes], tuple[int, bytes]]:
        at = self.geometry.copy
        return self.array(at), self._header(self.geometry.last, _PRIMARY, at)

    def _header(self, at: int, other: int, entries_at: int) -> tuple[int, bytes]:
        geometry = self.geometry
        first = max(2, entries_at if at == _PRIMARY else 2) + geometry.array
        tail = (first, geometry.copy - 1, self._guid, entries_at, ENTRIES // _ENTRY.size, _ENTRY.size)
        checksum = zlib.crc32(self._entries)
        bare = _HEADER.pack(_SIGNATURE, _REVISION, _HEADER.size, 0, 0, at, other, *tail, checksum)
        whole = bare[:16] + zlib.crc32(bare).to_bytes(4, "little") + bare[20:]
        return geometry.bytes_of(at), whole.ljust(geometry.sector_size, b"\0")


def _first(plan: TablePlan, geometry: _Geometry) -> int:
    return min((part.start // geometry.sector_size for part in plan.partitions), default=geometry.copy)


def _entries(plan: TablePlan, there: Gpt | None) -> bytes:
    """An entry whose place and type stay is copied as it is: its GUID is what boot entries name, and its attributes are
    Windows'.
    """
    old = {(start, size): raw for start, size, raw in there.rows(plan.sector_size)} if there else {}
    array = bytearray(ENTRIES)
    for part in plan.partitions:
        raw = old.get((part.start, part.size))
        if raw is None or not (part.fate == "kept" or _says_the_same(raw, part)):
            raw = _entry(part, plan.sector_size, raw or b"")
        array[(part.number - 1) * _ENTRY.size : part.number * _ENTRY.size] = raw
    return bytes(array)


def _says_the_same(raw: bytes, part: PlannedPartition) -> bool:
    kind, _, _, _, _, name = _ENTRY.unpack(raw)
    same: bool = part.code == UNKNOWN or kind == uuid.UUID(partition_type("gpt", part.code)).bytes_le
    named: str = name.decode("utf-16-le", "replace").rstrip("\0")
    return same and named == part.name


def _entry(part: PlannedPartition, sector_size: int, there: bytes) -> bytes:
    """``there`` is the one that has the place now: its type stays where nobody has a code for it."""
    kind = there[:16] if part.code == UNKNOWN else uuid.UUID(partition_type("gpt", part.code)).bytes_le
    first, last = part.start // sector_size, (part.start + part.size) // sector_size - 1
    return _ENTRY.pack(kind, uuid.uuid4().bytes_le, first, last, 0, part.name.encode("utf-16-le"))


def _protective(there: bytes, plan: TablePlan, geometry: _Geometry) -> bytes:
    """5.2.3. Of a table that stays of its kind boot code and active flag are left alone: a BIOS may want the latter.
    So are rows of partitions beside the one that protects the table (a hybrid MBR), but for those that go or move.
    """
    whole = _MBR_ROW.pack(0, b"\0\2\0", _PROTECTIVE, b"\xff\xff\xff", 1, min(geometry.last, _LARGEST))
    if plan.was != "gpt" or plan.anew:
        return (bytes(_ROWS) + whole.ljust(64, b"\0") + b"\x55\xaa").ljust(geometry.sector_size, b"\0")
    stay = {(part.start, part.size) for part in plan.partitions if part.fate in ("kept", "emptied")}
    rows = [there[at : at + _MBR_ROW.size] for at in range(_ROWS, 510, _MBR_ROW.size)]
    left = [row if row[4] == _PROTECTIVE or _place(row, geometry) in stay else bytes(len(row)) for row in rows]
    kinds = [row[4] for row in left]
    if not {*kinds} - {0, _PROTECTIVE}:  # nobody else has a row, so all of the disk is protected
        first = kinds.index(_PROTECTIVE)
        left = [*(bytes(len(row)) for row in rows[:first]), left[first][:1] + whole[1:]]
    return there[:_ROWS] + b"".join(left).ljust(64, b"\0") + there[510:]


def _place(row: bytes, geometry: _Geometry) -> tuple[int, int]:
    *_, start, size = _MBR_ROW.unpack(row)
    return geometry.bytes_of(start), geometry.bytes_of(size)


def gpt_at(at: int, read: Read, size: int, sector_size: int) -> Gpt | None:
    """None where there is none that is whole, or one for a larger disk, which is none for libblkid and the kernel
    (``is_gpt_valid`` in linux/block/partitions/efi.c) either; ``at`` in sectors.
    """
    last = size // sector_size - 1
    if not 0 < at <= last:
        return None
    sector = read(at * sector_size, sector_size)
    signature, _, length, said, _, own, other, *usable, guid, entries_at, count, each, checksum = _HEADER.unpack_from(
        sector
    )
    if signature != _SIGNATURE or own != at or each != _ENTRY.size or not _HEADER.size <= length <= sector_size:
        return None
    if zlib.crc32(sector[:16] + bytes(4) + sector[20:length]) != said:
        return None
    if max(usable) > last or not 0 < count <= _MOST_ENTRIES or not 2 <= entries_at < last:
        return None
    whole = -(-count * each // sector_size) * sector_size
    entries = read(entries_at * sector_size, min(whole, (last - entries_at) * sector_size))[: count * each]
    if zlib.crc32(entries) != checksum:
        return None
    return Gpt(at=own, alternate=other, entries_at=entries_at, guid=guid, entries=entries)
