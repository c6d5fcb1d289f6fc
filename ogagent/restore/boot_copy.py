"""The copy that NTFS keeps of its boot sector, behind all its clusters, where no image of its clusters brings it.

Windows' chkdsk and ntfsfix call a volume without it damaged.
"""

from __future__ import annotations

from typing import Final

from ogagent.image.filesystem import ntfs_copy
from ogagent.restore.delivery import Delivery
from ogagent.restore.writer import PartitionWriter

_LARGEST_SECTOR: Final = 4096


def add_boot_copy(image: Delivery, writer: PartitionWriter) -> None:
    """After ``image.run``. Nothing is written where a block of the image lies, or beyond the partition. Blocking."""
    if image.header.filesystem.upper() != "NTFS":
        return
    copy = ntfs_copy(bytes(writer.laid(0, _LARGEST_SECTOR)))
    if copy is not None and image.end() <= copy.offset <= writer.size - len(copy.data):
        writer.add(copy.offset, memoryview(copy.data))
