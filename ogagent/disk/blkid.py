"""libblkid's low-level probing: what a device holds, read from the device itself, with no udev and no cache file.

Prototypes and flags are those of ``blkid/blkid.h``; ``blkid_probe_set_sectorsize`` came with libblkid 2.30.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Final

from msgspec import Struct

from ogagent.errors import ToolMissing

_FOUND: Final = 0
_ERROR: Final = -1
_CONTRADICTORY: Final = -2  # the last of the answers: 1, nothing was found

_SUPERBLOCK_LABEL: Final = 1 << 1  # BLKID_SUBLKS_LABEL
_SUPERBLOCK_UUID: Final = 1 << 3  # BLKID_SUBLKS_UUID
_SUPERBLOCK_TYPE: Final = 1 << 5  # BLKID_SUBLKS_TYPE
_SUPERBLOCK_USAGE: Final = 1 << 7  # BLKID_SUBLKS_USAGE
_ENTRY_DETAILS: Final = 1 << 2  # BLKID_PARTS_ENTRY_DETAILS


class Signature(Struct, frozen=True, kw_only=True):
    """``kind`` is libblkid's name, empty for none; ``usage`` ``filesystem``, ``raid``, ``crypto`` or ``other``."""

    kind: str = ""
    usage: str = ""
    contradictory: bool = False


def superblock(fd: int, offset: int, size: int) -> dict[str, str]:
    """``TYPE`` and ``LABEL`` of the file system in a range of bytes; empty for none, and when several claim it.

    Blocking. Raises OSError when the device cannot be read, ToolMissing without libblkid.
    """
    with _probe(fd, offset, size) as probe:
        _library().blkid_probe_set_superblocks_flags(probe, _SUPERBLOCK_LABEL | _SUPERBLOCK_TYPE)
        return _values(probe, ("TYPE", "LABEL")) or {}


def filesystem_uuid(fd: int, offset: int = 0, size: int = 0) -> str:
    """Of what a partition holds; empty for none. Size 0 means up to the end. Raises as ``superblock`` does."""
    with _probe(fd, offset, size) as probe:
        _library().blkid_probe_set_superblocks_flags(probe, _SUPERBLOCK_UUID)
        return (_values(probe, ("UUID",)) or {}).get("UUID", "")


def partition_uuid(fd: int) -> str:
    """By the partition's own node: a GUID, or an MSDOS table's number and its own, ``4012e691-02``; empty for none."""
    with _probe(fd, 0, 0) as probe:
        _library().blkid_probe_enable_superblocks(probe, 0)
        _library().blkid_probe_enable_partitions(probe, 1)
        _library().blkid_probe_set_partitions_flags(probe, _ENTRY_DETAILS)
        return (_values(probe, ("PART_ENTRY_UUID",)) or {}).get("PART_ENTRY_UUID", "")


def signature(fd: int, size: int) -> Signature:
    """What holds the first ``size`` bytes as a whole. Raises as ``superblock`` does."""
    with _probe(fd, 0, size) as probe:
        _library().blkid_probe_set_superblocks_flags(probe, _SUPERBLOCK_TYPE | _SUPERBLOCK_USAGE)
        found = _values(probe, ("TYPE", "USAGE"))
    if found is None:
        return Signature(contradictory=True)
    return Signature(kind=found.get("TYPE", ""), usage=found.get("USAGE", ""))


def partition_table(fd: int, sector_size: int) -> str:
    """``gpt``, ``dos`` or libblkid's name of another kind of table; ``""`` for none. Raises as ``superblock`` does."""
    with _probe(fd, 0, 0) as probe:
        _library().blkid_probe_set_sectorsize(probe, sector_size)
        _library().blkid_probe_enable_superblocks(probe, 0)
        _library().blkid_probe_enable_partitions(probe, 1)
        return (_values(probe, ("PTTYPE",)) or {}).get("PTTYPE", "")


@contextmanager
def _probe(fd: int, offset: int, size: int) -> Iterator[int]:
    """A new probe has its superblocks enabled and its partitions disabled. Size 0 means up to the end."""
    library = _library()
    probe = library.blkid_new_probe()
    if not probe:
        raise MemoryError("blkid_new_probe")
    try:
        if library.blkid_probe_set_device(probe, fd, offset, size) != 0:
            raise _os_error("libblkid cannot use the device")
        yield probe
    finally:
        library.blkid_free_probe(probe)


def _values(probe: int, names: Iterable[str]) -> dict[str, str] | None:
    """None when what was found contradicts itself."""
    result = _library().blkid_do_safeprobe(probe)
    if result == _ERROR:
        raise _os_error("libblkid cannot read the device")
    if result == _CONTRADICTORY:
        return None
    if result != _FOUND:
        return {}
    found = {name: _value(probe, name) for name in names}
    return {name: value for name, value in found.items() if value is not None}


def _value(probe: int, name: str) -> str | None:
    data = ctypes.c_char_p()
    if _library().blkid_probe_lookup_value(probe, name.encode(), ctypes.byref(data), None) != 0:
        return None
    return (data.value or b"").decode(errors="replace")


def _os_error(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")


@cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libblkid.so.1", use_errno=True)
    except OSError:
        raise ToolMissing("libblkid.so.1 is not installed", hint="apt install libblkid1") from None
    probe, integer, text = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
    text_out, size_out = ctypes.POINTER(ctypes.c_char_p), ctypes.POINTER(ctypes.c_size_t)
    prototypes = {
        "blkid_new_probe": (probe, []),
        "blkid_free_probe": (None, [probe]),
        "blkid_probe_set_device": (integer, [probe, integer, ctypes.c_int64, ctypes.c_int64]),
        "blkid_probe_set_sectorsize": (integer, [probe, ctypes.c_uint]),
        "blkid_probe_enable_superblocks": (integer, [probe, integer]),
        "blkid_probe_set_superblocks_flags": (integer, [probe, integer]),
        "blkid_probe_enable_partitions": (integer, [probe, integer]),
        "blkid_probe_set_partitions_flags": (integer, [probe, integer]),
        "blkid_do_safeprobe": (integer, [probe]),
        "blkid_probe_lookup_value": (integer, [probe, text, text_out, size_out]),
    }
    for name, (result, arguments) in prototypes.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
