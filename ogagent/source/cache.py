"""An image whose bytes come from the CACHE where it has them, and otherwise from the repository, and into the CACHE."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final

from blake3 import blake3

from ogagent.errors import CacheError
from ogagent.model.units import MIB
from ogagent.source.shelf import KeptImage
from ogagent.source.source import Source

_CHUNK: Final = 2 * MIB
_EARLY: Final = 32 * MIB
"""Of an image comes so much at most before all has been checked: what is in flight, and its header and bitmap."""


class CachedSource:
    """Implements ``ogagent.source.source.Source``. When the CACHE fails, ``complain`` hears of it, and may raise.

    ``kept`` None: the CACHE has nothing of the image; what comes waits for ``keep_in``.
    """

    def __init__(self, origin: Source, kept: KeptImage | None, complain: Callable[[CacheError], None]) -> None:
        self._origin = origin
        self._kept = kept
        self._early: list[tuple[int, bytes]] | None = [] if kept is None else None
        self._early_size = 0
        self._complain = complain
        self._doubted: set[int] = set()
        self.usable = True
        self.streamed = 0
        """So many bytes came from the repository in one stream; ``digest`` is BLAKE3 of them."""
        self.digest = blake3()
        self.ended = False
        """That stream has come to its end."""

    @property
    def size(self) -> int | None:
        return self._kept.size if self._kept is not None and self._kept.whole else self._origin.size

    @property
    def takes_ranges(self) -> bool:
        return self._whole or self._origin.takes_ranges

    @property
    def damaged(self) -> bool:
        """The CACHE has given something that was not right."""
        return bool(self._doubted)

    @property
    def _whole(self) -> bool:
        return self._kept is not None and self._kept.whole

    async def keep_in(self, kept: KeptImage | None) -> None:
        """None: nothing is kept."""
        self._kept, early, self._early = kept, self._early or [], None
        for position, chunk in early:
            await self._keep(position, chunk)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        if self._kept is not None and self._kept.whole:
            async for chunk in self.part(0, self._kept.size):
                yield chunk
            return
        async with aclosing(self._origin.chunks()) as chunks:
            async for chunk in chunks:
                await asyncio.to_thread(self.digest.update, chunk)
                await self._keep(self.streamed, chunk)
                self.streamed += len(chunk)
                yield chunk
        self.ended = True

    async def part(self, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        position = start
        while position < stop:
            kept, end = (False, stop) if start in self._doubted else await self._extent(position, stop)
            chunk = await self._read(position, min(end - position, _CHUNK)) if kept else b""
            if chunk:
                position += len(chunk)
                yield chunk
                continue
            end = stop if kept else end
            async with aclosing(self._origin.part(position, end)) as chunks:
                async for fresh in chunks:
                    await self._keep(position, fresh)
                    position += len(fresh)
                    yield fresh
            if position < end:  # the file ends here
                return

    def doubt(self, start: int, stop: int) -> bool:  # noqa: ARG002 - a range is known by where it starts
        again = self.usable and self._kept is not None and start not in self._doubted
        self._doubted.add(start)
        return again

    async def sidecar(self, suffix: str, limit: int) -> bytes | None:
        return await self._origin.sidecar(suffix, limit)

    async def _extent(self, position: int, stop: int) -> tuple[bool, int]:
        if self.usable and self._kept is not None:
            try:
                return await asyncio.to_thread(self._kept.extent, position, stop)
            except CacheError as error:
                self._fail(error)
        return False, stop

    async def _read(self, position: int, length: int) -> bytes:
        """Nothing when the CACHE fails."""
        if self._kept is None:
            return b""
        try:
            return await asyncio.to_thread(self._kept.read, position, length)
        except CacheError as error:
            self._fail(error)
            return b""

    async def _keep(self, position: int, chunk: bytes) -> None:
        if self._early is not None:
            self._wait_with(position, chunk)
        elif self.usable and self._kept is not None and not self._kept.whole:
            try:
                await asyncio.to_thread(self._kept.write, position, chunk)
            except CacheError as error:
                self._fail(error)

    def _wait_with(self, position: int, chunk: bytes) -> None:
        """What there is no room for leaves a hole, so that the file in the CACHE is found not to be whole."""
        if self._early is not None and self._early_size + len(chunk) <= _EARLY:
            self._early.append((position, chunk))
            self._early_size += len(chunk)

    def _fail(self, error: CacheError) -> None:
        if self.usable:
            self.usable = False
            self._complain(error)
