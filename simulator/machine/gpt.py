"""GUID partition tables on disks that are files: written and read here, since sfdisk may be missing.

Source: UEFI specification 2.10, chapter 5 (protective MBR 5.2.3, header 5.3.2, entries 5.3.3).
"""

from __future__ import annotations

import os
import struct
import uuid
import zlib
from collections.abc import Sequence
from typing import BinaryIO, Final

from msgspec import Struct

EFI_SYSTEM: Final = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
LINUX_FILESYSTEM: Final = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"

_SECTOR_SIZES: Final = (512, 4096)
_SIGNATURE: Final = b"EFI PART"
_REVISION: Final = 0x00010000
_HEADER: Final = struct.Struct("<8sIIIIQQQQ16sQIII")
_ENTRY: Final = struct.Struct("<16s16sQQQ72s")
_ENTRIES: Final = 128
_MOST_ENTRIES: Final = 1024
_PROTECTIVE: Final = struct.Struct("<B3sB3sII")
_PROTECTING: Final = 0xEE
_UNUSED: Final = bytes(16)


class Entry(Struct, frozen=True, kw_only=True):
    """``start`` and ``size`` in bytes; ``type`` and ``unique`` are GUIDs, in upper case."""

    number: int
    start: int
    size: int
    type: str
    name: str = ""
    unique: str = ""


class Table(Struct, frozen=True, kw_only=True):
    """``usable`` is what the header leaves for partitions: first byte, and the first one after."""

    sector_size: int
    entries: tuple[Entry, ...]
    usable: tuple[int, int]


def write_table(file: BinaryIO, size: int, entries: Sequence[Entry], *, sector_size: int = 512) -> None:
    """Protective MBR and both copies of the table, on a disk of ``size`` bytes."""
    sectors = size // sector_size
    array = bytearray(_ENTRIES * _ENTRY.size)
    for entry in entries:
        array[(entry.number - 1) * _ENTRY.size : entry.number * _ENTRY.size] = _packed(entry, sector_size)
    length = len(array) // sector_size
    disk = uuid.uuid4()
    _write(file, 0, _protective_mbr(sectors))
    for here, other, array_at in ((1, sectors - 1, 2), (sectors - 1, 1, sectors - 1 - length)):
        fields = (here, other, 2 + length, sectors - length - 2, disk.bytes_le, array_at, _ENTRIES, _ENTRY.size)
        _write(file, here * sector_size, _header(fields, zlib.crc32(array)))
        _write(file, array_at * sector_size, array)


def read_table(fd: int) -> Table | None:
    """The primary table, or the backup at the end of the disk when the primary is damaged; None without either, and
    without the MBR that says that there is one."""
    if not _is_protected(fd):
        return None
    size = os.fstat(fd).st_size
    for sector_size in _SECTOR_SIZES:
        for offset in (sector_size, size // sector_size * sector_size - sector_size):
            table = _read_copy(fd, size, offset, sector_size)
            if table is not None:
                return table
    return None


def _is_protected(fd: int) -> bool:
    sector = os.pread(fd, _SECTOR_SIZES[0], 0)
    if sector[510:] != b"\x55\xaa":
        return False
    return any(row[2] == _PROTECTING for row in _PROTECTIVE.iter_unpack(sector[446:510]))


def _packed(entry: Entry, sector_size: int) -> bytes:
    first, count = entry.start // sector_size, entry.size // sector_size
    unique = uuid.UUID(entry.unique) if entry.unique else uuid.uuid4()
    kind = uuid.UUID(entry.type)
    name = entry.name.encode("utf-16-le", "surrogatepass")  # half of a pair is a name, too
    return _ENTRY.pack(kind.bytes_le, unique.bytes_le, first, first + count - 1, 0, name)


def _protective_mbr(sectors: int) -> bytes:
    """One partition of type 0xEE over the whole disk, for programs that know no GPT."""
    partition = _PROTECTIVE.pack(0, b"\x00\x02\x00", _PROTECTING, b"\xff\xff\xff", 1, min(sectors - 1, 0xFFFFFFFF))
    return bytes(446) + partition + bytes(48) + b"\x55\xaa"


def _header(fields: tuple[int, int, int, int, bytes, int, int, int], array_crc: int) -> bytes:
    """The checksum of the header is taken with its own place zero."""
    start = (_SIGNATURE, _REVISION, _HEADER.size)
    unsigned = _HEADER.pack(*start, 0, 0, *fields, array_crc)
    return _HEADER.pack(*start, zlib.crc32(unsigned), 0, *fields, array_crc)


def _read_copy(fd: int, size: int, offset: int, sector_size: int) -> Table | None:
    header = os.pread(fd, _HEADER.size, max(offset, 0))
    if len(header) < _HEADER.size:
        return None
    fields = _HEADER.unpack(header)
    signature, _, header_size, crc, _, here, _, first, last, _, array_at, count, entry_size, array_crc = fields
    if (signature, header_size, entry_size) != (_SIGNATURE, _HEADER.size, _ENTRY.size) or count > _MOST_ENTRIES:
        return None
    if here * sector_size != offset or not first <= last < size // sector_size:  # made for another disk
        return None
    array = os.pread(fd, count * entry_size, array_at * sector_size)
    unsigned = header[:16] + bytes(4) + header[20:]
    if zlib.crc32(unsigned) != crc or zlib.crc32(array) != array_crc:
        return None
    rows = enumerate(_ENTRY.iter_unpack(array), start=1)
    entries = tuple(_unpacked(number, entry, sector_size) for number, entry in rows if entry[0] != _UNUSED)
    return Table(sector_size=sector_size, entries=entries, usable=(first * sector_size, (last + 1) * sector_size))


def _unpacked(number: int, fields: tuple[bytes, bytes, int, int, int, bytes], sector_size: int) -> Entry:
    kind, unique, first, last, _, name = fields
    return Entry(
        number=number,
        start=first * sector_size,
        size=max(last - first + 1, 0) * sector_size,
        type=str(uuid.UUID(bytes_le=kind)).upper(),
        unique=str(uuid.UUID(bytes_le=unique)).upper(),
        name=name.decode("utf-16-le", errors="replace").partition("\0")[0],
    )


def _write(file: BinaryIO, offset: int, data: bytes | bytearray) -> None:
    file.seek(offset)
    file.write(data)
