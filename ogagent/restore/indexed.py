"""An image fetched by its regions: those that the partition does not hold already, each proven before it is written."""

from __future__ import annotations

import asyncio
import threading
import time
from bisect import bisect_left
from collections.abc import AsyncGenerator, Generator, Iterator
from concurrent.futures import Executor
from contextlib import aclosing
from itertools import repeat
from typing import Final

from ogagent.disk.machine import Device
from ogagent.errors import ImageChanged, ImageCorrupt
from ogagent.image.indexed import IndexedImage
from ogagent.image.piece import Piece
from ogagent.image.workers import in_order
from ogagent.model.job import Bottleneck
from ogagent.model.units import MIB
from ogagent.restore.edges import page_aligned
from ogagent.restore.patience import Together, in_thread
from ogagent.restore.progress import Progress
from ogagent.restore.survey import LONGEST_STRETCH, Stretch, Survey, stretches
from ogagent.restore.writer import PartitionWriter, Written
from ogagent.source.source import Source

_FETCHERS: Final = 3
_LAYERS: Final = 2
_SURVEYORS: Final = 2
_LARGE_REGION: Final = 8 * MIB
"""From here on one request at a time is enough, and keeps the memory small."""


class RegionDelivery:
    """Implements ``ogagent.restore.delivery.Delivery``.

    Each fetcher takes the next stretch, which makes the survey go on, and hands its frames, one by one, to threads that
    unpack and write. So what is known not to be there comes in while the rest of the partition is still being read.
    Regions come in any order: of several failures the first in time is the cause, and ends the others at once.
    """

    def __init__(self, image: IndexedImage, source: Source, progress: Progress) -> None:
        self._image = image
        self._source = source
        self._progress = progress
        self._fetchers = 1 if not source.takes_ranges or image.index.region_size > _LARGE_REGION else _FETCHERS
        self._survey: Survey | None = None
        self._foreign = True
        self._edges: dict[int, bool] = {}
        self._written: list[int] = []
        self._turn = asyncio.Lock()
        self._writing = threading.Lock()
        self._own = threading.local()
        self._fetch_s = self._survey_s = self._unpack_s = self._write_s = 0.0
        self.header = image.header

    def prepare(self) -> int:
        return self._image.used_bytes

    def look(self, device: Device, writer: PartitionWriter) -> None:
        """The edges are about to be wiped; what is right of them is put aside."""
        self._edges = dict.fromkeys(self._at_edges(writer.edges), False)
        if not self._source.takes_ranges:
            return
        self._survey = survey = Survey(self._image, device)
        for place in self._edges:
            if held := survey.held(place):
                writer.reuse(held)
                self._edges[place] = True
        self._foreign = survey.is_foreign(range(self._image.index.count))

    def _at_edges(self, edges: list[range]) -> Iterator[int]:
        """The places of the regions that lie there, or in part."""
        size, numbers = self._image.index.region_size, self._image.index.numbers
        for edge in edges:
            yield from range(bisect_left(numbers, edge.start // size), bisect_left(numbers, -(-edge.stop // size)))

    def _looked(self) -> Iterator[tuple[int, bool]]:
        """Each place, and whether the partition holds what belongs there."""
        places = range(self._image.index.count)
        found: Iterator[int] = repeat(0)
        if self._survey is not None and not self._foreign:
            inner = (place for place in places if place not in self._edges)
            found = in_order(self._survey.bytes_held, inner, _SURVEYORS)
        for place in places:
            if place in self._edges:
                yield place, self._edges[place]
                continue
            held = next(found)
            self._progress.reused += held
            yield place, held > 0

    async def run(self, writer: PartitionWriter, executor: Executor) -> None:
        longest = LONGEST_STRETCH if self._source.takes_ranges else self._image.index.size
        wanted = stretches(self._looked(), self._image.index.frame, longest)
        tasks = Together()
        for _ in range(self._fetchers):
            tasks.start(self._fetch(tasks, wanted, writer, executor))
        try:
            await tasks.ended()
        finally:
            await in_thread(executor, self.stop, wanted.close)
        self._progress.bottleneck = self._bottleneck()

    async def _fetch(
        self, tasks: Together, wanted: Generator[Stretch, None, None], writer: PartitionWriter, executor: Executor
    ) -> None:
        """Two of its frames, at most, are being laid."""
        before: asyncio.Task[None] | None = None
        while stretch := await self._next(wanted, executor):
            async with aclosing(self._frames(stretch)) as frames:
                async for place, frame in frames:
                    laying = tasks.start(self._laid(writer, executor, place, frame))
                    if before is not None:
                        await asyncio.wait([before])
                    before = laying

    async def _laid(self, writer: PartitionWriter, executor: Executor, place: int, frame: bytes) -> None:
        """What is damaged may be right elsewhere."""
        try:
            await in_thread(executor, self.stop, self._lay, writer, place, frame)
        except ImageCorrupt:
            start, length = self._image.index.frame(place)
            if not self._source.doubt(start, start + length):
                raise
            async with aclosing(self._frames(Stretch(start, start + length, [place]))) as frames:
                async for _, again in frames:
                    await in_thread(executor, self.stop, self._lay, writer, place, again)

    async def _next(self, wanted: Generator[Stretch, None, None], executor: Executor) -> Stretch | None:
        async with self._turn:
            began = time.monotonic()
            stretch = await in_thread(executor, self.stop, next, wanted, None)
            self._survey_s += time.monotonic() - began
            return stretch

    async def _frames(self, stretch: Stretch) -> AsyncGenerator[tuple[int, bytes], None]:
        """Cut out of the bytes as they come."""
        kept = bytearray()
        async with aclosing(self._source.part(stretch.start, stretch.stop)) as chunks:
            for place in stretch.places:
                _, length = self._image.index.frame(place)
                while len(kept) < length:
                    began = time.monotonic()
                    chunk = await anext(chunks, b"")
                    self._fetch_s += time.monotonic() - began
                    if not chunk:
                        raise ImageChanged(f"the image file ends before byte {stretch.stop}, within a frame")
                    self._progress.received += len(chunk)
                    kept += chunk
                with memoryview(kept) as view:
                    frame = bytes(view[:length])
                del kept[:length]
                yield place, frame

    def _lay(self, writer: PartitionWriter, place: int, frame: bytes) -> None:
        began = time.monotonic()
        data = self._image.unpack(place, frame)
        region = self._image.layout.region(place)
        buffer = self._buffer()
        region.gather(memoryview(data), buffer)
        unpacked = time.monotonic()
        with self._writing:
            taken = time.monotonic()
            writer.write(Piece(buffer, region.used, region.extents, []))
            self._written.append(place)
            self._unpack_s += unpacked - began
            self._write_s += time.monotonic() - taken

    def _buffer(self) -> memoryview:
        """One a thread."""
        if not hasattr(self._own, "buffer"):
            self._own.buffer = page_aligned(self._image.index.region_size)
        buffer: memoryview = self._own.buffer
        return buffer

    def _bottleneck(self) -> Bottleneck:
        """The stage that was at work the longest, by what each of its workers did."""
        busy: dict[Bottleneck, float] = {
            "network": self._fetch_s / self._fetchers,
            "decompression": self._unpack_s / _LAYERS,
            "disk": self._survey_s + self._write_s,
        }
        return max(busy, key=lambda stage: busy[stage])

    def end(self) -> int:
        if not self._image.index.count:
            return 0
        last = self._image.layout.region(self._image.index.count - 1).extents[-1]
        return last.offset + last.length

    def written(self) -> Iterator[Written]:
        for place in sorted(self._written):
            yield Written(self._image.layout.region(place).extents, self._image.index.hash(place))

    def stop(self) -> None:
        if self._survey is not None:
            self._survey.stop()
