"""What an NTFS volume is made of, and how full it is by its own $Bitmap.

Structures as in Linux' ``fs/ntfs3/ntfs.h``: ``NTFS_BOOT``, ``NTFS_RECORD_HEADER``, ``MFT_REC``, ``ATTRIB``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final, NamedTuple

from ogagent.disk.volume import Volume

_BITMAP_RECORD: Final = 6
DATA: Final = 0x80
_LAST_ATTRIBUTE: Final = 0xFFFFFFFF
_FIXUP_STRIDE: Final = 512
_CHUNK: Final = 1 << 20
# One bit a cluster: 2 TiB of the usual 4 KiB clusters. More is not read just to print a percentage.
_BITMAP_LIMIT: Final = 64 << 20


class Geometry(NamedTuple):
    cluster_size: int
    clusters: int
    mft: int
    record_size: int


class Attribute(NamedTuple):
    """``packed`` is all of it as it lies in its record; ``first`` the number of the first cluster of its content there,
    when the content is in pieces that several records describe.
    """

    kind: int
    name: str
    first: int
    packed: memoryview


def used_clusters(volume: Volume) -> tuple[int, int]:
    """Used and all. Raises ValueError, IndexError or struct.error for a volume that cannot be understood."""
    geometry = geometry_of(volume.read(0, _FIXUP_STRIDE))
    length = -(-geometry.clusters // 8)
    if length > _BITMAP_LIMIT:
        raise ValueError(f"a bitmap of {length} bytes")
    bitmap = attribute(first_record(volume, geometry, _BITMAP_RECORD), DATA)
    used = 0
    for chunk in content(volume, geometry, [bitmap], length):
        used += int.from_bytes(chunk, "little").bit_count()
        last = chunk[-1]
    # The bits of the last byte beyond the last cluster are set, and count for nothing.
    beyond = length * 8 - geometry.clusters
    return used - (last >> (8 - beyond)).bit_count(), geometry.clusters


def geometry_of(boot: bytes) -> Geometry:
    (sector_size,) = struct.unpack_from("<H", boot, 11)
    sectors, mft = struct.unpack_from("<QQ", boot, 40)
    # Both sizes: a count, or, when negative as a signed byte, the power of two of its opposite.
    (per_cluster,) = struct.unpack_from("<b", boot, 13)
    (per_record,) = struct.unpack_from("<b", boot, 64)
    sectors_per_cluster = per_cluster & 0xFF if per_cluster in {1, 2, 4, 8, 16, 32, 64, -128} else 1 << -per_cluster
    cluster_size = sector_size * sectors_per_cluster
    record_size = per_record * cluster_size if per_record > 0 else 1 << -per_record
    if not (512 <= cluster_size <= 2 << 20 and 512 <= record_size <= 64 << 10 and sectors >= sectors_per_cluster):
        raise ValueError("no NTFS geometry")
    return Geometry(cluster_size, sectors // sectors_per_cluster, mft, record_size)


def first_record(volume: Volume, geometry: Geometry, number: int) -> bytearray:
    """One of those that are always in the first piece of the $MFT."""
    place = geometry.mft * geometry.cluster_size + number * geometry.record_size
    return fixed_up(volume.read(place, geometry.record_size), b"FILE")


def fixed_up(record: bytes, magic: bytes) -> bytearray:
    """The last two bytes of each 512 are kept in an array at the front, so that a torn write shows."""
    if record[:4] != magic:
        raise ValueError(f"no {magic.decode()} record")
    array, count = struct.unpack_from("<HH", record, 4)
    fixed = bytearray(record)
    for index in range(1, min(count, len(record) // _FIXUP_STRIDE + 1)):
        end = index * _FIXUP_STRIDE
        if fixed[end - 2 : end] != record[array : array + 2]:
            raise ValueError("a torn file record")
        fixed[end - 2 : end] = record[array + 2 * index : array + 2 * index + 2]
    return fixed


def attributes(record: bytearray) -> Iterator[Attribute]:
    (position,) = struct.unpack_from("<H", record, 20)
    while True:
        kind, length = struct.unpack_from("<II", record, position)
        if kind == _LAST_ATTRIBUTE or length < 16:
            return
        elsewhere, characters, start = struct.unpack_from("<BBH", record, position + 8)
        packed = memoryview(record)[position : position + length]
        name = bytes(packed[start : start + 2 * characters]).decode("utf-16-le", "replace")
        yield Attribute(kind, name, struct.unpack_from("<Q", packed, 16)[0] if elsewhere else 0, packed)
        position += length


def attribute(record: bytearray, kind: int, name: str = "") -> Attribute:
    """The first one of that kind and name."""
    for found in attributes(record):
        if (found.kind, found.name) == (kind, name):
            return found
    raise ValueError(f"no attribute {kind:#x}")


def content_size(attribute: Attribute) -> int:
    """Of the first of its pieces: how many bytes all of them have."""
    if _is_resident(attribute):
        return int.from_bytes(attribute.packed[16:20], "little")
    return int.from_bytes(attribute.packed[48:56], "little")


def content(volume: Volume, geometry: Geometry, pieces: Sequence[Attribute], length: int) -> Iterator[bytes]:
    """The first ``length`` bytes, which ``pieces`` describe in order, in chunks that are not empty."""
    if _is_resident(pieces[0]):
        size, start = struct.unpack_from("<IH", pieces[0].packed, 16)
        if size < length:
            raise ValueError("a short attribute")
        yield bytes(pieces[0].packed[start : start + length])
        return
    for cluster, count in chain.from_iterable(map(runs, pieces)):
        start, end = cluster * geometry.cluster_size, min(length, count * geometry.cluster_size)
        for at in range(0, end, _CHUNK):
            yield volume.read(start + at, min(_CHUNK, end - at))
        length -= end
        if length == 0:
            return
    raise ValueError("a short attribute")


def runs(attribute: Attribute) -> Iterator[tuple[int, int]]:
    """First cluster and number of clusters of each run of one that is not resident; each begins relative to the one
    before.
    """
    packed = attribute.packed[int.from_bytes(attribute.packed[32:34], "little") :]
    position, cluster = 0, 0
    while packed[position]:
        length_size, offset_size = packed[position] & 15, packed[position] >> 4
        middle = position + 1 + length_size
        count = int.from_bytes(packed[position + 1 : middle], "little")
        position = middle + offset_size
        cluster += int.from_bytes(packed[middle:position], "little", signed=True)
        if count == 0 or offset_size == 0:
            raise ValueError("an empty run")
        yield cluster, count


def _is_resident(attribute: Attribute) -> bool:
    return attribute.packed[8] == 0
