"""A second way to a partition, by which the kernel itself cannot write.

Mounting read-only is a wish: ext4 writes into its superblock that it has found an error, F2FS removes orphans. A loop
device over a descriptor that is open for reading refuses every write, whoever it comes from. Structures and numbers are
those of linux/loop.h. Blocking; everything raises OSError.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from typing import Final

_GET_FREE: Final = 0x4C82  # LOOP_CTL_GET_FREE
_CONFIGURE: Final = 0x4C0A  # LOOP_CONFIGURE, from Linux 5.8 on
_SECTOR_SIZE: Final = 0x1268  # BLKSSZGET, linux/fs.h
_CONFIG: Final = struct.Struct("=II 5Q 4I 64s 64s 32s 2Q 8Q")
"""struct loop_config: descriptor, size of a block, struct loop_info64, 64 bytes for later."""
_FLAGS: Final = 1 | 4  # LO_FLAGS_READ_ONLY, LO_FLAGS_AUTOCLEAR
_TRIES: Final = 20


def open_read_only(partition: int, name: str) -> tuple[int, str]:
    """A descriptor and the node of a loop device over ``partition``. The device ends with its last user."""
    (sector_size,) = struct.unpack("I", fcntl.ioctl(partition, _SECTOR_SIZE, bytes(4)))
    label = os.fsencode(name)[:63]
    config = _CONFIG.pack(
        partition, sector_size, 0, 0, 0, 0, 0, 0, 0, 0, _FLAGS, label, b"", b"", *([0] * 10)
    )  # fmt: skip
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        for _ in range(_TRIES):
            node = f"/dev/loop{fcntl.ioctl(control, _GET_FREE)}"
            loop = os.open(node, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.ioctl(loop, _CONFIGURE, config)
            except OSError as error:
                os.close(loop)
                if error.errno != errno.EBUSY:  # somebody else has taken it meanwhile
                    raise
            else:
                return loop, node
    finally:
        os.close(control)
    raise OSError(errno.EBUSY, "no loop device is free", "/dev/loop-control")
