"""The bytes that come from a repository, counted as they come."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from ogagent.restore.progress import Progress
from ogagent.source.source import Source


class CountedSource:
    """Implements ``ogagent.source.source.Source``."""

    def __init__(self, source: Source, progress: Progress) -> None:
        self._source = source
        self._progress = progress
        self.at_hand = source.at_hand
        self.doubt = source.doubt
        self.sidecar = source.sidecar

    @property
    def size(self) -> int | None:
        return self._source.size

    @property
    def takes_ranges(self) -> bool:
        return self._source.takes_ranges

    def chunks(self) -> AsyncGenerator[bytes, None]:
        return self._counted(self._source.chunks())

    def part(self, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        return self._counted(self._source.part(start, stop))

    async def _counted(self, source: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        async with aclosing(source) as chunks:
            async for chunk in chunks:
                self._progress.received += len(chunk)
                yield chunk
