"""An image read front to back, once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor
from contextlib import aclosing, asynccontextmanager
from typing import Final

from ogagent.disk.machine import Device
from ogagent.image.detect import open_image
from ogagent.image.piece import Image
from ogagent.model.units import MIB
from ogagent.restore.pipeline import Pipeline
from ogagent.restore.progress import Progress
from ogagent.restore.sidecars import WholeFileSum
from ogagent.restore.writer import PartitionWriter, Written
from ogagent.source.source import Source
from ogagent.system.channel import Inlet
from ogagent.system.patience import interruptible, wait_out

_IN_FLIGHT: Final = 8 * MIB


class StreamedImage:
    """Implements ``ogagent.restore.delivery.Delivery``."""

    def __init__(self, image: Image, inlet: Inlet, progress: Progress) -> None:
        self._image = image
        self._inlet = inlet
        self._progress = progress
        self._digests: list[bytes] = []
        self.header = image.header

    def prepare(self) -> int | None:
        """Without a container, the length of the file shows one that is cut off, or goes on, before the first write."""
        known, size = self._image.prepare(), self._progress.image
        if self.header.container != "none" or size is None:
            return known
        self._image.check_length(size)
        return size if self.header.format == "raw" else known

    def look(self, device: Device, writer: PartitionWriter) -> None: ...

    async def run(self, writer: PartitionWriter, executor: Executor) -> None:
        pipeline = Pipeline(self._image, writer, self._inlet, self._progress)
        await pipeline.run(executor)
        self._digests = pipeline.digests

    def end(self) -> int:
        last = deque(self._image.places(), maxlen=1)
        return last[0][-1].offset + last[0][-1].length if last else 0

    def written(self) -> Iterator[Written]:
        return map(Written, self._image.places(), self._digests)

    async def leave(self) -> None: ...

    def stop(self) -> None:
        self._inlet.stop()


@asynccontextmanager
async def streamed(
    source: Source, name: str, max_window: int, progress: Progress, executor: Executor
) -> AsyncIterator[StreamedImage]:
    """The image file ``name``. Raises AgentError."""
    proof = await WholeFileSum.beside(source, name, progress.warnings)
    inlet = Inlet(_IN_FLIGHT)
    pump = asyncio.create_task(_pump(source, inlet, progress, proof))
    try:
        image = await interruptible(executor, inlet.stop, open_image, iter(inlet), max_window)
        yield StreamedImage(image, inlet, progress)
    finally:
        inlet.stop()
        pump.cancel()
        await wait_out([pump])


async def _pump(source: Source, inlet: Inlet, progress: Progress, proof: WholeFileSum) -> None:
    """From the network into the first queue; what breaks here reaches the decoder as the cause."""
    try:
        async with aclosing(source.chunks()) as chunks:
            async for chunk in chunks:
                progress.image = source.size
                await proof.update(chunk)
                await inlet.put(chunk)
        await proof.check()
    except Exception as error:  # noqa: BLE001 - it is raised again by whoever reads the inlet
        inlet.fail(error)
    else:
        inlet.close()
    finally:
        await proof.close()
