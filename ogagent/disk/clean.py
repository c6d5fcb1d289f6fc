"""Whether a file system was left in order: what partclone calls used is what its own map says, and that is behind the
truth while a journal has yet to be replayed, or while nobody has looked after a power cut.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Final, NamedTuple

from ogagent.disk import ntfs_log, xfs_log
from ogagent.disk.volume import Volume

_REMOUNT: Final = "mount and unmount it"
_E2FSCK: Final = "run e2fsck on it"
_FSCK_FAT: Final = "let Windows check it (chkdsk /f), or run fsck.vfat -a"
_FSCK_EXFAT: Final = "let Windows check it (chkdsk /f), or run fsck.exfat -p"
_FSCK_F2FS: Final = "run fsck.f2fs -f on it"
_CHKDSK: Final = "let Windows check it (chkdsk /f)"
_CHKDSK_SURFACE: Final = "let Windows check it, and its disk with it (chkdsk /r)"
_SHUT_DOWN: Final = "start Windows and shut it down, with fast start-up off"

_NOT_UNMOUNTED: Final = "it was not unmounted cleanly"
_HAS_ERRORS: Final = "errors were found in it, and nobody repaired them"
_JOURNAL: Final = "its journal has yet to be replayed"

_FAT12_CLUSTERS: Final = 4085
_F2FS_MAGIC: Final = 0xF2F52010
_F2FS_BITMAPS: Final = 192
"""Where a checkpoint's fixed fields end: the first place of its checksum."""


class Unclean(NamedTuple):
    """``reason`` is a clause whose subject is the file system, as in "it was not unmounted cleanly"; ``hint`` what
    to do about it.
    """

    reason: str
    hint: str


def uncleanliness(volume: Volume, filesystem: str) -> Unclean | None:
    """Why the file system, as libblkid names it, was not left in order; None when it was.

    None as well for any but ext2 to ext4, NTFS, vfat, exFAT, btrfs, F2FS and XFS: of those nothing can be said. That
    its superblock or its journal cannot be understood is a reason too, and no error. Whether Windows sleeps in it is
    for ``hibernation`` to say. Blocking; reads less than 1 MiB. Raises OSError when the volume cannot be read.
    """
    look = _LOOKS.get(filesystem)
    if look is None:
        return None
    try:
        return look(volume)
    except (ValueError, IndexError, struct.error):
        return Unclean("its state cannot be understood", "check it with its own tools: fsck, chkdsk")


def _ext(volume: Volume) -> Unclean | None:
    """linux/fs/ext4/ext4.h, ``struct ext4_super_block`` at 1024: s_magic at 56, s_state at 58, s_feature_incompat at
    96, s_feature_ro_compat at 100, s_last_orphan at 232. Where there is a journal, s_state stays valid while it is
    mounted: partclone looks at no more than that.
    """
    superblock = volume.read(1024, 1024)
    magic, state = struct.unpack_from("<HH", superblock, 56)
    incompatible, read_only = struct.unpack_from("<II", superblock, 96)
    (orphan,) = struct.unpack_from("<I", superblock, 232)
    if magic != 0xEF53:
        raise ValueError("no ext superblock")
    if state & 0x2:  # EXT4_ERROR_FS
        return Unclean(_HAS_ERRORS, _E2FSCK)
    if incompatible & 0x4:  # EXT4_FEATURE_INCOMPAT_RECOVER
        return Unclean(_JOURNAL, f"{_REMOUNT}, or {_E2FSCK}")
    if not state & 0x1:  # EXT4_VALID_FS
        return Unclean(_NOT_UNMOUNTED, _E2FSCK)
    if orphan or read_only & 0x10000:  # EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT
        return Unclean("it holds files that were being deleted when it was last in use", f"{_REMOUNT}, or {_E2FSCK}")
    return None


def _fat(volume: Volume) -> Unclean | None:
    """Microsoft's FAT specification 1.03: ClnShutBitMask and HrdErrBitMask of FAT[1], set while all is well, and none
    in a FAT12. Linux marks the boot sector too, or only that: ``state`` of linux/include/uapi/linux/msdos_fs.h.
    """
    boot = volume.read(0, 512)
    sector_size, per_cluster, reserved, copies, root_entries, small, length = struct.unpack_from("<HBHBHHxH", boot, 11)
    (large,) = struct.unpack_from("<I", boot, 32)
    if sector_size not in (512, 1024, 2048, 4096) or 0 in (per_cluster, reserved, copies, small or large):
        raise ValueError("no FAT geometry")
    if boot[37 if length else 65] & 0x1:  # FAT_STATE_DIRTY
        return Unclean(_NOT_UNMOUNTED, _FSCK_FAT)
    if length:
        data = (small or large) - reserved - copies * length - -(-root_entries * 32 // sector_size)
        if data // per_cluster < _FAT12_CLUSTERS:
            return None
    size = 2 if length else 4
    entry = int.from_bytes(volume.read(reserved * sector_size + size, size), "little")
    clean, good = (0x8000, 0x4000) if length else (0x08000000, 0x04000000)
    if not entry & clean:
        return Unclean(_NOT_UNMOUNTED, _FSCK_FAT)
    if not entry & good:
        return Unclean("its disk failed while it was last in use", _CHKDSK_SURFACE)
    return None


def _exfat(volume: Volume) -> Unclean | None:
    """exFAT specification 3.1: FileSystemName at 3, VolumeFlags at 106, whose second bit is VolumeDirty."""
    boot = volume.read(0, 512)
    if boot[3:11] != b"EXFAT   ":
        raise ValueError("no exFAT boot sector")
    return Unclean(_NOT_UNMOUNTED, _FSCK_EXFAT) if boot[106] & 0x2 else None


def _btrfs(volume: Volume) -> Unclean | None:
    """linux/include/uapi/linux/btrfs_tree.h, ``struct btrfs_super_block`` at 64 KiB: magic at 64, log_root at 96, the
    tree of what fsync() has written since the last commit. Its blocks are in no map yet; all others always are.
    """
    superblock = volume.read(64 << 10, 4096)
    if superblock[64:72] != b"_BHRfS_M":
        raise ValueError("no btrfs superblock")
    return Unclean("its log has yet to be replayed", _REMOUNT) if any(superblock[96:104]) else None


def _f2fs(volume: Volume) -> Unclean | None:
    """linux/include/linux/f2fs_fs.h: ``struct f2fs_super_block`` at 1024, log_blocksize at 16, log_blocks_per_seg at
    20, cp_blkaddr at 76; ``struct f2fs_checkpoint``, checkpoint_ver at 0, ckpt_flags at 132. The newer one of two is
    in force. What fsync() wrote after it is found by a mount only, unless that one was written at an unmount.
    """
    superblock = volume.read(1024, 1024)
    (magic,), (log_block, log_segment) = struct.unpack_from("<I", superblock), struct.unpack_from("<II", superblock, 16)
    (first,) = struct.unpack_from("<I", superblock, 76)
    if magic != _F2FS_MAGIC or not 12 <= log_block <= 16 or log_segment != 9:
        raise ValueError("no F2FS superblock")
    packs = [pack for each in (0, 512) if (pack := _checkpoint(volume, 1 << log_block, first + each))]
    if not packs:
        raise ValueError("no F2FS checkpoint")
    _, flags = max(packs)
    if flags & 0x18:  # CP_ERROR_FLAG, CP_FSCK_FLAG
        return Unclean(_HAS_ERRORS, _FSCK_F2FS)
    return None if flags & 0x1 else Unclean(_NOT_UNMOUNTED, f"{_REMOUNT}, or {_FSCK_F2FS}")  # CP_UMOUNT_FLAG


def _checkpoint(volume: Volume, block_size: int, block: int) -> tuple[int, int] | None:
    """Version and flags of one whose first and last blocks agree: ``f2fs_validate_checkpoint`` of fs/f2fs; None."""
    head = _checkpoint_block(volume, block_size, block)
    if head is None:
        return None
    flags, blocks = struct.unpack_from("<II", head, 132)
    end = _checkpoint_block(volume, block_size, block + blocks - 1) if 2 < blocks <= 512 else None
    if end is None or end[:8] != head[:8]:
        return None
    return int.from_bytes(head[:8], "little"), flags


def _checkpoint_block(volume: Volume, block_size: int, block: int) -> bytes | None:
    """None when its checksum, which lies at checksum_offset and is over all but itself, is another one."""
    found = volume.read(block * block_size, block_size)
    (place,) = struct.unpack_from("<I", found, 164)
    if not _F2FS_BITMAPS <= place <= block_size - 4:
        return None
    # zlib inverts what goes in and what comes out; F2FS does not.
    crc = zlib.crc32(found[place + 4 :], zlib.crc32(found[:place], _F2FS_MAGIC ^ 0xFFFFFFFF)) ^ 0xFFFFFFFF
    return found if crc == int.from_bytes(found[place : place + 4], "little") else None


def _ntfs(volume: Volume) -> Unclean | None:
    if ntfs_log.is_dirty(volume):
        return Unclean("Windows marked it as dirty", _CHKDSK)
    if ntfs_log.is_open(volume):
        return Unclean(_JOURNAL, _SHUT_DOWN)
    return None


def _xfs(volume: Volume) -> Unclean | None:
    if xfs_log.needs_repair(volume):
        return Unclean(_HAS_ERRORS, "run xfs_repair on it")
    return None if xfs_log.ends_with_unmount(volume) else Unclean("its log has yet to be replayed", _REMOUNT)


_LOOKS: Final[dict[str, Callable[[Volume], Unclean | None]]] = {
    "btrfs": _btrfs,
    "exfat": _exfat,
    "ext2": _ext,
    "ext3": _ext,
    "ext4": _ext,
    "f2fs": _f2fs,
    "ntfs": _ntfs,
    "vfat": _fat,
    "xfs": _xfs,
}
