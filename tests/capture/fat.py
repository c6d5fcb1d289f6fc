"""FAT16, FAT32 and exFAT with files in them, which no tool puts there without the kernel's help.

Sources: Microsoft's FAT specification 1.03 and exFAT specification.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, NamedTuple

Shape = Literal["empty", "full", "fragmented"]

_FILES: Final = 12
_ROOM: Final = 0.95
_DAY: Final = 1 << 5 | 1
"""The first one of 1980, in both."""
_NOISE: Final = random.Random(29)


class _Volume:
    """In memory; clusters count from 2. ``entry`` is how many bytes one takes in the FAT."""

    def __init__(self, path: Path) -> None:
        self.data = bytearray(path.read_bytes())
        self.exfat = self.data[3:11] == b"EXFAT   "
        if self.exfat:
            fat, _, heap, self.clusters, root = struct.unpack_from("<5I", self.data, 80)
            self.sector, self.entry = 1 << self.data[108], 4
            self.cluster = self.sector << self.data[109]
            self.fats = [fat * self.sector]
            self.heap, self.root = heap * self.sector, heap * self.sector + (root - 2) * self.cluster
            self.info = 0
        else:
            self._read_bios_block()

    def _read_bios_block(self) -> None:
        self.sector, per_cluster, reserved, copies, entries, small = struct.unpack_from("<HBHBHH", self.data, 11)
        (short,), (large, long) = struct.unpack_from("<H", self.data, 22), struct.unpack_from("<II", self.data, 32)
        length = (short or long) * self.sector
        self.cluster, self.entry = per_cluster * self.sector, 2 if short else 4
        self.fats = [reserved * self.sector + each * length for each in range(copies)]
        self.heap = self.fats[-1] + length + entries * 32
        self.clusters = ((small or large) * self.sector - self.heap) // self.cluster
        (root,), (info,) = struct.unpack_from("<I", self.data, 44), struct.unpack_from("<H", self.data, 48)
        self.root = self.fats[-1] + length if short else self.heap + (root - 2) * self.cluster
        self.info = 0 if short else info * self.sector

    def place(self, cluster: int) -> int:
        place: int = self.heap + (cluster - 2) * self.cluster
        return place

    def following(self, cluster: int) -> int:
        at: int = self.fats[0] + cluster * self.entry
        return int.from_bytes(self.data[at : at + self.entry], "little")

    def link(self, cluster: int, to: int) -> None:
        for fat in self.fats:
            at = fat + cluster * self.entry
            self.data[at : at + self.entry] = to.to_bytes(self.entry, "little")

    @property
    def end(self) -> int:
        return 0xFFFF if self.entry == 2 else 0xFFFFFFFF if self.exfat else 0x0FFFFFFF

    def chain(self, clusters: list[int]) -> None:
        for cluster, to in zip(clusters, [*clusters[1:], self.end], strict=True):
            self.link(cluster, to)


class _File(NamedTuple):
    name: str
    clusters: list[int]
    deleted: bool = False


def fill(path: Path, shape: Shape) -> None:
    volume = _Volume(path)
    bitmap = _bitmap(volume) if volume.exfat else None
    free = _free(volume, bitmap)
    for number, file in enumerate(_files(shape, free)):
        _lay(volume, file, number, bitmap)
    if volume.info:
        taken = sum(1 for cluster in range(2, volume.clusters + 2) if volume.following(cluster))
        struct.pack_into("<I", volume.data, volume.info + 488, volume.clusters - taken)
    path.write_bytes(volume.data)


def files_of(path: Path) -> dict[str, bytes]:
    volume = _Volume(path)
    return {name: b"".join(_follow(volume, first))[:length] for name, first, length in _entries(volume, volume.exfat)}


def _free(volume: _Volume, bitmap: int | None) -> list[int]:
    def taken(cluster: int) -> int:
        if bitmap is None:
            return volume.following(cluster)
        return volume.data[bitmap + (cluster - 2) // 8] >> (cluster - 2) % 8 & 1

    return [cluster for cluster in range(2, volume.clusters + 2) if not taken(cluster)]


def _files(shape: Shape, free: list[int]) -> Iterator[_File]:
    """Fragmented: written side by side, every second deleted, and what came last lies in some of the holes."""
    each = int(len(free) * _ROOM) // _FILES
    if shape == "full":
        for number in range(_FILES):
            yield _File(f"FULL{number:02}", free[number * each : (number + 1) * each])
    elif shape == "fragmented":
        beside = free[: len(free) // 3]
        for number in range(_FILES - 1):
            yield _File(f"SIDE{number:02}", beside[number :: _FILES - 1], deleted=number % 2 == 1)
        yield _File("LAST", sorted(beside[1 :: _FILES - 1] + beside[5 :: _FILES - 1], reverse=True))


def _lay(volume: _Volume, file: _File, number: int, bitmap: int | None) -> None:
    length = len(file.clusters) * volume.cluster - 100
    content = _NOISE.randbytes(length // 2) + bytes(length - length // 2)
    for at, cluster in enumerate(file.clusters):
        piece = content[at * volume.cluster : (at + 1) * volume.cluster]
        volume.data[volume.place(cluster) : volume.place(cluster) + len(piece)] = piece
    if not file.deleted:
        volume.chain(file.clusters)
        for cluster in file.clusters if bitmap is not None else ():
            volume.data[(bitmap or 0) + (cluster - 2) // 8] |= 1 << (cluster - 2) % 8
    if volume.exfat:
        entry, at = _exfat_entry(file, length), volume.root + 3 * 32 + number * 96
    else:
        entry, at = _fat_entry(file, length), volume.root + number * 32
    volume.data[at : at + len(entry)] = entry


def _fat_entry(file: _File, length: int) -> bytes:
    name = (b"\xe5" if file.deleted else b"") + file.name.encode()
    first = file.clusters[0]
    return struct.pack("<11sB8xHHHHI", name[:8].ljust(11), 0x20, first >> 16, 0, _DAY, first & 0xFFFF, length)


def _exfat_entry(file: _File, length: int) -> bytes:
    hashed = 0
    for byte in file.name.encode("utf-16-le"):
        hashed = (((hashed << 15) | (hashed >> 1)) & 0xFFFF) + byte & 0xFFFF
    entries = bytearray(struct.pack("<BBHHHIII12x", 0x85, 2, 0, 0x20, 0, *(_DAY << 16,) * 3))
    entries += struct.pack("<BBxBH2xQ4xIQ", 0xC0, 1, len(file.name), hashed, length, file.clusters[0], length)
    entries += struct.pack("<BB30s", 0xC1, 0, file.name.encode("utf-16-le"))
    total = 0
    for at, byte in enumerate(entries):
        if at not in (2, 3):
            total = (((total << 15) | (total >> 1)) & 0xFFFF) + byte & 0xFFFF
    struct.pack_into("<H", entries, 2, total)
    for at in (0, 32, 64) if file.deleted else ():
        entries[at] &= 0x7F
    return bytes(entries)


def _bitmap(volume: _Volume) -> int:
    """Where it begins."""
    kind, cluster = struct.unpack_from("<B19xI", volume.data, volume.root + 32)
    assert kind == 0x81
    return volume.place(cluster)


def _entries(volume: _Volume, exfat: bool) -> Iterator[tuple[str, int, int]]:
    """Name, first cluster and length of each file."""
    for at in range(volume.root, volume.root + 64 * 32, 32):
        entry = bytes(volume.data[at : at + 96])
        if entry[0] == 0:
            return
        if exfat and entry[0] == 0x85:
            first, length = struct.unpack_from("<IQ", entry, 32 + 20)
            yield entry[66 : 66 + 2 * entry[35]].decode("utf-16-le"), first, length
        elif not exfat and entry[0] != 0xE5 and entry[11] == 0x20:
            high, low, length = struct.unpack_from("<H4xHI", entry, 20)
            yield entry[:8].decode().strip(), high << 16 | low, length


def _follow(volume: _Volume, first: int) -> Iterator[bytes]:
    cluster = first
    while 2 <= cluster < volume.clusters + 2:
        yield bytes(volume.data[volume.place(cluster) : volume.place(cluster) + volume.cluster])
        cluster = volume.following(cluster)
