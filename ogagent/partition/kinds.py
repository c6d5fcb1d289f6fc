"""Kinds of partitions as OpenGnsys names them, and their codes in both kinds of tables.

Mnemonics and codes are those of ``ogTypeToId`` in OpenGnsys' engine (Disk.lib); codes as in ``ogagent.disk.codes``.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from ogagent.disk.codes import UNKNOWN, may_be_a_cache, partition_type
from ogagent.model.disk import Disk, Partition, TableKind


class PartitionKind(Struct, frozen=True, kw_only=True):
    """Codes that mean it, the one for a new partition first; none where a table has no such thing.

    ``filesystem`` is what it is formatted with when nobody says, empty where that does not follow.
    """

    name: str
    msdos: tuple[str, ...]
    gpt: tuple[str, ...]
    filesystem: str = ""

    def code(self, table: TableKind) -> str:
        """For a new partition; empty when the table cannot have it."""
        codes = self.msdos if table == "msdos" else self.gpt
        return codes[0] if codes and codes[0] != UNKNOWN else ""

    def means(self, disk: Disk, partition: Partition) -> bool:
        """Whether the partition is of this kind."""
        codes = self.msdos if disk.table == "msdos" else self.gpt
        return partition.code in codes or (self is CACHE and may_be_a_cache(disk, partition))


def _kind(name: str, msdos: str, gpt: str, filesystem: str = "") -> PartitionKind:
    return PartitionKind(name=name, msdos=tuple(msdos.split()), gpt=tuple(gpt.split()), filesystem=filesystem)


EMPTY: Final = _kind("EMPTY", "0", "")
"""No partition: its number is not used, its size is left free."""
EXTENDED: Final = _kind("EXTENDED", "f 5 85", "")
CACHE: Final = _kind("CACHE", "ca", "CA00", "EXT4")
_KINDS: Final = {
    kind.name: kind
    for kind in (
        EMPTY,
        EXTENDED,
        CACHE,
        _kind("FAT12", "1", "0700"),
        _kind("FAT16", "6 4 e", "0700", "FAT16"),
        _kind("FAT32", "c b", "0700", "FAT32"),
        _kind("NTFS", "7", "0700", "NTFS"),
        _kind("EXFAT", "7", "0700", "EXFAT"),
        _kind("WINDOWS", "7", "0700", "NTFS"),
        _kind("WIN-RESERV", "", "0C01"),
        _kind("WIN-RECOVERY", "27", "2700", "NTFS"),
        _kind("HNTFS", "17", ""),
        _kind("HFAT32", "1c 1b", ""),
        _kind("HFAT16", "16 14 1e", ""),
        _kind("LINUX", "83", "8300", "EXT4"),
        _kind("LINUX-SWAP", "82", "8200", "LINUX-SWAP"),
        _kind("LINUX-LVM", "8e", "8E00"),
        _kind("LINUX-RAID", "fd", "FD00"),
        _kind("DATA", "da", "0700"),
        _kind("EFI", "ef", "EF00", "FAT32"),
        _kind("BIOS-BOOT", "", "EF02"),
        _kind("FREEBSD", "a5", "A500"),
        _kind("HFS", "af", "AF00"),
    )
}
_HEXADECIMAL: Final = re.compile("[0-9A-Fa-f]{1,4}")
_FAT: Final = ("1", "4", "6", "b", "c", "e", "da")


def kind_of(text: str) -> PartitionKind | None:
    """By its mnemonic or its code in either kind of table; None for what is neither."""
    if known := _KINDS.get(text.upper()):
        return known
    if not _HEXADECIMAL.fullmatch(text):
        return None
    number = int(text, 16)
    if number == 0:
        return _kind(UNKNOWN, "", UNKNOWN) if text == UNKNOWN else EMPTY
    msdos, gpt = _codes(number)
    if kind := next((kind for kind in (EXTENDED, CACHE) if msdos in kind.msdos or gpt in kind.gpt), None):
        return kind
    names = (kind for kind in _KINDS.values() if msdos in kind.msdos[:1] or gpt in kind.gpt[:1])
    filesystem = next((kind.filesystem for kind in names if kind.filesystem), "")
    return _kind(text, msdos, gpt, filesystem)


def _codes(number: int) -> tuple[str, str]:
    """Of the MSDOS and of the GPT kind; empty where there is none. Two digits are of the one, more are of the other."""
    if number > 0xFF:
        gpt = f"{number:04X}"
        return (f"{number >> 8:x}" if number & 0xFF == 0 else ""), (gpt if partition_type("gpt", gpt) else "")
    msdos = f"{number:x}"
    gpt = "0700" if msdos in _FAT else f"{number:02X}00"
    return msdos, (gpt if partition_type("gpt", gpt) else "")
