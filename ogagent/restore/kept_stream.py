"""An image without an index in the CACHE: read front to back, once, and proven as a whole before the job commits."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from ogagent.restore.kept import Desk, Kept, State
from ogagent.restore.sidecars import FULL_SUM
from ogagent.source.source import Source


class KeptStream(Kept):
    """Implements ``ogagent.source.source.Source``. What ``full_sum`` says, whoever reads the stream compares it with.

    ``afresh``: the image that the CACHE has is not used. It stays until there is one to take its place.
    """

    def __init__(self, desk: Desk, origin: Source, full_sum: bytes, *, afresh: bool) -> None:
        super().__init__(desk, origin, FULL_SUM, full_sum)
        self._afresh = afresh
        self._reserved = 0
        """Bytes that its file has before anything is in it."""
        self._length: int | None = None
        self._ended = False

    @property
    def from_cache(self) -> bool:
        """At least its beginning: nobody vouches for it before its end."""
        return self._length is not None

    @property
    def size(self) -> int | None:
        return self._length if self.from_cache else self._origin.size

    @property
    def takes_ranges(self) -> bool:
        return self._origin.takes_ranges

    async def look_up(self) -> None:
        if not self._afresh:
            await super().look_up()
        if self._file is not None:
            self._length = self._file.size

    async def begin(self) -> None:
        if self.state is State.WAITING:
            await self._new_file(self._reserved, 0)
        if self.state is State.WAITING:
            await self._ask(self._desk.shelf.expect, self._origin.size)
            self.state = State.KEEPING

    async def finish(self) -> None:
        if self.state is State.READING and self._file is not None:
            await self._used(self._file)
        elif self.state is State.KEEPING and self._ended and self._file is not None:
            await self._written()
            await self._publish(self._file, ".sum", ".info")

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        position = 0
        while self.state is State.READING and (chunk := await self._read(position, self._length or 0)):
            self._desk.progress.from_cache += len(chunk)
            position += len(chunk)
            yield chunk
        if self.state is State.READING:
            return
        rest = self._origin.part(position, self._length) if self._length else self._origin.chunks()
        async with aclosing(rest) as chunks:
            async for chunk in chunks:
                await self._keep(position, chunk)
                position += len(chunk)
                yield chunk
        self._ended = True

    def part(self, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        return self._origin.part(start, stop)

    def at_hand(self, start: int, stop: int) -> bool:
        return self._origin.at_hand(start, stop)

    def doubt(self, start: int, stop: int) -> bool:
        return self._origin.doubt(start, stop)
