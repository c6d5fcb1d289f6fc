"""An image of which nothing can be laid down before all of it is in the CACHE."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import AbstractAsyncContextManager, AsyncExitStack

from ogagent.disk.machine import Device
from ogagent.errors import ImageCorrupt, InternalError
from ogagent.model.plan import ImageHeader
from ogagent.restore.delivery import Delivery
from ogagent.restore.kept_whole import KeptWhole
from ogagent.restore.writer import PartitionWriter, Written
from ogagent.system.patience import interruptible

Open = Callable[[], AbstractAsyncContextManager[Delivery]]


class WholeDelivery:
    """Implements ``ogagent.restore.delivery.Delivery``. ``header`` and ``total`` are those of the repository's file,
    and have been checked; ``opened`` reads what is in the CACHE then.
    """

    def __init__(self, kept: KeptWhole, header: ImageHeader, total: int | None, opened: Open) -> None:
        self._kept = kept
        self._total = total
        self._opened = opened
        self._stack = AsyncExitStack()
        self._image: Delivery | None = None
        self.header = header

    def stop(self) -> None:
        if self._image is not None:
            self._image.stop()

    def prepare(self) -> int | None:
        return self._total

    def look(self, device: Device, writer: PartitionWriter) -> None: ...

    async def run(self, writer: PartitionWriter, executor: Executor) -> None:
        await self._kept.fill()
        image = self._image = await self._stack.enter_async_context(self._opened())
        total = await interruptible(executor, image.stop, image.prepare)
        if (image.header, total) != (self.header, self._total):
            raise ImageCorrupt("what has come is another image")
        await image.run(writer, executor)

    def end(self) -> int:
        return self._there.end()

    def written(self) -> Iterator[Written]:
        return self._there.written()

    @property
    def _there(self) -> Delivery:
        if self._image is None:
            raise InternalError("an image that has not been laid down has no end")
        return self._image

    async def leave(self) -> None:
        await self._stack.aclose()
