"""How a file in the root directory of an NTFS volume begins, read without mounting it.

Structures as in Linux' ``fs/ntfs3/ntfs.h``: ``INDEX_ROOT``, ``INDEX_BUFFER``, ``INDEX_HDR``, ``NTFS_DE``,
``ATTR_FILE_NAME``, ``ATTR_LIST_ENTRY``. The index is read from end to end, not searched as the tree that it is.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from ogagent.disk.ntfs import (
    DATA,
    Attribute,
    Geometry,
    attribute,
    attributes,
    content,
    content_size,
    first_record,
    fixed_up,
    geometry_of,
    runs,
)
from ogagent.disk.volume import Volume

_MFT: Final = 0
_ROOT: Final = 5
_ATTRIBUTE_LIST: Final = 0x20
_INDEX_ROOT: Final = 0x90
_INDEX_ALLOCATION: Final = 0xA0
_DIRECTORY: Final = "$I30"
_IN_USE: Final = 1
_LAST: Final = 2
_LARGEST: Final = 4 << 20
"""Of a directory, in bytes: some tens of thousands of files. Nobody has a larger one at the root of Windows."""


def beginning_of(volume: Volume, name: str, length: int) -> bytes:
    """Of a file whose name is that in any case; empty where there is none, or less than ``length`` bytes of it.

    Raises ValueError, IndexError or struct.error for a volume that cannot be understood, and OSError.
    """
    geometry = geometry_of(volume.read(0, 512))
    for reference in _references(volume, geometry, name.casefold()):
        data = _pieces(volume, geometry, _record(volume, geometry, reference), DATA)
        return _all(volume, geometry, data, length) if content_size(data[0]) >= length else b""
    return b""


def _references(volume: Volume, geometry: Geometry, name: str) -> Iterator[int]:
    root = first_record(volume, geometry, _ROOT)
    for entries in _nodes(volume, geometry, root):
        position = 0
        while position + 16 <= len(entries):
            reference, size, _, flags = struct.unpack_from("<QHHH", entries, position)
            if flags & _LAST or size < 16:
                break
            if _name(entries[position + 16 : position + size]) == name:
                yield reference
            position += size


def _name(key: bytes | bytearray) -> str:
    return key[66 : 66 + 2 * key[64]].decode("utf-16-le", "replace").casefold() if len(key) > 64 else ""


def _nodes(volume: Volume, geometry: Geometry, root: bytearray) -> Iterator[bytearray]:
    """The entries of each node of the directory."""
    head = _pieces(volume, geometry, root, _INDEX_ROOT, _DIRECTORY)
    top = bytearray(_all(volume, geometry, head, content_size(head[0])))
    (block_size,) = struct.unpack_from("<I", top, 8)
    yield _entries(top, 16)
    try:
        rest = _pieces(volume, geometry, root, _INDEX_ALLOCATION, _DIRECTORY)
    except ValueError:
        return
    if not 512 <= block_size <= 64 << 10:
        raise ValueError(f"a directory in blocks of {block_size} bytes")
    blocks = _all(volume, geometry, rest, content_size(rest[0]))
    for start in range(0, len(blocks) - block_size + 1, block_size):
        with suppress(ValueError):  # one that was never used
            yield _entries(fixed_up(blocks[start : start + block_size], b"INDX"), 24)


def _entries(node: bytearray, header: int) -> bytearray:
    start, used = struct.unpack_from("<II", node, header)
    return node[header + start : header + used]


def _all(volume: Volume, geometry: Geometry, pieces: list[Attribute], length: int) -> bytes:
    if length > _LARGEST:
        raise ValueError(f"an attribute of {length} bytes")
    return b"".join(content(volume, geometry, pieces, length))


def _pieces(volume: Volume, geometry: Geometry, record: bytearray, kind: int, name: str = "") -> list[Attribute]:
    """Those that describe all of one attribute: of what lies in very many runs, each in a record of its own."""
    try:
        entries = attribute(record, _ATTRIBUTE_LIST)
    except ValueError:
        return [attribute(record, kind, name)]
    listed = _listed(_all(volume, geometry, [entries], content_size(entries)))
    wanted = [each for each in listed if each[:2] == (kind, name)]
    if not wanted:
        raise ValueError(f"no attribute {kind:#x}")
    return [_piece(_record(volume, geometry, reference), kind, name, first) for _, _, first, reference in wanted]


def _listed(entries: bytes) -> Iterator[tuple[int, str, int, int]]:
    """Kind, name, first cluster, and the record where it stands."""
    position = 0
    while position + 24 <= len(entries):
        kind, length, characters, start, first, reference = struct.unpack_from("<IHBBQQ", entries, position)
        title = entries[position + start : position + start + 2 * characters]
        yield kind, title.decode("utf-16-le", "replace"), first, reference
        if length < 24:
            return
        position += length


def _piece(record: bytearray, kind: int, name: str, first: int) -> Attribute:
    for found in attributes(record):
        if found[:3] == (kind, name, first):
            return found
    raise ValueError(f"no attribute {kind:#x} from cluster {first} on")


def _record(volume: Volume, geometry: Geometry, reference: int) -> bytearray:
    """By its number and how often that has been used."""
    number, sequence = reference & (1 << 48) - 1, reference >> 48
    at = number * geometry.record_size
    for cluster, count in runs(attribute(first_record(volume, geometry, _MFT), DATA)):
        length = count * geometry.cluster_size
        if at + geometry.record_size <= length:
            record = fixed_up(volume.read(cluster * geometry.cluster_size + at, geometry.record_size), b"FILE")
            found, flags = struct.unpack_from("<H4xH", record, 16)
            if found != sequence or not flags & _IN_USE:
                raise ValueError(f"record {number} is another file's by now")
            return record
        at -= length
    raise ValueError(f"there is no record {number}")
