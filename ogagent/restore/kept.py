"""An image whose bytes come from the CACHE where it has them, and otherwise from the repository, and into the CACHE.

There are two kinds, ``KeptRegions`` and ``KeptStream``. Neither believes the CACHE anything. They live on the event
loop and ask the disk in its thread.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextlib import asynccontextmanager, suppress
from enum import Enum, auto
from functools import partial
from typing import Final

from blake3 import blake3
from msgspec import Struct

from ogagent.crowd import gifts
from ogagent.crowd.arrivals import Told
from ogagent.disk.cache_thread import CacheThread
from ogagent.errors import CacheError, SourceError
from ogagent.model.units import MIB
from ogagent.restore.progress import Progress
from ogagent.source.image_shelf import ImageShelf, KeptFile, Run
from ogagent.source.source import Source

_log: Final = logging.getLogger(__name__)

LONGEST_SUM: Final = 4096
FOR_THE_CACHE_S: Final = 30.0
"""So long the repository is asked for what only the CACHE needs."""
_CHUNK: Final = 2 * MIB
_EARLY: Final = 32 * MIB
"""So much waits in memory until all has been checked: what is in flight, with the image's header and bitmap."""


_AWAITED: Final = 1 * MIB
"""So much is collected before it is written when others wait for it."""


class State(Enum):
    READING = auto()
    """All of it comes from the CACHE."""
    WAITING = auto()
    """It is to be kept, but nothing may be written yet."""
    KEEPING = auto()
    OFF = auto()


class Desk(Struct, frozen=True):
    """``report`` hears of what goes wrong with the CACHE, and may raise it; the numbers are those of Caching."""

    thread: CacheThread
    shelf: ImageShelf
    progress: Progress
    report: Callable[[CacheError], None]
    run: int
    completing: int


class Kept(ABC):
    """``origin`` is the repository; what lies there beside the image as ``suffix`` holds ``proof``, and whoever has the
    image with the same beside it has, unless it is damaged, the same image.
    """

    def __init__(self, desk: Desk, origin: Source, suffix: str, proof: bytes) -> None:
        self.state = State.WAITING
        self._desk = desk
        self._ask = desk.thread.run
        self._origin = origin
        self._suffix = suffix
        self._proof = proof
        self._file: KeptFile | None = None
        self._run: Run = []
        self._collected = 0
        self._turn = asyncio.Lock()
        self._writing: Future[None] | None = None
        self._told: Told | None = None
        """Hears what has been written, as soon as it is."""

    async def look_up(self) -> None:
        """Looks for what the CACHE has, and writes nothing. Raises CacheError."""
        self._file = await self._ask(self._desk.shelf.whole, self._suffix, self._proof)
        if self._file is not None:
            self.state = State.READING

    @abstractmethod
    async def begin(self) -> None:
        """All has been checked: what comes may be written to the CACHE. Raises CacheError."""

    @abstractmethod
    async def finish(self) -> None:
        """The disk holds the image. Raises CacheError and SourceError."""

    def stop(self) -> None:
        """Nothing more is kept."""
        self.state = State.OFF
        self._run, self._collected = [], 0

    async def sidecar(self, suffix: str, limit: int) -> bytes | None:
        return self._proof if suffix == self._suffix else await self._origin.sidecar(suffix, limit)

    async def _new_file(self, size: int, parts: int) -> None:
        """Nothing is kept when another job is already writing this image."""
        version = blake3(self._proof).hexdigest()[:16]
        self._file = await self._ask(self._desk.shelf.partial, version, size, parts)
        if self._file is None:
            self.stop()

    @asynccontextmanager
    async def _lent(
        self, file: KeptFile, name: str, needed: int, uid: int, gid: int, told: Told | None
    ) -> AsyncIterator[int]:
        """See ``ogagent.crowd.arrivals.Storage``; ``needed`` bytes of it are to be written yet."""
        shelf = self._desk.shelf
        folder = await self._ask(shelf.lend, file, name, needed, uid, gid)
        self._told = told
        try:
            yield folder
        finally:
            self._told = None
            await self._desk.thread.wait(self._desk.thread.start(shelf.take_back, file, folder))

    async def _read(self, position: int, length: int) -> bytes:
        """Nothing when the CACHE fails."""
        if self._file is None:
            return b""
        try:
            chunk = await self._ask(self._file.read, position, min(length, _CHUNK))
        except CacheError as error:
            self._fail(error)
            return b""
        return chunk

    async def _keep(self, position: int, chunk: bytes) -> None:
        if self.state is State.WAITING and self._collected + len(chunk) > _EARLY:
            _log.info("the image is not kept in the CACHE: too much of it comes before it has been checked")
            self.stop()
        if self.state in (State.WAITING, State.KEEPING):
            self._run.append((position, chunk))
            self._collected += len(chunk)
        if self.state is State.KEEPING:
            try:
                await self._hand_over(self._desk.run if self._told is None else min(self._desk.run, _AWAITED))
            except CacheError as error:
                self._fail(error)

    async def _hand_over(self, least: int) -> None:
        """What has been collected, when that is so much; one run is being written while the next one comes."""
        async with self._turn:
            if self._collected >= least and self._file is not None:
                await self._settle()
                run, self._run, self._collected = self._run, [], 0
                self._writing = self._desk.thread.start(self._desk.shelf.write, self._file, run)
                if self._told is not None:
                    asyncio.wrap_future(self._writing).add_done_callback(partial(_tell, self._told, run))

    async def _settle(self) -> None:
        if self._writing is not None:
            await self._desk.thread.wait(self._writing)

    async def _written(self) -> None:
        """All that was to be kept."""
        await self._hand_over(1)
        await self._settle()

    def _fail(self, error: CacheError) -> None:
        self.stop()
        self._desk.report(error)

    async def _publish(self, file: KeptFile, *others: str) -> None:
        """``others``: what else belongs beside the image, where the repository has it at hand."""
        sidecars = {self._suffix: self._proof}
        with suppress(SourceError, TimeoutError):
            async with asyncio.timeout(FOR_THE_CACHE_S):
                for suffix in others:
                    if content := await self._origin.sidecar(suffix, LONGEST_SUM):
                        sidecars[suffix] = content
                if torrent := await self._torrent():
                    sidecars[gifts.SIDECAR] = torrent
        await self._ask(self._desk.shelf.publish, file, sidecars)

    async def _used(self, file: KeptFile) -> None:
        """The CACHE had it. From now on others can have it, too."""
        await self._ask(file.used_now)
        if not await self._ask(self._desk.shelf.has, gifts.SIDECAR):
            with suppress(SourceError, TimeoutError):
                async with asyncio.timeout(FOR_THE_CACHE_S):
                    if torrent := await self._torrent():
                        await self._ask(self._desk.shelf.add, gifts.SIDECAR, torrent)

    async def _torrent(self) -> bytes | None:
        torrent = await self._origin.sidecar(gifts.SIDECAR, gifts.LARGEST + 1)
        return torrent if torrent and len(torrent) <= gifts.LARGEST else None


def _tell(told: Told, run: Run, written: asyncio.Future[None]) -> None:
    if not written.cancelled() and written.exception() is None:
        for position, chunk in run:
            told(position, position + len(chunk))
