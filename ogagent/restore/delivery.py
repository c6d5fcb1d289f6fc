"""How an image gets onto a partition: as a stream, or by the regions of its index."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from typing import Protocol

from ogagent.disk.machine import Device
from ogagent.model.plan import ImageHeader
from ogagent.restore.writer import PartitionWriter, Written


class Delivery(Protocol):
    """An image whose header has been read. The order of calls: ``prepare``, ``look``, ``run``, ``written``."""

    @property
    def header(self) -> ImageHeader: ...

    def prepare(self) -> int | None:
        """All that there is to prove before the device is opened; answers how many bytes of blocks there are, if known.

        Blocking.
        """

    def look(self, device: Device, writer: PartitionWriter) -> None:
        """The last thing before the first write, to see what will be wiped or is right already. Blocking."""

    async def run(self, writer: PartitionWriter, executor: Executor) -> None:
        """Returns when every block is where it belongs, not yet flushed.

        Raises the first cause when it cannot be done; then, and when it is cancelled, no thread of it is left.
        """

    def end(self) -> int:
        """Where on the partition, in bytes, the last block of the image ends. Only after ``run``. Blocking."""

    def written(self) -> Iterator[Written]:
        """What was written by ``run``, to be read back."""

    async def leave(self) -> None:
        """Nobody else need be given anything of it any more. To be called after ``run``, whatever became of that."""

    def stop(self) -> None:
        """What blocks in a thread ends soon, with Stopped."""
