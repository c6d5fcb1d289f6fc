"""File systems known by their superblock: what a partition may begin with, and what it says of itself there."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final, NamedTuple

from ogagent.model.filesystem import of_image

BTRFS: Final = 64 << 10
"""Where it keeps its superblock."""
PROBE_SIZE: Final = BTRFS + (4 << 10)
_NTFS: Final = b"NTFS    "
_SECTOR_SIZES: Final = (256, 512, 1024, 2048, 4096, 16384, 32768, 65536)


LUKS: Final = (0, b"LUKS\xba\xbe")
BITLOCKER: Final = (3, b"-FVE-FS-")
BITLOCKER_TO_GO: Final = (424, bytes.fromhex("3bd66749292ed84a8399f6a339e3d001"))
_ENCRYPTED: Final = (LUKS, BITLOCKER, BITLOCKER_TO_GO)
"""BitLocker calls itself FAT32 as well, and under LUKS may be left what was there before."""


class Superblock(NamedTuple):
    """``size`` is what the file system occupies, ``sector_size`` the least that it reads and writes: a block, of those
    that know no sectors. In bytes; 0 where the superblock does not tell.
    """

    filesystem: str
    size: int
    sector_size: int


def recognize(head: bytes, filesystem: str = "") -> Superblock | None:
    """None when the bytes do not begin a file system this agent knows; with ``filesystem``, as the header of an image
    calls one, also when they begin another. An older one may have left its boot sector before it.
    """
    if any(head.startswith(magic, offset) for offset, magic in _ENCRYPTED):
        return None
    wanted = of_image(filesystem)
    for magic, offset, measure in _KNOWN:
        if head[offset : offset + len(magic)] == magic and len(head) >= PROBE_SIZE:
            found = measure(head)
            known = of_image(found.filesystem)
            if wanted is None or (known is not None and known.partclone == wanted.partclone):
                return found
    return None


class Copy(NamedTuple):
    """``data`` belongs at ``offset``, in bytes from the start of the file system."""

    offset: int
    data: bytes


def ntfs_copy(head: bytes) -> Copy | None:
    """The copy of the boot sector, behind the sectors that it counts; None when ``head`` does not begin an NTFS.

    ``head`` has 4096 bytes at least. Sizes of sectors as in ntfs-3g's ``bootsect.c``; the offset may lie anywhere.
    """
    sector, sectors = _ntfs_size(head)
    if head[3:11] != _NTFS or sector not in (256, 512, 1024, 2048, 4096) or not sectors:
        return None
    return Copy(sector * sectors, head[:sector])


def _told(sector_size: int) -> int:
    """What no file system has says nothing."""
    return sector_size if sector_size in _SECTOR_SIZES else 0


def _ext(head: bytes) -> Superblock:  # linux/fs/ext4/ext4.h, struct ext4_super_block at 1024
    blocks, log_size = struct.unpack_from("<4x I 16x I", head, 1024)
    compat, incompat = struct.unpack_from("<II", head, 1024 + 92)
    high = struct.unpack_from("<I", head, 1024 + 336)[0] if incompat & 0x80 else 0
    name = "EXT4" if incompat & 0x2C0 else "EXT3" if compat & 0x4 else "EXT2"
    if log_size > 6:
        return Superblock(name, 0, 0)
    return Superblock(name, ((high << 32) | blocks) << (10 + log_size), 1024 << log_size)


def _ntfs(head: bytes) -> Superblock:
    sector, sectors = _ntfs_size(head)
    return Superblock("NTFS", sector * (sectors + 1), _told(sector))  # the last one is the copy


def _ntfs_size(head: bytes) -> tuple[int, int]:  # BIOS parameter block: bytes per sector at 11, sectors at 40
    return (*struct.unpack_from("<H", head, 11), *struct.unpack_from("<Q", head, 40))


def _exfat(head: bytes) -> Superblock:  # exFAT specification 3.1: VolumeLength at 72, BytesPerSectorShift at 108
    shift = min(head[108], 12)
    return Superblock("EXFAT", struct.unpack_from("<Q", head, 72)[0] << shift, 1 << shift)


def _fat(head: bytes) -> Superblock:  # FAT specification: bytes per sector at 11, sectors at 19 or 32
    sector, small, large = (
        *struct.unpack_from("<H", head, 11),
        *struct.unpack_from("<H", head, 19),
        *struct.unpack_from("<I", head, 32),
    )
    return Superblock("FAT", sector * (small or large), _told(sector))


def _xfs(head: bytes) -> Superblock:  # xfs_format.h, struct xfs_dsb, big-endian: sb_sectsize at 102
    (size, blocks), (sector,) = struct.unpack_from(">IQ", head, 4), struct.unpack_from(">H", head, 102)
    return Superblock("XFS", size * blocks, _told(sector))


def _btrfs(head: bytes) -> Superblock:  # btrfs_tree.h, struct btrfs_super_block: total_bytes at 112, sectorsize at 144
    (size,), (sector,) = struct.unpack_from("<Q", head, BTRFS + 112), struct.unpack_from("<I", head, BTRFS + 144)
    return Superblock("BTRFS", size, _told(sector))


def _f2fs(head: bytes) -> Superblock:  # f2fs_fs.h, struct f2fs_super_block at 1024: log block size at 16, blocks at 36
    (log_size,), (blocks,) = struct.unpack_from("<I", head, 1024 + 16), struct.unpack_from("<Q", head, 1024 + 36)
    return Superblock("F2FS", blocks << log_size, 1 << log_size) if log_size <= 16 else Superblock("F2FS", 0, 0)


_KNOWN: Final[tuple[tuple[bytes, int, Callable[[bytes], Superblock]], ...]] = (
    (_NTFS, 3, _ntfs),
    (b"EXFAT   ", 3, _exfat),
    (b"FAT32   ", 82, _fat),
    (b"FAT16   ", 54, _fat),
    (b"FAT12   ", 54, _fat),
    (b"XFSB", 0, _xfs),
    (b"_BHRfS_M", BTRFS + 64, _btrfs),
    (b"\x10\x20\xf5\xf2", 1024, _f2fs),
    (b"\x53\xef", 1024 + 56, _ext),
)
