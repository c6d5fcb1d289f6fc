"""The stages of a restore, each in a thread of its own: decode, prove, write.

They are joined by bounded queues and share a few buffers, so that memory does not depend on the image and the slowest
stage sets the pace. The first stage to fail stops all; what the others say about it is not heard.
"""

from __future__ import annotations

import asyncio
import mmap
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Final

from blake3 import blake3

from ogagent.image.piece import Image, Piece
from ogagent.model.job import Bottleneck
from ogagent.model.units import MIB
from ogagent.restore.channel import Channel, Inlet, Stopped
from ogagent.restore.patience import wait_out
from ogagent.restore.progress import Progress
from ogagent.restore.writer import PartitionWriter

THREADS: Final = 3
_MEMORY: Final = 20 * MIB
_FEWEST_BUFFERS: Final = 3


class Pipeline:
    def __init__(self, image: Image, writer: PartitionWriter, inlet: Inlet, progress: Progress) -> None:
        self._image = image
        self._writer = writer
        self._inlet = inlet
        self._progress = progress
        count = max(_MEMORY // image.buffer_size, _FEWEST_BUFFERS)
        self._free: Channel[memoryview] = Channel(count)
        self._decoded: Channel[Piece] = Channel(count)
        self._proven: Channel[Piece] = Channel(count)
        self.digests: list[bytes] = []
        """BLAKE3 of each piece, in order; empty when nothing will be read back."""
        for _ in range(count):
            self._free.put(memoryview(mmap.mmap(-1, image.buffer_size)))

    async def run(self, executor: Executor) -> None:
        """Returns when every block is on the device, not yet flushed; raises the first cause when a stage fails.

        When it is cancelled the threads have left before it is.
        """
        loop = asyncio.get_running_loop()
        began = time.monotonic()
        stages = [
            loop.run_in_executor(executor, self._guarded, stage) for stage in (self._decode, self._prove, self._write)
        ]
        try:
            await wait_out(stages, self.stop)
        finally:
            failures = [stage.exception() for stage in stages]
        for error in failures:
            if error is not None and not isinstance(error, Stopped):
                raise error
        self._progress.bottleneck = self._bottleneck(time.monotonic() - began)

    def stop(self) -> None:
        for channel in (self._free, self._decoded, self._proven):
            channel.stop()
        self._inlet.stop()

    def _guarded(self, stage: Callable[[], None]) -> None:
        try:
            stage()
        except BaseException:
            self.stop()
            raise

    def _decode(self) -> None:
        for piece in self._image.pieces(self._take_buffer):
            self._decoded.put(piece)
        self._decoded.close()

    def _prove(self) -> None:
        prove = self._image.prover()
        for piece in self._decoded:
            prove(piece)
            if self._progress.read_back_wanted:
                self.digests.append(blake3(piece.data).digest())
            self._proven.put(piece)
        self._proven.close()

    def _write(self) -> None:
        for piece in self._proven:
            self._writer.write(piece)
            self._free.put(piece.buffer)

    def _take_buffer(self) -> memoryview:
        buffer = self._free.get()
        if buffer is None:  # this channel is never closed, only stopped
            raise Stopped
        return buffer

    def _bottleneck(self, took_s: float) -> Bottleneck:
        """The stage that waited the least is the one that the others waited for."""
        waited: dict[Bottleneck, float] = {
            "network": self._inlet.sender_waited_s,
            "decompression": self._inlet.waited_s + self._free.waited_s,
            "disk": self._proven.waited_s,
        }
        return min(waited, key=lambda stage: min(waited[stage], took_s))
