"""The stages of a restore, each in a thread of its own: decode, prove, write.

They are joined by bounded queues and share a few buffers, so that memory does not depend on the image and the slowest
stage sets the pace.

A failure belongs to a place in the image, and takes its turn: a stage that fails hands its failure on like a piece, and
what stands before it is proven and written first. So the one that is reported, by the last stage, is that of the
earliest place, and the same image fails for the same reason everywhere, however fast each thread was.
"""

from __future__ import annotations

import time
from concurrent.futures import Executor
from typing import Final

from blake3 import blake3

from ogagent.image.piece import Image, Piece
from ogagent.model.job import Bottleneck
from ogagent.model.units import MIB
from ogagent.restore.patience import Together
from ogagent.restore.progress import Progress
from ogagent.restore.writer import PartitionWriter
from ogagent.system.channel import Channel, Inlet, Stopped
from ogagent.system.memory import page_aligned
from ogagent.system.patience import interruptible

_MEMORY: Final = 16 * MIB
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
            self._free.put(page_aligned(image.buffer_size))

    async def run(self, executor: Executor) -> None:
        """Returns when every block is on the device, not yet flushed; raises the first cause when that cannot be done.

        When it fails or is cancelled the threads have left before.
        """
        began = time.monotonic()
        stages = Together()
        for stage in (self._decode, self._prove, self._write):
            stages.start(interruptible(executor, self.stop, stage))
        await stages.ended()
        self._progress.bottleneck = self._bottleneck(time.monotonic() - began)

    def stop(self) -> None:
        for channel in (self._free, self._decoded, self._proven):
            channel.stop()
        self._inlet.stop()

    def _decode(self) -> None:
        with self._decoded.sending():
            for piece in self._image.pieces(self._take_buffer):
                self._decoded.put(piece)

    def _prove(self) -> None:
        with self._proven.sending():
            prove = self._image.prover()
            for piece in self._decoded:
                prove(piece)
                if self._progress.read_back_wanted:
                    self.digests.append(blake3(piece.data).digest())
                self._proven.put(piece)

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
