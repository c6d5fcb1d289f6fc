"""What a disk holds as a whole, so that nobody takes it for an empty one."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from typing import Final

from ogagent.disk import blkid
from ogagent.model.units import KIB

_BEGINNING: Final = 64 * KIB
_PROTECTIVE: Final = "PMBR"  # libblkid's name for the MBR of a GPT, when it finds no GPT behind it
_GPT: Final = b"EFI PART"
_HEADER_SIZE: Final = 92
_LAST_SECTORS: Final = struct.Struct("<32x Q 8x Q")  # of the copy, and of the room for partitions
_SECTOR_SIZES: Final = (512, 4096)
_USAGES: Final = {
    "filesystem": "a file system",
    "crypto": "encrypted data",
    "raid": "a member of a RAID or of a volume group",
}


def whole_disk_problem(fd: int, sector_size: int, *, table: str, entries: int) -> str:
    """Why partitions of this disk must not be used, or not be made, whatever its table says; empty when they may.

    ``table`` is libblkid's name for the kind of partition table, ``entries`` how many partitions were read from it.
    Blocking. Raises OSError when the disk cannot be read.
    """
    return next(_problems(fd, sector_size, table, entries), "")


def _problems(fd: int, sector_size: int, table: str, entries: int) -> Iterator[str]:
    size = os.lseek(fd, 0, os.SEEK_END)
    found = blkid.signature(fd, size)
    if found.kind.endswith("_raid_member"):  # the table of a mirror shows on each of its disks
        yield f"it is a member of a RAID ({found.kind})"
    if entries:
        return  # a file system that is older than the table is of no account
    if found.contradictory:
        yield "it holds signatures that contradict each other, and no partitions"
    if found.kind:
        what = _USAGES.get("raid" if found.kind.endswith("_member") else found.usage, "something")
        yield f"it holds {what} ({found.kind}) on the whole disk, and no partitions"
    if table in ("gpt", "dos"):
        return
    if table not in ("", _PROTECTIVE):
        yield f"it has a partition table of another kind ({table}), and only GPT and MSDOS are known here"
    yield from _unread_gpt(fd, size, sector_size, protected=table == _PROTECTIVE)
    if any(os.pread(fd, _BEGINNING, 0)):
        yield "it holds something that is not known here, and no partitions"


def _unread_gpt(fd: int, size: int, sector_size: int, *, protected: bool) -> Iterator[str]:
    """What is wrong with a GPT that libblkid, as the kernel, does not take for one."""
    header = os.pread(fd, _HEADER_SIZE, sector_size)
    copy = os.pread(fd, len(_GPT), max(size - sector_size, 0))
    if protected and header.startswith(_GPT) and _is_whole(header):
        made_for = (max(_LAST_SECTORS.unpack_from(header)) + 1) * sector_size
        if made_for > size:
            yield f"it has a GPT for a disk of {made_for} bytes, and only {size} are there"
    if header.startswith(_GPT) or copy == _GPT:
        yield "it has a GPT that is damaged" if protected else "it has a GPT without the MBR that protects one"
    for other in _SECTOR_SIZES:
        if os.pread(fd, len(_GPT), other) == _GPT:
            yield f"it has a GPT for sectors of {other} bytes, and the disk's are of {sector_size}"
    if protected:
        yield "it has the MBR that protects a GPT, and no GPT"


def _is_whole(header: bytes) -> bool:
    """By its checksum, which is taken with its own place zero: UEFI specification 2.10, 5.3.2."""
    return zlib.crc32(header[:16] + bytes(4) + header[20:]) == int.from_bytes(header[16:20], "little")
