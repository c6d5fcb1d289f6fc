"""How full a file system is: from its superblock, or from the kernel while it is mounted."""

from __future__ import annotations

import os
import struct
from array import array
from collections.abc import Callable
from typing import Final

from ogagent.disk import ntfs
from ogagent.disk.volume import Volume

_FAT16_CLUSTERS: Final = 65525
_FAT12_CLUSTERS: Final = 4085
_UNKNOWN: Final = 0xFFFFFFFF


def used_percent(volume: Volume, filesystem: str) -> int | None:
    """Blocking. ``filesystem`` as libblkid names it. None where the percentage cannot be known; raises nothing."""
    measure = _MEASURES.get(filesystem)
    if measure is None:
        return None
    try:
        return _percent(*measure(volume))
    except (OSError, ValueError, IndexError, struct.error):
        return None


def used_percent_of_mount(mount_point: str) -> int | None:
    """Blocking. As ``used_percent``."""
    try:
        status = os.statvfs(mount_point)
    except OSError:
        return None
    return _percent(status.f_blocks - status.f_bfree, status.f_blocks)


def _percent(used: int, total: int) -> int | None:
    return round(100 * used / total) if 0 <= used <= total and total > 0 else None


def _ext(volume: Volume) -> tuple[int, int]:
    """linux/fs/ext4/ext4.h, ``struct ext4_super_block`` at 1024. As in statfs(), what ext4 keeps to itself is none."""
    superblock = volume.read(1024, 1024)
    blocks, free = struct.unpack_from("<I 4x I", superblock, 4)
    (incompatible,), (overhead,) = struct.unpack_from("<I", superblock, 96), struct.unpack_from("<I", superblock, 584)
    if incompatible & 0x80:  # EXT4_FEATURE_INCOMPAT_64BIT
        blocks |= struct.unpack_from("<I", superblock, 336)[0] << 32
        free |= struct.unpack_from("<I", superblock, 344)[0] << 32
    return blocks - overhead - free, blocks - overhead


def _xfs(volume: Volume) -> tuple[int, int]:
    """linux/fs/xfs/libxfs/xfs_format.h, ``struct xfs_dsb``, big-endian. As in statfs(), an internal log is no space."""
    superblock = volume.read(0, 512)
    (blocks,), (log_start,) = struct.unpack_from(">Q", superblock, 8), struct.unpack_from(">Q", superblock, 48)
    (log_blocks,), (free,) = struct.unpack_from(">I", superblock, 96), struct.unpack_from(">Q", superblock, 144)
    space = blocks - log_blocks if log_start else blocks
    return space - free, space


def _btrfs(volume: Volume) -> tuple[int, int]:
    """linux/include/uapi/linux/btrfs_tree.h, ``struct btrfs_super_block`` at 64 KiB: total_bytes, bytes_used."""
    total, used = struct.unpack("<QQ", volume.read((64 << 10) + 112, 16))
    return used, total


def _exfat(volume: Volume) -> tuple[int, int]:
    """exFAT specification 3.1.19: PercentInUse, 0xFF where it is not known."""
    return volume.read(112, 1)[0], 100


def _fat(volume: Volume) -> tuple[int, int]:
    """Microsoft's FAT specification 1.03, boot sector and FSInfo; a FAT12 is too small to be worth the unpacking."""
    boot = volume.read(0, 512)
    sector_size, per_cluster, reserved, copies, root_entries, small = struct.unpack_from("<HBHBHH", boot, 11)
    short_length, large, long_length, info = struct.unpack_from("<H 8x II 8x H", boot, 22)
    length = short_length or long_length
    root_sectors = -(-root_entries * 32 // max(sector_size, 1))
    clusters = ((small or large) - reserved - copies * length - root_sectors) // max(per_cluster, 1)
    if clusters < _FAT12_CLUSTERS:
        raise ValueError("FAT12, or no FAT")
    if clusters < _FAT16_CLUSTERS:
        entries = array("H", volume.read(reserved * sector_size + 4, 2 * clusters))
        return clusters - entries.count(0), clusters
    lead, kind, free = struct.unpack_from("<I 480x II", volume.read(info * sector_size, 512))
    if (lead, kind) != (0x41615252, 0x61417272) or free == _UNKNOWN:
        raise ValueError("no free cluster count")
    return clusters - free, clusters


_MEASURES: Final[dict[str, Callable[[Volume], tuple[int, int]]]] = {
    "btrfs": _btrfs,
    "exfat": _exfat,
    "ext2": _ext,
    "ext3": _ext,
    "ext4": _ext,
    "ntfs": ntfs.used_clusters,
    "vfat": _fat,
    "xfs": _xfs,
}
