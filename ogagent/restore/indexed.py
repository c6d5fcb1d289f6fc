"""An image fetched by its regions: those that the partition does not hold already, each proven before it is written."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor
from contextlib import aclosing
from typing import Final

from ogagent.disk.machine import Device
from ogagent.image.indexed import IndexedImage
from ogagent.model.job import Bottleneck
from ogagent.model.units import MIB
from ogagent.restore.crowd import CrowdSource
from ogagent.restore.frame_writer import FrameWriter
from ogagent.restore.patience import Together, share_out
from ogagent.restore.progress import Progress
from ogagent.restore.runs import LONGEST_RUN, Run, Runs
from ogagent.restore.survey import Survey, stretches
from ogagent.restore.threads import thread_count
from ogagent.restore.wanted import AsItComes, InOrder, Wanted
from ogagent.restore.writer import PartitionWriter, Written
from ogagent.source.source import Source

_FETCHERS: Final = 3
_LONGEST_STRETCH: Final = 16 * MIB
_BLOCK: Final = 48
"""So many regions are surveyed before what is missing of them is asked for."""


class RegionDelivery:
    """Implements ``ogagent.restore.delivery.Delivery``.

    The survey finds out, block by block, what is missing, and says so in stretches of the file. Each fetcher takes the
    next stretch, and what comes of it is written, a run of frames at a time. So what is known not to be there comes in
    while the rest of the partition is still being read. Regions come in any order: of several failures the first in
    time is the cause, and ends the others at once.
    """

    def __init__(
        self, image: IndexedImage, source: Source, progress: Progress, crowd: CrowdSource | None = None
    ) -> None:
        """``crowd``: what ``source`` asks for what it has not itself, and what gives in an order of its own."""
        self._image = image
        self._source = source
        self._crowd = crowd
        self._progress = progress
        self._fetchers = _FETCHERS if source.takes_ranges else 1
        self._survey: Survey | None = None
        self._survey_s = 0.0
        self._foreign = True
        self._edges: dict[int, bool] = {}
        self._frames: FrameWriter | None = None
        self._line: Wanted | None = None
        self.header = image.header

    def prepare(self) -> int:
        return self._image.used_bytes

    def look(self, device: Device, writer: PartitionWriter) -> None:
        """The edges are about to be wiped; what is right of them is put aside."""
        self._edges = dict.fromkeys(self._at_edges(writer.edges), False)
        if not self._source.takes_ranges:
            return
        self._survey = survey = Survey(self._image, device, writer.buffers)
        for place in self._edges:
            with survey.held(place) as held:
                if held:
                    writer.reuse(held)
                    self._edges[place] = True
        self._foreign = survey.is_foreign(range(self._image.index.count))

    def _at_edges(self, edges: list[range]) -> Iterator[int]:
        """The places of the regions that lie there, or in part."""
        size, numbers = self._image.index.region_size, self._image.layout.numbers
        for edge in edges:
            yield from range(bisect_left(numbers, edge.start // size), bisect_left(numbers, -(-edge.stop // size)))

    async def run(self, writer: PartitionWriter, executor: Executor) -> None:
        runs = Runs(self._image.index, self._source, self._fetchers + thread_count())
        self._line = wanted = self._wanted()
        self._frames = frames = FrameWriter(self._image, runs, writer, executor, self.stop, wanted.not_yet)
        tasks = Together()
        tasks.start(self._find(wanted, executor))
        for _ in range(self._fetchers):
            tasks.start(_fetch(wanted, runs, frames, tasks))
        await tasks.ended()
        self._progress.bottleneck = self._bottleneck(runs, frames)

    def _wanted(self) -> Wanted:
        if self._crowd is None or not self._source.takes_ranges:
            return InOrder(self._fetchers)
        return AsItComes(self._fetchers, self._image.index, self._source, self._crowd)

    async def _find(self, wanted: Wanted, executor: Executor) -> None:
        """All that the partition does not hold."""
        places = range(self._image.index.count)
        if self._survey is None or self._foreign:
            await self._ask_for(((place, self._edges.get(place, False)) for place in places), wanted)
        else:
            for block in (places[first : first + _BLOCK] for first in places[::_BLOCK]):
                began = time.monotonic()
                held = await share_out(executor, thread_count(), self.stop, self._holds, block)
                self._survey_s += time.monotonic() - began
                await self._ask_for(zip(block, held, strict=True), wanted)
        await wanted.complete()

    def _holds(self, place: int) -> bool:
        """Whether the partition holds what belongs to this place."""
        if self._survey is None or place in self._edges:
            return self._edges.get(place, False)
        length = self._survey.bytes_held(place)
        self._progress.add(reused=length)
        return length > 0

    async def _ask_for(self, looked: Iterable[tuple[int, bool]], wanted: Wanted) -> None:
        longest = _LONGEST_STRETCH if self._source.takes_ranges else self._image.index.size
        if self._crowd is not None:
            longest = min(longest, LONGEST_RUN)
        for stretch in stretches(looked, self._image.index.frame, longest):
            await wanted.put(stretch)

    def _bottleneck(self, runs: Runs, frames: FrameWriter) -> Bottleneck:
        """The stage that was at work the longest, by what each of its workers did."""
        busy: dict[Bottleneck, float] = {
            "network": runs.waited_s / self._fetchers,
            "crowd": (self._line.waited_s if self._line else 0.0) / self._fetchers,
            "decompression": frames.unpack_s / thread_count(),
            "disk": self._survey_s + frames.write_s / thread_count(),
        }
        return max(busy, key=lambda stage: busy[stage])

    def end(self) -> int:
        if not self._image.index.count:
            return 0
        last = self._image.layout.region(self._image.index.count - 1).extents[-1]
        return last.offset + last.length

    def written(self) -> Iterator[Written]:
        return iter(()) if self._frames is None else self._frames.written()

    async def leave(self) -> None:
        if self._line is not None:
            await self._line.leave()

    def stop(self) -> None:
        if self._survey is not None:
            self._survey.stop()
        if self._frames is not None:
            self._frames.stop()


async def _fetch(wanted: Wanted, runs: Runs, frames: FrameWriter, tasks: Together) -> None:
    while stretch := await wanted.get():
        async with aclosing(runs.of(stretch)) as some:
            async for run in some:
                tasks.start(_write(run, frames, wanted))


async def _write(run: Run, frames: FrameWriter, wanted: Wanted) -> None:
    wanted.written(await frames.write(run))
