"""What ``ntfsresize`` overwrites of an NTFS, saved before, and written back.

It copies clusters to where free ones are, and leaves those that it has copied as they are. Besides the free ones it
overwrites, ``ntfsresize.c``: records of files and their mirror; the bitmaps of clusters and of records; lists of
attributes; the root directory, which tells the sizes of all these; boot sectors; and the log, which is only emptied,
as by everybody who writes to an NTFS without being Windows.

Windows writes to the log as soon as it uses the volume: as long as it has not, what was saved may be written back.
"""

from __future__ import annotations

import errno
import os
import struct
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from ogagent.disk.ntfs import DATA, Geometry, attribute, attributes, first_record, fixed_up, geometry_of, runs
from ogagent.disk.volume import Volume
from ogagent.resize.undo_file import flush_folder

_MAGIC: Final = b"OGNTFS01"
_CHUNK: Final = 1 << 20
_LARGEST_HEADER: Final = 64 << 20
_MFT, _MIRROR, _LOG, _ROOT, _BITMAP = 0, 1, 2, 5, 6
_SYSTEM: Final = (_MFT, _MIRROR, _ROOT, _BITMAP)
_ATTRIBUTE_LIST: Final = 0x20
_IN_USE: Final = 1
_LOG_PAGE: Final = 4096
_RESTART: Final = (b"RSTR", b"CHKD")

Range = tuple[int, int]
"""Where it begins and how long it is, in bytes."""


class _Header(Struct, frozen=True):
    """``log`` is how the log began."""

    ranges: list[Range]
    log: bytes


class _StoppableVolume(Volume, frozen=True):
    stop: threading.Event

    def read(self, at: int, length: int) -> bytes:
        if self.stop.is_set():
            raise OSError(errno.ECANCELED, os.strerror(errno.ECANCELED))
        return Volume.read(self, at, length)


def overwritten(device: str, target: int, stop: threading.Event) -> list[Range]:
    """What there is to save before the volume is made as small as ``target`` bytes; ``stop`` ends it.

    Blocking. Raises ValueError, IndexError or struct.error for a volume that cannot be understood, and OSError.
    """
    with Path(device).open("rb", buffering=0) as file:
        volume = _StoppableVolume(file.fileno(), 0, file.seek(0, os.SEEK_END), stop)
        boot = volume.read(0, 512)
        (sector,), (sectors,) = struct.unpack_from("<H", boot, 11), struct.unpack_from("<Q", boot, 40)
        last = (volume.size // sector - 1) * sector
        copies = [(place, sector) for place in (0, target - sector, sectors * sector, last)]
        return sorted({*copies, *_metadata(volume, geometry_of(boot))})


def save(device: str, path: Path, ranges: list[Range]) -> None:
    """The file is there when it is complete, and on its disk. Blocking. Raises as ``overwritten``."""
    part = unfinished(path)
    with Path(device).open("rb", buffering=0) as source, part.open("wb") as file:
        volume = Volume(source.fileno(), 0, source.seek(0, os.SEEK_END))
        header = msgspec.json.encode(_Header(ranges, log_of(volume)))
        check = zlib.crc32(header)
        file.write(_MAGIC + struct.pack("<I", len(header)) + header)
        for chunk in _chunks(ranges):
            data = volume.read(*chunk)
            check = zlib.crc32(data, check)
            file.write(data)
        file.write(struct.pack("<I", check))
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
    flush_folder(path)


def unfinished(path: Path) -> Path:
    """The name of the file while it is written."""
    return path.with_suffix(".part")


def write_back(device: str, path: Path) -> bool:
    """False when the volume has been used, which stays as it is. Blocking. Raises OSError, ValueError for a damaged
    file, and struct.error for a short one.
    """
    with path.open("rb") as file, Path(device).open("r+b", buffering=0) as disk:
        if file.read(8) != _MAGIC:
            raise ValueError(f"{path} is damaged")
        packed = file.read(min(struct.unpack("<I", file.read(4))[0], _LARGEST_HEADER))
        header, check, start = msgspec.json.decode(packed, type=_Header), zlib.crc32(packed), file.tell()
        volume = Volume(disk.fileno(), 0, disk.seek(0, os.SEEK_END))
        if _is_used(volume, header.log):
            return False
        for _, length in _chunks(header.ranges):
            check = zlib.crc32(file.read(length), check)
        if file.read(4) != struct.pack("<I", check):
            raise ValueError(f"{path} is damaged")
        file.seek(start)
        for at, length in _chunks(header.ranges):
            _write(disk.fileno(), at, file.read(length))
        os.fsync(disk.fileno())
    return True


def _write(fd: int, at: int, data: bytes) -> None:
    done = 0
    while done < len(data):
        done += os.pwrite(fd, data[done:], at + done)


def _chunks(ranges: list[Range]) -> Iterator[Range]:
    for start, length in ranges:
        for at in range(start, start + length, _CHUNK):
            yield at, min(_CHUNK, start + length - at)


def log_of(volume: Volume) -> bytes:
    """How it begins: two restart pages, unless it is empty. Blocking. Raises as ``overwritten``."""
    geometry = geometry_of(volume.read(0, 512))
    cluster, _ = next(runs(attribute(first_record(volume, geometry, _LOG), DATA)))
    return volume.read(cluster * geometry.cluster_size, 2 * _LOG_PAGE)


def _is_used(volume: Volume, before: bytes) -> bool:
    """Whether the log has a restart page that it had not. Where ntfsresize was interrupted, or what it wrote was lost,
    there may be anything in its place, or none be found.
    """
    try:
        now = log_of(volume)
    except (ValueError, IndexError, struct.error):
        return False
    pages = [(now[at : at + _LOG_PAGE], before[at : at + _LOG_PAGE]) for at in (0, _LOG_PAGE)]
    return any(page[:4] in _RESTART and page != was for page, was in pages)


def _metadata(volume: Volume, geometry: Geometry) -> Iterator[Range]:
    """All of the $MFT is looked through: also its own description may be in many pieces, each in a record of it."""
    pieces, seen = list(runs(attribute(first_record(volume, geometry, _MFT), DATA))), set[Range]()
    while pieces:
        cluster, count = pieces.pop()
        if (cluster, count) in seen:
            continue
        seen.add((cluster, count))
        for number, record in _records(volume, geometry, cluster, count):
            for found in attributes(record):
                if not found.packed[8]:  # resident
                    continue
                if number in _SYSTEM or found.kind == _ATTRIBUTE_LIST:
                    places = list(runs(found))
                    yield from ((start * geometry.cluster_size, n * geometry.cluster_size) for start, n in places)
                    if number == _MFT and found.kind == DATA:
                        pieces += places


def _records(volume: Volume, geometry: Geometry, cluster: int, count: int) -> Iterator[tuple[int, bytearray]]:
    """Those with something to save, and the numbers of the files that they describe."""
    size, length = geometry.record_size, count * geometry.cluster_size
    for at, chunk_length in _chunks([(cluster * geometry.cluster_size, length)]):
        chunk = volume.read(at, chunk_length)
        for start in range(0, chunk_length - size + 1, size):
            if chunk[start : start + 4] != b"FILE" or not chunk[start + 22] & _IN_USE:
                continue
            (base,) = struct.unpack_from("<Q", chunk, start + 32)
            (own,) = struct.unpack_from("<I", chunk, start + 44)
            number = base & (1 << 48) - 1 if base else own
            if number in _SYSTEM or _has_list(chunk, start):
                yield number, fixed_up(chunk[start : start + size], b"FILE")


def _has_list(chunk: bytes, start: int) -> bool:
    """Attributes are in the order of their kinds: a list comes first, or second."""
    at = start + int.from_bytes(chunk[start + 20 : start + 22], "little")
    for _ in range(2):
        kind, length = struct.unpack_from("<II", chunk, at)
        if kind == _ATTRIBUTE_LIST:
            return True
        at += length
        if kind > _ATTRIBUTE_LIST or at + 8 > len(chunk):
            return False
    return False
