"""An image with an index in the CACHE: all of it, or what jobs have needed; each region is proven when it is used."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from ogagent.crowd.arrivals import Givers, Told
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
        """What the CACHE has of it without this job, as far as nobody has found it to be wrong."""
        self._others = Ranges()
        """What of that has come from others meanwhile."""
        self._givers: Givers = "peers"
        """Those others."""
        self._given = Ranges()
        """What was read here, and not found to be wrong. By then it may be gone from what is there: another reader
        has met the end of the file, say."""

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
            await self._used(self._file)
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

    @asynccontextmanager
    async def lent(
        self, name: str, uid: int, gid: int, *, afresh: bool = False, told: Told | None = None
    ) -> AsyncIterator[int]:
        """See ``ogagent.crowd.arrivals.Storage``."""
        file = self._file
        if self.state is not State.KEEPING or file is None or self._whole:
            raise CacheError("the CACHE does not keep this image")
        if afresh:
            self._there = Ranges()
            await self._ask(file.forget)
        async with self._lent(file, name, self._index.size - self._there.total, uid, gid, told) as folder:
            yield folder

    @property
    def there(self) -> Ranges:
        return self._there

    def came(self, start: int, stop: int, givers: Givers) -> None:
        self._there.add(start, stop)
        self._others.add(start, stop)
        self._givers = givers
        if self._file is not None:
            self._desk.thread.start(self._file.there.add, start, stop)

    def wrong(self, start: int, stop: int) -> bool:
        wrong = self._refuted(start, stop)
        if wrong:
            self._forget(start, stop)
        return wrong

    def _refuted(self, start: int, stop: int) -> bool:
        """It was read, and counted as theirs."""
        refuted = self._others.remove(start, stop)
        if refuted:
            self._desk.progress.came_from(self._givers, start - stop)
        return refuted

    def _forget(self, start: int, stop: int) -> None:
        self._there.remove(start, stop)
        if self._file is not None:
            self._desk.thread.start(self._file.there.remove, start, stop)

    def chunks(self) -> AsyncGenerator[bytes, None]:
        return self._origin.chunks()

    async def part(self, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        position = start
        while position < stop:
            there, end = self._there.at(position, stop) if self.takes_ranges else (False, stop)
            if there:
                others, end = self._others.at(position, end)
                chunk = await self._read(position, end - position)
                if others:
                    self._desk.progress.came_from(self._givers, len(chunk))
                else:
                    self._desk.progress.from_cache += len(chunk)
                self._given.add(position, position + len(chunk))
                position += len(chunk)
                if chunk:
                    yield chunk
                else:
                    self._there = Ranges()
                continue
            async with aclosing(self._origin.part(position, end)) as chunks:
                async for chunk in chunks:
                    await self._keep(position, chunk)
                    self._given.remove(position, position + len(chunk))
                    position += len(chunk)
                    yield chunk
            if position < end:  # the file ends here
                return

    def at_hand(self, start: int, stop: int) -> bool:
        position = start
        while position < stop:
            there, end = self._there.at(position, stop)
            if not there and not self._origin.at_hand(position, end):
                return False
            position = end
        return True

    def doubt(self, start: int, stop: int) -> bool:
        """What no region proves, before the first frame and after the last, is then not believed either."""
        if not self._given.remove(start, stop):
            return self._origin.doubt(start, stop)
        self._refuted(start, stop)
        (first, _), (last, length) = self._index.frame(0), self._index.frame(self._index.count - 1)
        for each in ((start, stop), (0, first), (last + length, self._index.size)):
            self._forget(*each)
        return True
