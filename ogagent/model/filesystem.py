"""File systems, and what else a partition may hold: each once, by all the names that others have for it.

Names of OpenGnsys as in ``fsi`` and ``sfi``; of libblkid as in ``libblkid/src/superblocks``; of partclone as in
``src/*clone.c``.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

Family = Literal["Linux", "Windows", "Apple", "BSD"]


class Filesystem(Struct, frozen=True):
    """``name`` is OpenGnsys', ``partclone`` None for what it makes no images of; ``family``: whose systems use it."""

    name: str
    blkid: str
    partclone: str | None = None
    family: Family | None = None


EXTFS: Final = "EXTFS"
"""ext2 to ext4 are one and the same for partclone."""
BTRFS: Final = Filesystem("BTRFS", "btrfs", "BTRFS", "Linux")
NTFS: Final = Filesystem("NTFS", "ntfs", "NTFS", "Windows")
SUSPENDED: Final = Filesystem("LINUX-SWAP", "swsuspend")
"""Swap space in which a Linux sleeps."""
FILESYSTEMS: Final = (
    Filesystem("EXT4", "ext4", EXTFS, "Linux"),
    Filesystem("EXT3", "ext3", EXTFS, "Linux"),
    Filesystem("EXT2", "ext2", EXTFS, "Linux"),
    Filesystem("XFS", "xfs", "XFS", "Linux"),
    BTRFS,
    Filesystem("F2FS", "f2fs", "F2FS", "Linux"),
    Filesystem("JFS", "jfs", "JFS", "Linux"),
    Filesystem("NILFS2", "nilfs2", "NILFS", "Linux"),
    Filesystem("REISERFS", "reiserfs", "REISERFS", "Linux"),
    NTFS,
    Filesystem("FAT32", "vfat", "FAT", "Windows"),
    Filesystem("FAT16", "vfat", "FAT", "Windows"),
    Filesystem("FAT12", "vfat", "FAT", "Windows"),
    Filesystem("EXFAT", "exfat", "EXFAT", "Windows"),
    Filesystem("HFSPLUS", "hfsplus", "HFS PLUS", "Apple"),
    Filesystem("APFS", "apfs", "APFS", "Apple"),
    Filesystem("UFS", "ufs", "UFS", "BSD"),
    Filesystem("LINUX-SWAP", "swap"),
    SUSPENDED,
    Filesystem("LINUX-LVM", "LVM2_member"),
)
"""The first of several with the same name of others is the one that it is taken for."""

_MEMBER: Final = "_member"
_MEMBERS: Final = ("bcache", "drbd", "stratis", "DM_snapshot_cow")
"""How libblkid's names for parts of LVM, md, firmware RAIDs, VMFS and ZFS end, and those for others. An ogLive has none
of these active.
"""

_FAMILIES: Final[dict[str, Family]] = {
    **dict.fromkeys(("83", "8300"), "Linux"),
    **dict.fromkeys(("1", "4", "6", "7", "b", "c", "e", "700", "2700"), "Windows"),
    **dict.fromkeys(("af", "af00"), "Apple"),
    **dict.fromkeys(("a5", "a500"), "BSD"),
}
"""By partition code, without leading zeros."""


def by_blkid(name: str) -> Filesystem | None:
    return next((each for each in FILESYSTEMS if each.blkid == name), None)


def of_image(name: str) -> Filesystem | None:
    """By what the header of an image calls it: partclone's name or OpenGnsys', in any case."""
    return next((each for each in FILESYSTEMS if name.upper() in (each.partclone, each.name)), None)


def is_member_by_name(blkid: str) -> bool:
    """Whether that is always a part of a volume."""
    return blkid.endswith(_MEMBER) or blkid in _MEMBERS


def family_of_code(code: str) -> Family | None:
    """Whose systems a partition with this code is for; None for a code of nobody in particular."""
    return _FAMILIES.get(code.lower().lstrip("0"))
