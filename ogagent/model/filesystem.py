"""File systems, and what else a partition may hold: each once, by all the names that others have for it.

Names of OpenGnsys as in ``fsi`` and ``sfi``; of libblkid as in ``libblkid/src/superblocks``; of partclone as in
``src/*clone.c``.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

Family = Literal["Linux", "Windows", "Apple", "BSD"]


class Driver(Struct, frozen=True):
    """Linux' own, and its options: for ``reading``, which keep it from writing, and for ``changing``; None: it changes
    nothing. ``program`` does, and reads where the kernel has no driver; empty: there is none.
    """

    name: str
    reading: tuple[str, ...]
    changing: tuple[str, ...] | None = ()
    program: str = ""


class Filesystem(Struct, frozen=True):
    """``name`` is OpenGnsys', ``partclone`` None for what it makes no images of; ``family``: whose systems use it.
    ``driver`` None: files in it are neither read nor changed.
    """

    name: str
    blkid: str
    partclone: str | None = None
    family: Family | None = None
    driver: Driver | None = None


_EXT: Final = Driver("ext4", ("ro", "noload"))
"""It serves its elders, which a kernel need not have."""
_XFS: Final = Driver("xfs", ("ro", "norecovery", "nouuid"), ("nouuid",))
"""Clones share their UUID, and one may be mounted, or in another disk of this machine."""
_NTFS: Final = Driver("ntfs3", ("ro",), None, program="ntfs-3g")
"""The kernel has it from Linux 5.15 on. What changes a Windows is the same that ntfsresize and ntfsfix come with, and
does the same on every kernel.
"""
_FAT: Final = Driver("vfat", ("ro",), ("umask=0077", "utf8=1"))

EXTFS: Final = "EXTFS"
"""ext2 to ext4 are one and the same for partclone."""
BTRFS: Final = Filesystem("BTRFS", "btrfs", "BTRFS", "Linux", Driver("btrfs", ("ro", "rescue=nologreplay")))
NTFS: Final = Filesystem("NTFS", "ntfs", "NTFS", "Windows", _NTFS)
SUSPENDED: Final = Filesystem("LINUX-SWAP", "swsuspend")
"""Swap space in which a Linux sleeps."""
FILESYSTEMS: Final = (
    Filesystem("EXT4", "ext4", EXTFS, "Linux", _EXT),
    Filesystem("EXT3", "ext3", EXTFS, "Linux", _EXT),
    Filesystem("EXT2", "ext2", EXTFS, "Linux", _EXT),
    Filesystem("XFS", "xfs", "XFS", "Linux", _XFS),
    BTRFS,
    Filesystem("F2FS", "f2fs", "F2FS", "Linux", Driver("f2fs", ("ro", "norecovery"))),
    Filesystem("JFS", "jfs", "JFS", "Linux"),
    Filesystem("NILFS2", "nilfs2", "NILFS", "Linux"),
    Filesystem("REISERFS", "reiserfs", "REISERFS", "Linux"),
    NTFS,
    Filesystem("FAT32", "vfat", "FAT", "Windows", _FAT),
    Filesystem("FAT16", "vfat", "FAT", "Windows", _FAT),
    Filesystem("FAT12", "vfat", "FAT", "Windows", _FAT),
    Filesystem("EXFAT", "exfat", "EXFAT", "Windows", Driver("exfat", ("ro",), None)),
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


def driver_of(blkid: str) -> Driver | None:
    found = by_blkid(blkid)
    return None if found is None else found.driver


READABLE: Final = tuple(dict.fromkeys(each.blkid for each in FILESYSTEMS if each.driver))
CHANGEABLE: Final = tuple(
    name for name in READABLE if (driver := driver_of(name)) and (driver.program or driver.changing is not None)
)
"""What can be looked into, and what can be changed, by libblkid's names."""


def is_member_by_name(blkid: str) -> bool:
    """Whether that is always a part of a volume."""
    return blkid.endswith(_MEMBER) or blkid in _MEMBERS


def family_of_code(code: str) -> Family | None:
    """Whose systems a partition with this code is for; None for a code of nobody in particular."""
    return _FAMILIES.get(code.lower().lstrip("0"))
