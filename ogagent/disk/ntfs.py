"""How full an NTFS volume is, from its own $Bitmap.

Structures as in Linux' ``fs/ntfs3/ntfs.h``: ``NTFS_BOOT``, ``NTFS_RECORD_HEADER``, ``MFT_REC``, ``ATTRIB``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from ogagent.disk.volume import Volume

_BITMAP_RECORD: Final = 6
_DATA: Final = 0x80
_LAST_ATTRIBUTE: Final = 0xFFFFFFFF
_FIXUP_STRIDE: Final = 512
_CHUNK: Final = 1 << 20
# One bit a cluster: 2 TiB of the usual 4 KiB clusters. More is not read just to print a percentage.
_BITMAP_LIMIT: Final = 64 << 20


class _Geometry(NamedTuple):
    cluster_size: int
    clusters: int
    mft: int
    record_size: int


def used_clusters(volume: Volume) -> tuple[int, int]:
    """Used and all. Raises ValueError, IndexError or struct.error for a volume that cannot be understood."""
    geometry = _geometry(volume.read(0, _FIXUP_STRIDE))
    length = -(-geometry.clusters // 8)
    if length > _BITMAP_LIMIT:
        raise ValueError(f"a bitmap of {length} bytes")
    place = geometry.mft * geometry.cluster_size + _BITMAP_RECORD * geometry.record_size
    record = _fixed_up(volume.read(place, geometry.record_size))
    used = 0
    for chunk in _content(volume, geometry, _attribute(record, _DATA), length):
        used += int.from_bytes(chunk, "little").bit_count()
        last = chunk[-1]
    # The bits of the last byte beyond the last cluster are set, and count for nothing.
    beyond = length * 8 - geometry.clusters
    return used - (last >> (8 - beyond)).bit_count(), geometry.clusters


def _geometry(boot: bytes) -> _Geometry:
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
    return _Geometry(cluster_size, sectors // sectors_per_cluster, mft, record_size)


def _fixed_up(record: bytes) -> bytearray:
    """The last two bytes of each 512 are kept in an array at the front, so that a torn write shows."""
    if record[:4] != b"FILE":
        raise ValueError("no file record")
    array, count = struct.unpack_from("<HH", record, 4)
    fixed = bytearray(record)
    for index in range(1, min(count, len(record) // _FIXUP_STRIDE + 1)):
        end = index * _FIXUP_STRIDE
        if fixed[end - 2 : end] != record[array : array + 2]:
            raise ValueError("a torn file record")
        fixed[end - 2 : end] = record[array + 2 * index : array + 2 * index + 2]
    return fixed


def _attribute(record: bytearray, wanted: int) -> memoryview:
    """The first attribute of that type that has no name."""
    (position,) = struct.unpack_from("<H", record, 20)
    while True:
        kind, length = struct.unpack_from("<II", record, position)
        if kind == _LAST_ATTRIBUTE or length < 16:
            raise ValueError(f"no attribute {wanted:#x}")
        if kind == wanted and record[position + 9] == 0:
            return memoryview(record)[position : position + length]
        position += length


def _content(volume: Volume, geometry: _Geometry, attribute: memoryview, length: int) -> Iterator[bytes]:
    """The first ``length`` bytes of the attribute, in pieces that are not empty."""
    if attribute[8] == 0:  # resident
        size, start = struct.unpack_from("<IH", attribute, 16)
        if size < length:
            raise ValueError("a short attribute")
        yield bytes(attribute[start : start + length])
        return
    (runs,) = struct.unpack_from("<H", attribute, 32)
    for cluster, count in _runs(attribute[runs:]):
        start, end = cluster * geometry.cluster_size, min(length, count * geometry.cluster_size)
        for at in range(0, end, _CHUNK):
            yield volume.read(start + at, min(_CHUNK, end - at))
        length -= end
        if length == 0:
            return
    raise ValueError("a short attribute")


def _runs(packed: memoryview) -> Iterator[tuple[int, int]]:
    """First cluster and number of clusters of each piece; each piece begins relative to the one before."""
    position, cluster = 0, 0
    while packed[position]:
        length_size, offset_size = packed[position] & 15, packed[position] >> 4
        middle = position + 1 + length_size
        count = int.from_bytes(packed[position + 1 : middle], "little")
        position = middle + offset_size
        cluster += int.from_bytes(packed[middle:position], "little", signed=True)
        if count == 0 or offset_size == 0:
            raise ValueError("an empty piece")
        yield cluster, count
