"""What a job does with the CACHE: what it takes from there, and what it leaves there for the next one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final, Literal, TypeVar

from msgspec import Struct

from ogagent.disk.machine import CacheStore
from ogagent.errors import AgentError, CacheError, ImageCorrupt, ImageError, UnknownImage
from ogagent.image.index import ImageIndex
from ogagent.model.job import Phase
from ogagent.model.plan import Target
from ogagent.model.units import MIB
from ogagent.restore.crowd import CrowdSource
from ogagent.restore.kept import Desk, State
from ogagent.restore.kept_regions import KeptRegions
from ogagent.restore.kept_stream import KeptStream
from ogagent.restore.kept_whole import KeptWhole
from ogagent.restore.progress import Progress
from ogagent.restore.request import RestorePlan
from ogagent.restore.sidecars import full_sum
from ogagent.source.image_shelf import ImageShelf
from ogagent.source.source import Source

_log: Final = logging.getLogger(__name__)

KeptImage = KeptRegions | KeptStream
K = TypeVar("K", KeptRegions, KeptStream, KeptWhole)


class Caching(Struct, frozen=True):
    store: CacheStore
    on_full: Literal["evict", "fail"]
    run: int = 16 * MIB
    """Bytes that are collected before they are written: a disk that holds CACHE and partition is spared some ways."""
    completing: int = 16 * MIB
    """When no more of an image is missing in the CACHE at the end of a job, it is fetched for the CACHE alone."""


class Cache:
    """What a job asks of the CACHE. As it stands here nothing is done: the job does not go through it."""

    async def by_index(self, index: ImageIndex, data: bytes, origin: Source) -> Source:  # noqa: ARG002 - for ImageCache
        """The parts of an image in frames; ``data`` is its index as the repository has it."""
        return origin

    async def as_stream(self, origin: Source, name: str) -> Source:  # noqa: ARG002 - for ImageCache
        """The image file ``name``, which nothing proves but its sum."""
        return origin

    async def as_whole(self, crowd: CrowdSource, name: str) -> KeptWhole | None:  # noqa: ARG002 - for ImageCache
        """What others bring in any order, and nothing proves but the sum of all of it. None: it cannot be kept."""
        return None

    async def begin(self) -> None:
        """All has been checked: from now on the CACHE may be written to."""

    def proven(self) -> None:
        """All of the image has shown to be the repository's: what it does not suit, the repository's does not."""

    def refuted(self, error: ImageError) -> bool:  # noqa: ARG002 - for ImageCache
        """The image is wrong, or does not suit. True when it came from the CACHE: nobody has asked the repository."""
        return False

    async def finish(self) -> None:
        """The disk holds the image; now for the next job."""


@asynccontextmanager
async def opened_cache(plan: RestorePlan, caching: Caching | None, progress: Progress) -> AsyncIterator[Cache]:
    if caching is None or plan.cache is None:
        yield Cache()
        return
    async with AsyncExitStack() as mounts:
        cache = ImageCache(plan.cache, plan.request.nci, caching, progress, mounts)
        cancelled = False
        try:
            yield cache
        except asyncio.CancelledError:
            cancelled = True
            raise
        finally:
            await cache.close(cancelled=cancelled)


class ImageCache(Cache):
    """Implements ``Cache`` for the image ``name``. The CACHE is mounted once the repository has told what is wanted."""

    def __init__(self, place: Target, name: str, caching: Caching, progress: Progress, mounts: AsyncExitStack) -> None:
        self._place = place
        self._name = name
        self._caching = caching
        self._progress = progress
        self._mounts = mounts
        self._desk: Desk | None = None
        self._kept: KeptImage | None = None
        self._afresh = False
        self._proven = False
        self._warned = False

    async def by_index(self, index: ImageIndex, data: bytes, origin: Source) -> Source:
        return await self._through(lambda desk: KeptRegions(desk, origin, index, data)) or origin

    async def as_stream(self, origin: Source, name: str) -> Source:
        self._kept = None
        proof = await full_sum(origin, name)
        if proof is None:
            _log.info("the image is not kept in the CACHE: neither an index nor a .full.sum says what it must be")
            return origin
        return await self._through(lambda desk: KeptStream(desk, origin, proof, afresh=self._afresh)) or origin

    async def as_whole(self, crowd: CrowdSource, name: str) -> KeptWhole | None:
        proof, length = await full_sum(crowd, name), crowd.size
        if proof is None or length is None:
            return None
        return await self._through(lambda desk: KeptWhole(desk, crowd, proof, length))

    async def begin(self) -> None:
        if self._kept is None:
            return
        try:
            await self._mounts.enter_async_context(self._caching.store.writable())
            await self._kept.begin()
        except CacheError as error:
            if self._kept.state is not State.READING:
                self._kept.stop()
            self._give_up(error)

    def proven(self) -> None:
        self._proven = True

    def refuted(self, error: ImageError) -> bool:
        """That it does not suit may be as true of the repository's, and says nothing against the CACHE's by itself."""
        if self._proven or not isinstance(self._kept, KeptStream) or not self._kept.from_cache:
            return False
        self._afresh = True
        if isinstance(error, ImageCorrupt | UnknownImage):
            self._warn(CacheError("the image in the CACHE is damaged: it is fetched from the repository"))
        else:
            _log.info("%s, as the CACHE has it: the repository is asked", error.message)
        return True

    async def finish(self) -> None:
        if self._kept is None or self._kept.state is State.OFF:
            return
        self._progress.enter(Phase.CACHING)
        try:
            await self._kept.finish()
        except CacheError as error:
            self._give_up(error)
        except AgentError as error:
            self._give_up(CacheError(f"the image in the CACHE could not be completed: {error.message}"))

    async def close(self, *, cancelled: bool) -> None:
        if self._desk is None:
            return
        thread = self._desk.thread
        try:
            await thread.wait(thread.start(self._desk.shelf.close), cancelled=cancelled)
        except CacheError as error:
            _log.warning("%s", error.message)

    async def _through(self, make: Callable[[Desk], K]) -> K | None:
        """None when the CACHE cannot be used."""
        self._kept = None
        try:
            if self._desk is None:
                self._desk = await self._opened()
            await self._desk.thread.run(self._desk.shelf.close)  # what was opened for an earlier attempt
            kept = make(self._desk)
            await kept.look_up()
        except CacheError as error:
            self._give_up(error)
            return None
        self._kept = kept
        return kept

    async def _opened(self) -> Desk:
        caching = self._caching
        root = await self._mounts.enter_async_context(caching.store.mounted(self._place))
        shelf = ImageShelf(root, self._name, evict=caching.on_full == "evict")
        thread = caching.store.thread
        return Desk(thread, shelf, self._progress, self._give_up, caching.run, caching.completing)

    def _give_up(self, error: CacheError) -> None:
        if self._caching.on_full == "fail" and not self._progress.touched:
            raise error
        self._warn(error)

    def _warn(self, error: CacheError) -> None:
        """One warning is enough: what follows the first failure of a CACHE is its consequence."""
        _log.warning("%s", error.message)
        if not self._warned:
            self._progress.warnings.append(error.der)
        self._warned = True
