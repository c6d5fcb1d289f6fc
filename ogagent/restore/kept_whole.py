"""An image without an index that others bring into the CACHE: nothing of it proves itself before all of it is there."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Final

from ogagent.crowd.arrivals import Givers, Told
from ogagent.errors import CacheError
from ogagent.model.units import MIB
from ogagent.restore.crowd import CrowdSource
from ogagent.restore.kept import Desk, State
from ogagent.restore.kept_stream import KeptStream
from ogagent.source.ranges import Ranges

_PART: Final = 4 * MIB
"""Pieces have so much at most, where they are OpenGnsys' own."""


class KeptWhole(KeptStream):
    """Implements ``ogagent.source.source.Source`` and ``ogagent.crowd.arrivals.Storage``, for an image of ``length``
    bytes. Others fill the file, the repository gives what they do not, and only then it is read: its sum decides.
    """

    def __init__(self, desk: Desk, crowd: CrowdSource, full_sum: bytes, length: int) -> None:
        super().__init__(desk, crowd, full_sum, afresh=False)
        self._crowd = crowd
        self._reserved = length
        self._there = Ranges()
        self._givers: Givers = "peers"
        self._filled = False

    async def fill(self) -> None:
        """Nothing is done where the CACHE has it already, or does not keep it."""
        if self.state is not State.KEEPING:
            return
        progress = self._desk.progress
        self._crowd.storage, progress.whole_first, progress.crowd_unproven = self, True, True
        coming = asyncio.create_task(self._take_in())
        try:
            await self._listen(coming)
            await self._complete(coming)
        finally:
            coming.cancel()
            await asyncio.wait([coming])
        if not coming.cancelled():
            coming.result()
        try:
            await self._written()
        except CacheError as error:
            self._fail(error)
        self._filled = self.state is State.KEEPING

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        position = 0
        while self._filled and (chunk := await self._read(position, self._reserved - position)):
            position += len(chunk)
            yield chunk
        self._ended = self._filled and position == self._reserved
        if not self._ended:
            rest = self._crowd.part(position, self._reserved) if position else super().chunks()
            async with aclosing(rest) as chunks:
                async for chunk in chunks:
                    yield chunk

    async def _listen(self, coming: asyncio.Task[None]) -> None:
        """Until nothing more comes, or little."""
        dry = asyncio.create_task(self._crowd.dry.wait())
        try:
            await asyncio.wait([coming, dry], return_when=asyncio.FIRST_COMPLETED)
        finally:
            dry.cancel()
        if coming.done():
            coming.result()
        if self._crowd.dry.is_set() and self._givers == "multicast":
            self._there = Ranges()  # what it has lost until then nobody knows
        if (missing := self._there.missing(self._reserved)).total:
            self._crowd.ended(missing.total)
            await asyncio.sleep(random.uniform(0, self._crowd.spread_s))  # noqa: S311 - so that not all ask at once

    async def _complete(self, coming: asyncio.Task[None]) -> None:
        """In the order of the file. Where others listen as well, each PC takes some here and some there: what one has
        fetched the others need not.
        """
        while self.state is State.KEEPING and (missing := list(self._there.missing(self._reserved))):
            start, stop = missing[0] if coming.done() else random.choice(_parts(missing))  # noqa: S311 - as above
            position = start
            async with aclosing(self._crowd.part(start, stop)) as chunks:
                async for chunk in chunks:
                    await self._keep(position, chunk)
                    position += len(chunk)
            self._there.add(start, stop)

    async def _take_in(self) -> None:
        async with aclosing(self._crowd.arriving(Ranges(0, self._reserved))) as arriving:
            async for _ in arriving:
                if self._crowd.gives and self._there.total == self._reserved:
                    return

    @asynccontextmanager
    async def lent(
        self, name: str, uid: int, gid: int, *, afresh: bool = False, told: Told | None = None
    ) -> AsyncIterator[int]:
        """See ``ogagent.crowd.arrivals.Storage``."""
        file = self._file
        if file is None:
            raise CacheError("the CACHE does not keep this image")
        if afresh:
            await self._ask(file.forget)
        async with self._lent(file, name, self._reserved, uid, gid, told) as folder:
            yield folder

    @property
    def there(self) -> Ranges:
        return self._there

    def came(self, start: int, stop: int, givers: Givers) -> None:
        self._givers = givers
        self._there.add(start, stop)
        self._desk.progress.came_from(givers, stop - start)

    def wrong(self, start: int, stop: int) -> bool:  # noqa: ARG002 - only the sum of all of it could tell
        return False


def _parts(missing: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return [(at, min(at + _PART, stop)) for start, stop in missing for at in range(start, stop, _PART)]
