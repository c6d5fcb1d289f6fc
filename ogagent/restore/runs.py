"""The frames of an image as they come, some in each of a few buffers, so that memory does not depend on the image."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Final, NamedTuple

from ogagent.errors import ImageChanged
from ogagent.image.index import ImageIndex, longest_frame
from ogagent.model.units import MIB
from ogagent.restore.survey import Stretch
from ogagent.source.source import Source
from ogagent.system.memory import page_aligned

LONGEST_RUN: Final = 2 * MIB
_ROOM: Final = 48 * MIB
_FEWEST: Final = 2


class Run(NamedTuple):
    """Neighbours in the file, each with the place of its region. ``buffer`` is theirs until it is given back."""

    buffer: memoryview
    frames: list[tuple[int, memoryview]]


class Runs:
    """``waited_s`` is how long whoever reads them has waited for the source, in seconds, all readers together."""

    def __init__(self, index: ImageIndex, source: Source, wanted: int) -> None:
        """``wanted`` buffers, or as many as there is room for. Only on a running event loop."""
        self._index = index
        self._source = source
        self._size = max(LONGEST_RUN, longest_frame(index.region_size))
        self._free: asyncio.Queue[memoryview] = asyncio.Queue()
        self.waited_s = 0.0
        for _ in range(max(min(wanted, _ROOM // self._size), _FEWEST)):
            self._free.put_nowait(page_aligned(self._size))

    def give_back(self, run: Run) -> None:
        self._free.put_nowait(run.buffer)

    async def of(self, stretch: Stretch) -> AsyncGenerator[Run, None]:
        """Each as soon as it is there, and there is a buffer for it."""
        async with aclosing(self._source.part(stretch.start, stretch.stop)) as chunks:
            rest = memoryview(b"")
            for places in self._cut(stretch.places):
                buffer = await self._free.get()
                frames, end = [], 0
                for place in places:
                    start, end = end, end + self._index.frame(place)[1]
                    frames.append((place, buffer[start:end]))
                rest = await self._fill(buffer[:end], rest, chunks)
                yield Run(buffer, frames)

    async def again(self, place: int, buffer: memoryview) -> memoryview | None:
        """One frame that was not right, once more, into memory that was a run's; None when that is of no use."""
        start, length = self._index.frame(place)
        if not self._source.doubt(start, start + length):
            return None
        async with aclosing(self._source.part(start, start + length)) as chunks:
            await self._fill(buffer[:length], memoryview(b""), chunks)
        return buffer[:length]

    async def _fill(self, into: memoryview, rest: memoryview, chunks: AsyncGenerator[bytes, None]) -> memoryview:
        """With what is left of a chunk, and those that follow; answers what is then left."""
        filled = 0
        while filled < len(into):
            if not rest:
                rest = memoryview(await self._next(chunks))
            count = min(len(rest), len(into) - filled)
            into[filled : filled + count] = rest[:count]
            rest, filled = rest[count:], filled + count
        return rest

    async def _next(self, chunks: AsyncGenerator[bytes, None]) -> bytes:
        began = time.monotonic()
        chunk = await anext(chunks, b"")
        self.waited_s += time.monotonic() - began
        if not chunk:
            raise ImageChanged("the image file ends within a frame of its index")
        return chunk

    def _cut(self, places: list[int]) -> Iterator[list[int]]:
        """As many as fit into a buffer."""
        some: list[int] = []
        size = 0
        for place in places:
            length = self._index.frame(place)[1]
            if size + length > self._size:
                yield some
                some, size = [], 0
            some.append(place)
            size += length
        yield some
