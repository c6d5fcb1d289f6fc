"""Parts of volumes: what is done to one is done to what lies on the others."""

from __future__ import annotations

import struct
from typing import Final

from ogagent.disk.volume import Volume
from ogagent.model.filesystem import BTRFS, is_member_by_name

_BTRFS_SUPERBLOCK: Final = 64 << 10
_DEVICES: Final = 136  # linux/include/uapi/linux/btrfs_tree.h, struct btrfs_super_block: num_devices


def is_member(volume: Volume, filesystem: str) -> bool:
    """``filesystem`` as libblkid names it. Blocking. Raises OSError."""
    if filesystem != BTRFS.blkid:
        return is_member_by_name(filesystem)
    try:
        (devices,) = struct.unpack("<Q", volume.read(_BTRFS_SUPERBLOCK + _DEVICES, 8))
    except ValueError:  # the device ends before the partition does
        return False
    return bool(devices > 1)
