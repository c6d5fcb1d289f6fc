"""An image with an index in the CACHE: all of it, or what jobs have needed; each region is proven when it is used."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from ogagent.errors import CacheError
from ogagent.image import index as image_index
from ogagent.image import signature
from ogagent.image.index import ImageIndex
from ogagent.restore.kept import FOR_THE_CACHE_S, Desk, Kept, State
from ogagent.source.ranges import Ranges
from ogagent.source.source import Source


class KeptRegions(Kept):
    """Implements ``ogagent.source.source.Source``. ``data`` is the index as the repository has it."""

    def __init__(self, desk: Desk, origin: Source, index: ImageIndex, data: bytes) -> None:
        super().__init__(desk, origin, image_index.SUFFIX, data)
        self._index = index
        self._whole = False
        self._there = Ranges()
        """What the CACHE had of it before this job, as far as nobody has found it to be wrong."""

    @property
    def size(self) -> int | None:
        return self._origin.size

    @property
    def takes_ranges(self) -> bool:
        return self._whole or self._origin.takes_ranges

    async def look_up(self) -> None:
        await super().look_up()
        if self._file is not None and self._file.size == self._index.size:
            self._whole, self._there = True, self._file.there.copy()
        else:
            self.state = State.WAITING

    async def begin(self) -> None:
        """Where the CACHE has all of it, what is wrong there is put right."""
        if not self._whole:
            await self._new_file(self._index.size, self._index.count + 3)
            if self._file is None:
                return
            self._there = self._file.there.copy()
            await self._ask(self._desk.shelf.expect, self._index.size - self._there.total)
        self.state = State.KEEPING

    async def finish(self) -> None:
        if self.state is not State.KEEPING or self._file is None:
            return
        await self._written()
        missing = await self._ask(self._file.there.missing, self._index.size)
        if 0 < missing.total <= self._desk.completing:
            await self._complete(missing)
            missing = await self._ask(self._file.there.missing, self._index.size)
        if self._whole:
            await self._ask(self._file.used_now)
        elif not missing.total:
            await self._publish(self._file, signature.SUFFIX, ".full.sum", ".sum", ".info")

    async def _complete(self, missing: Ranges) -> None:
        """What stands before and after the frames, which no job asks for, and a few that this one did not need."""
        try:
            async with asyncio.timeout(FOR_THE_CACHE_S):
                for start, stop in missing:
                    async with aclosing(self.part(start, stop)) as chunks:
                        async for _ in chunks:
                            pass
        except TimeoutError as error:
            raise CacheError("the image in the CACHE is not complete: the repository does not answer") from error
        await self._written()

    def chunks(self) -> AsyncGenerator[bytes, None]:
        return self._origin.chunks()

    async def part(self, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        position = start
        while position < stop:
            there, end = self._there.at(position, stop) if self.takes_ranges else (False, stop)
            if there:
                chunk = await self._read(position, end - position)
                position += len(chunk)
                if chunk:
                    yield chunk
                else:
                    self._there = Ranges()
                continue
            async with aclosing(self._origin.part(position, end)) as chunks:
                async for chunk in chunks:
                    await self._keep(position, chunk)
                    position += len(chunk)
                    yield chunk
            if position < end:  # the file ends here
                return

    def doubt(self, start: int, stop: int) -> bool:
        """What no region proves, before the first frame and after the last, is then not believed either."""
        if self._file is None or not self._there.remove(start, stop):
            return False
        (first, _), (last, length) = self._index.frame(0), self._index.frame(self._index.count - 1)
        for each in ((start, stop), (0, first), (last + length, self._index.size)):
            self._there.remove(*each)
            self._desk.thread.start(self._file.there.remove, *each)
        return True
