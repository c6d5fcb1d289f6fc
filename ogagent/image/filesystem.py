"""File systems known by their superblock: what a raw image may begin with, and how large it says it is."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final, NamedTuple

PROBE_SIZE: Final = 68 << 10  # btrfs keeps its superblock at 64 KiB
_NTFS: Final = b"NTFS    "


LUKS: Final = (0, b"LUKS\xba\xbe")
BITLOCKER: Final = (3, b"-FVE-FS-")
BITLOCKER_TO_GO: Final = (424, bytes.fromhex("3bd66749292ed84a8399f6a339e3d001"))
_ENCRYPTED: Final = (LUKS, BITLOCKER, BITLOCKER_TO_GO)
"""BitLocker calls itself FAT32 as well, and under LUKS may be left what was there before."""


class Superblock(NamedTuple):
    """``size`` is what the file system occupies, in bytes; 0 where its superblock does not tell."""

    filesystem: str
    size: int


def recognize(head: bytes) -> Superblock | None:
    """None when the bytes do not begin a file system this agent knows."""
    if any(head.startswith(magic, offset) for offset, magic in _ENCRYPTED):
        return None
    for magic, offset, measure in _KNOWN:
        if head[offset : offset + len(magic)] == magic and len(head) >= PROBE_SIZE:
            return measure(head)
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


def _ext(head: bytes) -> Superblock:  # linux/fs/ext4/ext4.h, struct ext4_super_block at 1024
    blocks, log_size = struct.unpack_from("<4x I 16x I", head, 1024)
    compat, incompat = struct.unpack_from("<II", head, 1024 + 92)
    high = struct.unpack_from("<I", head, 1024 + 336)[0] if incompat & 0x80 else 0
    name = "EXT4" if incompat & 0x2C0 else "EXT3" if compat & 0x4 else "EXT2"
    return Superblock(name, ((high << 32) | blocks) << (10 + log_size) if log_size <= 6 else 0)


def _ntfs(head: bytes) -> Superblock:
    sector, sectors = _ntfs_size(head)
    return Superblock("NTFS", sector * (sectors + 1))  # the last one is the copy


def _ntfs_size(head: bytes) -> tuple[int, int]:  # BIOS parameter block: bytes per sector at 11, sectors at 40
    return (*struct.unpack_from("<H", head, 11), *struct.unpack_from("<Q", head, 40))


def _exfat(head: bytes) -> Superblock:  # exFAT specification 3.1: VolumeLength at 72, BytesPerSectorShift at 108
    return Superblock("EXFAT", struct.unpack_from("<Q", head, 72)[0] << min(head[108], 12))


def _fat(head: bytes) -> Superblock:  # FAT specification: bytes per sector at 11, sectors at 19 or 32
    sector, small, large = (
        *struct.unpack_from("<H", head, 11),
        *struct.unpack_from("<H", head, 19),
        *struct.unpack_from("<I", head, 32),
    )
    return Superblock("FAT", sector * (small or large))


def _xfs(head: bytes) -> Superblock:  # xfs_format.h, struct xfs_dsb: block size at 4, data blocks at 8, big-endian
    size, blocks = struct.unpack_from(">IQ", head, 4)
    return Superblock("XFS", size * blocks)


def _btrfs(head: bytes) -> Superblock:  # btrfs_tree.h, struct btrfs_super_block at 64 KiB: total_bytes at 112
    return Superblock("BTRFS", struct.unpack_from("<Q", head, (64 << 10) + 112)[0])


def _f2fs(head: bytes) -> Superblock:  # f2fs_fs.h, struct f2fs_super_block at 1024: log block size at 16, blocks at 36
    (log_size,), (blocks,) = struct.unpack_from("<I", head, 1024 + 16), struct.unpack_from("<Q", head, 1024 + 36)
    return Superblock("F2FS", blocks << log_size if log_size <= 16 else 0)


_KNOWN: Final[tuple[tuple[bytes, int, Callable[[bytes], Superblock]], ...]] = (
    (_NTFS, 3, _ntfs),
    (b"EXFAT   ", 3, _exfat),
    (b"FAT32   ", 82, _fat),
    (b"FAT16   ", 54, _fat),
    (b"FAT12   ", 54, _fat),
    (b"XFSB", 0, _xfs),
    (b"_BHRfS_M", (64 << 10) + 64, _btrfs),
    (b"\x10\x20\xf5\xf2", 1024, _f2fs),
    (b"\x53\xef", 1024 + 56, _ext),
)
