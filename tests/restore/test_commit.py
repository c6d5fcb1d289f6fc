"""The last step: whatever goes wrong in it, the partition does not mount and the job does not claim that it does."""

from __future__ import annotations

import pytest

from ogagent.image.piece import Extent, Piece
from ogagent.restore.progress import Progress
from ogagent.restore.writer import PartitionWriter
from tests.restore.test_all_of_it import MIB, SIZE, Disk


class Exhausted(Disk):
    """Reads until there is no memory left, and from then on no more."""

    def __init__(self) -> None:
        super().__init__()
        self.exhausted = False

    def read_back(self, offset: int, into: memoryview) -> None:
        if self.exhausted:
            raise MemoryError
        super().read_back(offset, into)


def test_no_memory_left_for_reading_the_edges_back() -> None:
    disk, progress = Exhausted(), Progress()
    writer = PartitionWriter(disk, progress)
    writer.begin()
    writer.write(Piece(memoryview(b"\x55" * MIB), MIB, [Extent(0, 0, MIB)], []))
    writer.flush()
    disk.exhausted = True
    with pytest.raises(MemoryError):
        writer.commit(read_back=True)
    assert not progress.committed
    assert not any(disk.content[:MIB])
    assert not any(disk.content[SIZE - MIB :])
