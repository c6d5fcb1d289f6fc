"""Frames that have come, unpacked, proven and written: each by one thread, several at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from typing import Final, NamedTuple

from ogagent.errors import ImageCorrupt
from ogagent.image.indexed import IndexedImage
from ogagent.image.piece import Piece
from ogagent.image.regions import longest_region
from ogagent.restore.patience import share_out
from ogagent.restore.runs import Run, Runs
from ogagent.restore.threads import thread_count
from ogagent.restore.writer import PartitionWriter, Written
from ogagent.system.channel import Stopped

_ELSEWHERE: Final = 3
"""The CACHE, the others, the repository."""


class _Outcome(NamedTuple):
    """What became of a frame; ``damage`` None: its region is written."""

    place: int
    damage: ImageCorrupt | None = None
    unpack_s: float = 0.0
    write_s: float = 0.0


class FrameWriter:
    """``unpack_s`` and ``write_s`` are what all threads together have spent, in seconds."""

    def __init__(
        self,
        image: IndexedImage,
        runs: Runs,
        writer: PartitionWriter,
        executor: Executor,
        interrupt: Callable[[], None],
        not_yet: Callable[[int], bool],
    ) -> None:
        """``interrupt`` must call ``stop``; ``not_yet`` hears of a place whose frame is damaged, and says whether it
        comes again by itself.
        """
        self._image = image
        self._runs = runs
        self._writer = writer
        self._executor = executor
        self._interrupt = interrupt
        self._not_yet = not_yet
        self._room = longest_region(image.index.region_size)
        self._written = bytearray(image.index.count)
        self._stopped = False
        self.unpack_s = 0.0
        self.write_s = 0.0

    async def write(self, run: Run) -> int:
        """How many of its frames are written; then its buffer is given back. What is damaged may be right elsewhere, or
        later. Raises ImageCorrupt.
        """
        later = 0
        for outcome in await self._shared_out(run.frames):
            if outcome.damage is None:
                continue
            if self._not_yet(outcome.place):
                later += 1
                continue
            await self._write_again(outcome.place, run.buffer, outcome.damage)
        self._runs.give_back(run)
        return len(run.frames) - later

    async def _write_again(self, place: int, buffer: memoryview, damage: ImageCorrupt) -> None:
        """From elsewhere, as long as there is one: others may bring to the CACHE what is wrong, once more."""
        for _ in range(_ELSEWHERE):
            again = await self._runs.again(place, buffer)
            if again is None:
                break
            [outcome] = await self._shared_out([(place, again)])
            if outcome.damage is None:
                return
            damage = outcome.damage
        raise damage

    def written(self) -> Iterator[Written]:
        for place, written in enumerate(self._written):
            if written:
                yield Written(self._image.layout.region(place).extents, self._image.index.hash(place))

    def stop(self) -> None:
        self._stopped = True

    async def _shared_out(self, frames: list[tuple[int, memoryview]]) -> list[_Outcome]:
        threads = min(thread_count(), len(frames))
        done = await share_out(self._executor, threads, self._interrupt, self._write_one, frames)
        self.unpack_s += sum(each.unpack_s for each in done)
        self.write_s += sum(each.write_s for each in done)
        return done

    def _write_one(self, frame: tuple[int, memoryview]) -> _Outcome:
        if self._stopped:
            raise Stopped
        place, packed = frame
        began = time.monotonic()
        with self._writer.buffers.one(self._room) as buffer:
            try:
                region = self._image.unpack(place, packed, buffer)
            except ImageCorrupt as damage:
                return _Outcome(place, damage)
            region.close_up(buffer)
            unpacked = time.monotonic()
            self._writer.write(Piece(buffer, region.used, region.extents, []))
        self._written[place] = True
        return _Outcome(place, None, unpacked - began, time.monotonic() - unpacked)
