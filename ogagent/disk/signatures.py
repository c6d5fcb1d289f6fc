"""Where it says on a partition what it holds: the magic bytes by which file systems, volumes and RAIDs are found.

The places are those of libblkid (``libblkid/src/superblocks`` and ``partitions`` of util-linux), which blkid, wipefs,
udev and mount ask, and those that others look at besides: cryptsetup at the second header of LUKS2, the kernel at the
copies that NTFS, NILFS2 and F2FS keep of their superblocks. What tells nothing by itself, such as the ``55 aa`` of a
boot sector, is not here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from ogagent.model.units import KIB, MIB

_SECTOR: Final = 512
_PAGE: Final = 4096


class Place(NamedTuple):
    """One of ``magics`` stands at ``offset``, in bytes from the start of the partition."""

    offset: int
    magics: tuple[bytes, ...]
    at_end: bool
    """Counted from the end of the partition."""


_MD: Final = b"\xfc\x4e\x2b\xa9"
_BCACHE: Final = b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"
_BCACHEFS: Final = b"\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef"
_F2FS: Final = b"\x10\x20\xf5\xf2"
_NILFS2: Final = b"\x02\0\0\0\0\0\x34\x34"  # revision 2.0, then the magic
_GPT: Final = b"EFI PART"
_NTFS: Final = b"NTFS    "
_LVM2: Final = b"LVM2 001"
_STRATIS: Final = b"!Stra0tis\x86\xff\x02^\x41rh"
_OCFS2: Final = b"OCFSV2"
_SYSV: Final = (b"\x20\x7e\x18\xfd", b"\xfd\x18\x7e\x20")
_SWAP: Final = (b"SWAP-SPACE", b"SWAPSPACE2", b"S1SUSPEND", b"S2SUSPEND", b"ULSUSPEND", b"LINHIB0001")
_LABELS: Final = (b"\xd3\xd5\xe7\xf1", b"\xc3\xd4\xe2\xf1")  # of a DASD: LNX1 and CMS1 in EBCDIC
_UFS: Final = tuple(
    magic.to_bytes(4, order)
    for magic in (0x00011954, 0x19540119, 0x00195612, 0x00095014, 0x00612195, 0x05231994)
    for order in ("little", "big")
)

_FIRST_PAGE: Final[tuple[tuple[int, tuple[bytes, ...]], ...]] = (
    (0, (b"LUKS\xba\xbe", _MD, b"HM", b"SnAp", b"verity\0\0", b"integrt\0", b"dmvdo001", b"UBI#")),
    (0, (b"bluestore block device", b"$DRBDmgr=q", b"DRBDdlh*", b"\xed\xc3\x02\xe9\x98\x56\xe5\x0c", b"mpoolDev")),
    (0, (b"\xeb\x52\x90-FVE-FS-", b"\xeb\x58\x90-FVE-FS-", b"\xeb\x58\x90MSWIN4.1", b"\0\0\0ReFS\0")),
    (0, (b"XFSB", b"EXFS", b"hsqs", b"sqsh", b"-rom1fs-", b"SFOZ", b"\x45\x3d\xcd\x28", b"\x28\xcd\x3d\x45")),
    (0, (b"\x31\x18\x10\x06", b"\xce\xfa\xad\x1b")),  # UBIFS, SCO's bfs
    (3, (_NTFS, b"EXFAT   ")),
    *((offset, (_LVM2,)) for offset in (24, 536, 1048, 1560)),
    (32, (b"NXSB", b"ORCLDISK", b"BFS1", b"1SFB")),
    (54, (b"MSDOS", b"FAT16   ", b"FAT12   ", b"FAT     ")),
    (82, (b"MSWIN", b"FAT32   ")),
    (88, (b"CS",)),  # Apple's FileVault
    (516, (_STRATIS,)),
    (544, (b"BFS1", b"1SFB")),
    (1016, _SYSV),
    (1024, (b"BD", b"H+", b"HX", _F2FS, _NILFS2, _OCFS2, b"\xe2\xe1\xf5\xe0", b"\xf5\xfc\x01\xa5")),
    (1040, (b"\x7f\x13", b"\x8f\x13", b"\x13\x7f", b"\x13\x8f", b"\x68\x24", b"\x78\x24", b"\x24\x68", b"\x24\x78")),
    (1048, (b"\x5a\x4d", b"\x4d\x5a")),  # like those at 1040, Minix
    (1080, (b"\x53\xef",)),  # ext2 to ext4
    (2048, (b"\x2b\x55\x44", b"\x44\x55\x2b", _OCFS2, *_LABELS)),
    *((sector, (_GPT,)) for sector in (512, 1024, 2048)),
)
_FROM_START: Final[tuple[tuple[int, tuple[bytes, ...]], ...]] = (
    *_FIRST_PAGE,
    *((page - 10, _SWAP) for page in (4 * KIB, 8 * KIB, 16 * KIB, 32 * KIB, 64 * KIB)),
    *((block + 1372, _UFS) for block in (0, 8 * KIB, 64 * KIB, 256 * KIB)),
    *((sector, (b"\xfe\xed\xba\xbe",)) for sector in range(0, 256 * KIB, _SECTOR)),  # a log of XFS, anywhere in there
    (4 * KIB, (_MD, b"SPB5", _GPT, _OCFS2, *_LABELS)),
    (4 * KIB + 4, (b"\xe5\xd6\xd3\xf1",)),  # of a DASD: VOL1 in EBCDIC
    (4 * KIB + 24, (_BCACHE, _BCACHEFS)),
    (4612, (_STRATIS,)),
    (4640, (b"\xf0\x16\x78\x5a", b"\xfd\x16\x78\x5a")),  # HighPoint 37x
    (4 * KIB + 1024, (_F2FS,)),
    (8 * KIB, (b"OracleCFS", _OCFS2, b"\xa5\x01\xfc\xf5", b"\x49\xe8\x95\xf9", *_LABELS)),
    (8 * KIB + 4, (b"\xe5\xd6\xd3\xf1",)),
    (8 * KIB + 20, (b"ReIsErFs",)),
    (8 * KIB + 52, (b"ReIsErFs",)),
    *((offset, _SYSV) for offset in (10232, 16376, 19448)),
    (14852, (b"\x0d\x60\x5e\xca",)),  # UnixWare
    (16312, (b"\x57\x29\x03\0",)),  # Ultrix
    *((16 * KIB << shift, (b"SKUL\xba\xbe",)) for shift in range(9)),  # LUKS2, behind its first header
    (32 * KIB, (b"JFS1",)),
    (32 * KIB + 1, (b"CD001", b"BEA01", b"BOOT2", b"CDW02", b"NSR02", b"NSR03", b"TEA01")),
    (32 * KIB + 9, (b"CDROM",)),
    (64 * KIB, (b"\x01\x16\x19\x70", b"ReIsEr4")),
    (64 * KIB + 4, (b"\x8b\x42\x3c\x10",)),  # ScoutFS
    (64 * KIB + 52, (b"ReIsEr2Fs", b"ReIsEr3Fs", b"ReIsErFs")),
    (64 * KIB + 64, (b"_BHRfS_M",)),
    (MIB, (b"\x0d\xd0\x01\xc0",)),  # VMFS, the volume
    (2 * MIB, (b"\x5e\xf1\xab\x2f",)),  # VMFS, the file system
    (2 * MIB + 24, (_BCACHEFS,)),
)
# Rows of unit, how many whole units from the end, byte in the unit, magics
_FROM_END: Final[tuple[tuple[int, int, int, tuple[bytes, ...]], ...]] = (
    (_SECTOR, 1, 0, (b"$XIDE$", b"JM", b"\x37\xfc\x4d\x1e", b"\x55\xaa\0", b"\x55\xaa\x01", b"\x55\xaa\x02")),
    (_SECTOR, 1, 0x60, (b"\0\0\0\x2f",)),  # Silicon Image; above LSI, JMicron, Adaptec, VIA
    (_SECTOR, 2, 0, (b"NVIDIA  ",)),
    (_SECTOR, 11, 0, (b"\xf3\x16\x78\x5a", b"\xfd\x16\x78\x5a")),  # HighPoint 45x
    *((sector, 2, 0, (b"Intel Raid ISM Cfg Sig. ",)) for sector in (_SECTOR, 4 * KIB)),
    *((_SECTOR, count, 0, (b"\xde\x11\xde\x11",)) for count in (1, 257)),  # DDF
    *(
        (_SECTOR, count, 0, (b"Promise Technology, Inc.",))
        for count in (16, 63, 255, 256, 399, 591, 675, 735, 911, 951, 974, 991, 3087)
    ),
    (64 * KIB, 1, 0, (_MD, _MD[::-1])),  # Linux RAID 0.90
    (4 * KIB, 2, 0, (_MD,)),  # and 1.0
    (_SECTOR, 8, 60, (b"\x83\x74\x02\x6b", b"\x83\x74\x02\x6c", b"\x83\x74\x02\x6d")),  # DRBD
    (_SECTOR, 8, 0, (_NILFS2,)),
    (4 * KIB, 1, 0, (_NILFS2,)),
    (_SECTOR, MIB // _SECTOR, 24, (_BCACHEFS,)),
    *((sector, 1, 0, (_GPT,)) for sector in (512, 1024, 2048, 4096)),
    *((sector, 1, 3, (_NTFS,)) for sector in (512, 1024, 2048, 4096)),
)

_LABEL: Final = 256 * KIB
_NAMES: Final = tuple(bytes((1, order, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)) for order in (0, 1))
_UBERBLOCK: Final = tuple((0x00BAB10C).to_bytes(8, order) for order in ("little", "big"))


def places(size: int) -> Iterator[Place]:
    """All that lie on a partition of ``size`` bytes."""
    for offset, magics in _FROM_START:
        if offset < size:
            yield Place(offset, magics, at_end=False)
    for unit, count, byte, magics in _FROM_END:
        if size >= unit * count:
            yield Place((size // unit - count) * unit + byte, magics, at_end=True)
    if size >= 4 * _LABEL:
        for label in (0, 1, size // _LABEL - 2, size // _LABEL - 1):
            yield from _zfs(label * _LABEL, at_end=label > 1)


def _zfs(label: int, *, at_end: bool) -> Iterator[Place]:
    """A label of ZFS: names and values from 16 KiB on, then a ring of superblocks."""
    yield Place(label + 16 * KIB, _NAMES, at_end)
    for offset in range(128 * KIB, _LABEL, KIB):
        yield Place(label + offset, _UBERBLOCK, at_end)


def pages(size: int) -> set[int]:
    """The 4 KiB pages with a place in them, by their offset."""
    return {place.offset // _PAGE * _PAGE for place in places(size)}
