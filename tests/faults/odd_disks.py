"""Disks whose tables cannot be true, or cannot be read, and which of their partitions may be written all the same."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import BinaryIO, Final

from msgspec import Struct

from simulator.machine.gpt import LINUX_FILESYSTEM, Entry, write_table
from simulator.machine.mbr import MbrEntry, write_link, write_mbr
from tests.faults.images import MIB

DISK_SIZE: Final = 48 * MIB
SECTOR: Final = 512
LDM_DATA: Final = "AF9B60A0-1431-4F62-BC68-3311714A69AD"
LDM_METADATA: Final = "5808C8AA-7E8F-42E0-85D2-E1E90434CFB3"

Write = Callable[[BinaryIO], None]


class OddDisk(Struct, frozen=True, kw_only=True):
    """``sound`` are the partitions that an image may go to, with their first byte and the one after their last."""

    write: Write
    sound: dict[int, tuple[int, int]] = {}
    size: int = DISK_SIZE
    empty: bool = False
    """Apart from what ``write`` puts there; otherwise all is noise."""


@cache
def noise() -> bytes:
    return random.Random(7).randbytes(DISK_SIZE)


def make(path: Path, disk: OddDisk) -> None:
    with path.open("wb") as file:
        if disk.empty:
            file.truncate(DISK_SIZE)
        else:
            file.write(noise())
            file.seek(0)
            file.write(bytes(SECTOR))
        disk.write(file)
        file.truncate(disk.size)


def _mib(first: float, end: float) -> tuple[int, int]:
    return int(first * MIB), int(end * MIB)


# --- MSDOS --------------------------------------------------------------------------------------------------------


def _row(number: int, first: float, end: float, kind: int = 0x83) -> MbrEntry:
    return MbrEntry(number=number, start=int(first * MIB), size=int(end * MIB) - int(first * MIB), type=kind)


def _msdos(*rows: MbrEntry) -> Write:
    return partial(write_mbr, entries=rows)


EXTENDED: Final = _row(2, 10, 40, 0x05)
FIRST: Final = _row(1, 1, 9)
ONE_SECTOR: Final = SECTOR / MIB


class Link(Struct, frozen=True, kw_only=True):
    """In MiB: where the link is, its logical partition, and where the next link is."""

    at: float
    logical: tuple[float, float]
    onward: float | None = None
    kind: int = 0x83
    signed: bool = True


def _chain(*links: Link, extended: MbrEntry = EXTENDED, rows: tuple[MbrEntry, ...] = (FIRST,)) -> Write:
    def write(file: BinaryIO) -> None:
        write_mbr(file, (*rows, extended))
        for link in links:
            logical = _row(5, *link.logical, link.kind)
            onward = None if link.onward is None else int(link.onward * MIB)
            write_link(file, int(link.at * MIB), extended, logical, onward, signed=link.signed)

    return write


def _crowded(file: BinaryIO) -> None:
    _chain(Link(at=10, logical=(11, 18)))(file)
    file.seek(10 * MIB + 446 + 16)
    file.write(bytes((0, 254, 255, 255, 0x83, 254, 255, 255)) + (20480).to_bytes(4, "little") * 2)


SOUND_FIRST: Final = {1: _mib(1, 9)}
MSDOS: Final = {
    "into the CACHE": OddDisk(
        write=_msdos(_row(1, 1, 20), _row(2, 16, 30, 0xCA), _row(3, 30, 38)), sound={3: _mib(30, 38)}
    ),
    "into the CACHE by a sector": OddDisk(
        write=_msdos(_row(1, 1, 9 + ONE_SECTOR), _row(2, 9, 20, 0xCA), _row(3, 20, 28)), sound={3: _mib(20, 28)}
    ),
    "out of the CACHE by a sector": OddDisk(
        write=_msdos(_row(1, 1, 9, 0xCA), _row(2, 9 - ONE_SECTOR, 20), _row(3, 20, 28)), sound={3: _mib(20, 28)}
    ),
    "one inside another": OddDisk(write=_msdos(_row(1, 1, 20), _row(2, 4, 12)), sound={}),
    "the same place twice": OddDisk(write=_msdos(_row(1, 1, 9), _row(4, 1, 9)), sound={}),
    "beyond the disk": OddDisk(write=_msdos(FIRST, _row(2, 40, 60)), sound=SOUND_FIRST),
    "far beyond the disk": OddDisk(write=_msdos(FIRST, _row(2, 1 << 20, (1 << 20) + 8)), sound=SOUND_FIRST),
    "beyond the disk by a sector": OddDisk(write=_msdos(FIRST, _row(3, 40, 48 + ONE_SECTOR)), sound=SOUND_FIRST),
    "from the first sector on": OddDisk(write=_msdos(_row(1, 0, 8), _row(2, 8, 16)), sound={2: _mib(8, 16)}),
    "over the extended one": OddDisk(
        write=_chain(Link(at=10, logical=(11, 18)), rows=(_row(1, 1, 10.5),)), sound={5: _mib(11, 18)}
    ),
    "a logical one outside": OddDisk(write=_chain(Link(at=10, logical=(41, 48))), sound=SOUND_FIRST),
    "a logical one half outside": OddDisk(write=_chain(Link(at=10, logical=(34, 41))), sound=SOUND_FIRST),
    "a logical one over its own link": OddDisk(write=_chain(Link(at=10, logical=(10, 18))), sound=SOUND_FIRST),
    "a logical one over the next link": OddDisk(
        write=_chain(Link(at=10, logical=(11, 22), onward=20), Link(at=20, logical=(23, 30))),
        sound={**SOUND_FIRST, 6: _mib(23, 30)},
    ),
    "two logical ones that overlap": OddDisk(
        write=_chain(Link(at=10, logical=(11, 22), onward=10.5), Link(at=10.5, logical=(20, 30), kind=0xCA)),
        sound=SOUND_FIRST,
    ),
    "a link to itself": OddDisk(write=_chain(Link(at=10, logical=(11, 18), onward=10)), sound=SOUND_FIRST),
    "a circle through the CACHE": OddDisk(
        write=_chain(Link(at=10, logical=(11, 18), onward=20), Link(at=20, logical=(21, 30), kind=0xCA, onward=10)),
        sound=SOUND_FIRST,
    ),
    "no signature at the first link": OddDisk(
        write=_chain(Link(at=10, logical=(11, 18), onward=20, signed=False), Link(at=20, logical=(21, 30), kind=0xCA)),
        sound=SOUND_FIRST,
    ),
    "no signature at the second link": OddDisk(
        write=_chain(Link(at=10, logical=(11, 18), onward=20), Link(at=20, logical=(21, 30), kind=0xCA, signed=False)),
        sound=SOUND_FIRST,
    ),
    "a link that leads outside": OddDisk(
        write=_chain(Link(at=10, logical=(11, 18), onward=44), Link(at=44, logical=(45, 47))), sound=SOUND_FIRST
    ),
    "a link with two partitions": OddDisk(write=_crowded, sound=SOUND_FIRST),
    "a dynamic disk": OddDisk(write=_msdos(_row(1, 1, 9, 0x42), _row(2, 9, 17, 0x42)), sound={}),
    "what protects a GPT": OddDisk(write=_msdos(FIRST, _row(2, 9, 17, 0xEE)), sound={}),
    "other systems' partitions": OddDisk(
        write=_msdos(_row(1, 1, 9, 0x1F), _row(2, 9, 17, 0x84), _row(3, 17, 25, 0x41), _row(4, 25, 33, 0x07)),
        sound={4: _mib(25, 33)},
    ),
    "all well": OddDisk(
        write=_chain(Link(at=10, logical=(11, 18), onward=20), Link(at=20, logical=(21, 30))),
        sound={**SOUND_FIRST, 5: _mib(11, 18), 6: _mib(21, 30)},
    ),
}

# --- GPT ----------------------------------------------------------------------------------------------------------


def _entry(number: int, first: float, end: float, name: str = "", kind: str = LINUX_FILESYSTEM) -> Entry:
    return Entry(number=number, start=int(first * MIB), size=int(end * MIB) - int(first * MIB), type=kind, name=name)


def _gpt(*entries: Entry, size: int = DISK_SIZE, sector_size: int = SECTOR, damage: Write = lambda _: None) -> Write:
    def write(file: BinaryIO) -> None:
        write_table(file, size, entries, sector_size=sector_size)
        damage(file)

    return write


def _bytes_at(*places: int, what: bytes = b"\xff" * 8) -> Write:
    def write(file: BinaryIO) -> None:
        for place in places:
            file.seek(place)
            file.write(what)

    return write


LAST: Final = _entry(3, 30, 38)
SOUND_LAST: Final = {3: _mib(30, 38)}
_USABLE: Final = 34 * SECTOR / MIB
GPT: Final = {
    "into the CACHE": OddDisk(write=_gpt(_entry(1, 1, 20), _entry(2, 16, 30, "CACHE"), LAST), sound=SOUND_LAST),
    "into the CACHE by a sector": OddDisk(
        write=_gpt(_entry(1, 1, 9 + ONE_SECTOR), _entry(2, 9, 30, "CACHE"), LAST), sound=SOUND_LAST
    ),
    "all around the CACHE": OddDisk(write=_gpt(_entry(1, 1, 29), _entry(4, 9, 17, "CACHE"), LAST), sound=SOUND_LAST),
    "the same place three times": OddDisk(
        write=_gpt(_entry(1, 1, 9), _entry(2, 1, 9), _entry(128, 1, 9), LAST), sound=SOUND_LAST
    ),
    "beyond the disk": OddDisk(write=_gpt(_entry(1, 40, 80), LAST), sound=SOUND_LAST),
    "from the first sector on": OddDisk(write=_gpt(_entry(1, 0, 20), LAST), sound=SOUND_LAST),
    "over its own entries": OddDisk(write=_gpt(_entry(1, _USABLE - ONE_SECTOR, 20), LAST), sound=SOUND_LAST),
    "just behind its entries": OddDisk(
        write=_gpt(_entry(1, _USABLE, 20), LAST), sound={1: _mib(_USABLE, 20), **SOUND_LAST}
    ),
    "over its own copy": OddDisk(write=_gpt(_entry(1, 40, 48), LAST), sound=SOUND_LAST),
    "an end before its beginning": OddDisk(write=_gpt(_entry(1, 20, 10), LAST), sound=SOUND_LAST),
    "half a surrogate pair in a name": OddDisk(
        write=_gpt(_entry(1, 1, 9, "a\ud800b"), _entry(2, 9, 17, "\udfff"), LAST),
        sound={1: _mib(1, 9), 2: _mib(9, 17), **SOUND_LAST},
    ),
    "names like commands": OddDisk(
        write=_gpt(_entry(1, 1, 9, '[/b]"\\\x01\x1b[2J'), _entry(2, 9, 17, "\N{PILE OF POO}" * 18), LAST),
        sound={1: _mib(1, 9), 2: _mib(9, 17), **SOUND_LAST},
    ),
    "a dynamic disk": OddDisk(
        write=_gpt(_entry(1, 1, 9, kind=LDM_METADATA), _entry(2, 9, 17, kind=LDM_DATA), LAST), sound=SOUND_LAST
    ),
    "a disk that has grown": OddDisk(
        write=_gpt(_entry(1, 1, 9), LAST, size=40 * MIB), sound={1: _mib(1, 9), **SOUND_LAST}
    ),
    "a disk that was cut": OddDisk(write=_gpt(_entry(1, 1, 9)), size=40 * MIB),
    "the first copy damaged": OddDisk(write=_gpt(LAST, damage=_bytes_at(SECTOR + 40)), sound=SOUND_LAST),
    "both copies damaged": OddDisk(write=_gpt(LAST, damage=_bytes_at(SECTOR + 40, DISK_SIZE - SECTOR + 40))),
    "no MBR": OddDisk(write=_gpt(LAST, damage=_bytes_at(0, what=bytes(SECTOR)))),
}

# --- neither ------------------------------------------------------------------------------------------------------


def _label(place: int, magic: bytes) -> OddDisk:
    return OddDisk(write=_bytes_at(place, what=magic), empty=True)


NEITHER: Final = {
    "LUKS": _label(0, b"LUKS\xba\xbe\x00\x02" + bytes(4096)),
    "LVM": _label(512, b"LABELONE" + (1).to_bytes(8, "little") + bytes(4) + (32).to_bytes(4, "little") + b"LVM2 001"),
    "NTFS": _label(3, b"NTFS    "),
    "a Mac": _label(0, b"ER\x02\x00"),
    "a BSD": _label(512, bytes.fromhex("57455682")),
    "noise": OddDisk(write=lambda _: None),
    "a boot sector": _label(510, b"\x55\xaa" + b"\x01"),
}

ODD_DISKS: Final = {
    f"{kind}, {name}": disk
    for kind, disks in (("msdos", MSDOS), ("gpt", GPT), ("neither", NEITHER))
    for name, disk in disks.items()
}
