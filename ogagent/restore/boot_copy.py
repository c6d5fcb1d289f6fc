"""The copy that NTFS keeps of its boot sector, behind all its clusters, where no image of its clusters brings it.

Windows' chkdsk looks for it behind the sectors that the volume counts; ntfsfix, and ntfs3 when the boot sector itself
is gone, in the last sector of the partition. Where the partition is larger than the volume these are two places.
"""

from __future__ import annotations

from typing import Final

from ogagent.image.filesystem import ntfs_copy
from ogagent.model.filesystem import NTFS, of_image
from ogagent.restore.delivery import Delivery
from ogagent.restore.writer import PartitionWriter

_LARGEST_SECTOR: Final = 4096


def add_boot_copy(image: Delivery, writer: PartitionWriter) -> None:
    """After ``image.run``. Nothing is written where a block of the image lies, or beyond the partition. Blocking."""
    if of_image(image.header.filesystem) != NTFS:
        return
    copy = ntfs_copy(bytes(writer.edges_at(0, _LARGEST_SECTOR)))
    if copy is None:
        return
    last = (writer.size // len(copy.data) - 1) * len(copy.data)
    if image.end() <= copy.offset <= last:
        for offset in sorted({copy.offset, last}):
            writer.add(offset, memoryview(copy.data))
