"""What a job does with the CACHE: what it takes from there, and what it leaves there for the next one."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from typing import Final, Literal, Protocol

from blake3 import blake3
from msgspec import Struct

from ogagent.disk.machine import CacheStore
from ogagent.errors import CacheError, ImageCorrupt, SourceError
from ogagent.image import index as image_index
from ogagent.image.index import ImageIndex
from ogagent.image.sums import md5_in
from ogagent.model.plan import RestorePlan
from ogagent.model.units import MIB
from ogagent.restore.patience import in_thread
from ogagent.restore.progress import Progress
from ogagent.source.cache import CachedSource
from ogagent.source.shelf import SIDECARS, KeptImage, Shelf
from ogagent.source.source import Source

_log: Final = logging.getLogger(__name__)

_STREAM: Final = "stream"
_LONGEST_SIDECAR: Final = 4096
_WORTH_COMPLETING: Final = 16 * MIB
"""When so little of an image is missing in the CACHE at the end of a job, it is fetched for the CACHE alone."""


class Caching(Struct, frozen=True):
    store: CacheStore
    on_full: Literal["evict", "fail"]


class Cache(Protocol):
    async def by_index(self, index: ImageIndex, origin: Source) -> Source: ...

    async def as_stream(self, origin: Source) -> Source: ...

    async def begin(self) -> None:
        """All has been checked: from now on the CACHE may be written to."""

    async def finish(self) -> None:
        """All blocks have been written. What came is made the image of the CACHE, once it is proven to be whole."""


class NoCache:
    async def by_index(self, index: ImageIndex, origin: Source) -> Source:  # noqa: ARG002 - as Cache has it
        return origin

    async def as_stream(self, origin: Source) -> Source:
        return origin

    async def begin(self) -> None: ...

    async def finish(self) -> None: ...


@asynccontextmanager
async def opened_cache(plan: RestorePlan, caching: Caching | None, progress: Progress) -> AsyncIterator[Cache]:
    """Raises CacheError only when jobs shall fail with the CACHE."""
    if caching is None or plan.cache is None:
        yield NoCache()
        return

    def complain(error: CacheError) -> None:
        if caching.on_full == "fail":
            raise error
        _log.warning("%s", error.message)
        progress.warnings.append(error.der)

    async with AsyncExitStack() as stack:
        cache: Cache = NoCache()
        try:
            root = await stack.enter_async_context(caching.store.mounted(plan.cache))
        except CacheError as error:
            complain(error)
        else:
            cache = kept = ImageCache(caching, Shelf(root), plan.request.nci, complain)
            stack.callback(kept.close)
        yield cache


class ImageCache:
    """Implements ``Cache`` for one image. What goes wrong in here, ``complain`` hears of."""

    def __init__(self, caching: Caching, shelf: Shelf, name: str, complain: Callable[[CacheError], None]) -> None:
        self._caching = caching
        self._shelf = shelf
        self._name = name
        self._complain = complain
        self._kept: KeptImage | None = None
        self._source: CachedSource | None = None
        self._origin: Source | None = None
        self._index: ImageIndex | None = None
        self._begun = False

    async def by_index(self, index: ImageIndex, origin: Source) -> Source:
        """What the CACHE has of this very file; each region of it is proven as if it came from anywhere else."""
        self._index = index
        return await self._through(origin, lambda: self._whole_of(index))

    async def as_stream(self, origin: Source) -> Source:
        """The image of the CACHE when it has, read now, the sum that the repository names: a name proves nothing."""
        self._index = None
        wanted = md5_in(await origin.sidecar(".full.sum", _LONGEST_SIDECAR) or b"")
        return await self._through(origin, lambda: self._whole_with(wanted) if wanted else None)

    async def begin(self) -> None:
        """What is not in the CACHE yet is to be kept in it from now on, and what has come already."""
        if self._source is None:
            return
        try:
            await self._caching.store.make_writable()
            if self._kept is None:
                await in_thread(None, self.close, self._open, self._partial)
                await self._source.keep_in(self._kept)
            self._begun = True
        except CacheError as error:
            self._complain(error)
            await self._source.keep_in(self._kept)

    async def finish(self) -> None:
        if not self._begun or self._source is None or self._kept is None or self._origin is None:
            return
        if not self._source.usable:
            return
        try:
            if self._kept.whole:
                await asyncio.to_thread(self._used)
            elif await self._is_whole(self._source, self._kept, self._origin):
                sidecars = await self._sidecars(self._origin)
                await asyncio.to_thread(self._shelf.publish, self._name, self._kept, sidecars)
        except CacheError as error:
            self._complain(error)
        except SourceError as error:
            self._complain(CacheError(f"the image in the CACHE could not be completed: {error.message}"))

    def close(self) -> None:
        """Half a stream is of no use to anybody."""
        kept, self._kept = self._kept, None
        if kept is None:
            return
        if not kept.whole and self._index is None:
            with suppress(CacheError):
                kept.remove()
        kept.close()

    async def _through(self, origin: Source, opened: Callable[[], KeptImage | None]) -> Source:
        """``origin`` alone when the CACHE cannot be used."""
        try:
            await in_thread(None, self.close, self._open, opened)
        except CacheError as error:
            self._complain(error)
            return origin
        self._origin = origin
        self._source = CachedSource(origin, self._kept, self._complain)
        return self._source

    def _open(self, opened: Callable[[], KeptImage | None]) -> None:
        """What has been opened is known to ``close``, also when nobody waits for it any more."""
        self.close()
        self._kept = opened()

    def _partial(self) -> KeptImage | None:
        """None when somebody else is writing this image into the CACHE."""
        evict = self._caching.on_full == "evict"
        if self._index is None:
            return self._shelf.partial(self._name, _STREAM, None, evict=evict)
        return self._shelf.partial(self._name, _mark(self._index), self._index.size, evict=evict)

    def _whole_of(self, index: ImageIndex) -> KeptImage | None:
        data = self._shelf.sidecar(self._name, image_index.SUFFIX, image_index.LARGEST_INDEX)
        try:
            same = data is not None and image_index.decode(data).digest == index.digest
        except ImageCorrupt:
            return None
        kept = self._shelf.whole(self._name) if same else None
        if kept is not None and kept.size != index.size:
            kept.close()
            return None
        return kept

    def _whole_with(self, wanted: str) -> KeptImage | None:
        """Reads it whole; ``close`` ends that."""
        self._kept = kept = self._shelf.whole(self._name)
        if kept is None:
            return None
        found = hashlib.md5(usedforsecurity=False)
        try:
            kept.read_from_medium(found.update)
        except CacheError:
            kept.close()
            raise
        if found.hexdigest() == wanted:
            return kept
        kept.close()
        return None

    def _used(self) -> None:
        if self._source is None or self._kept is None:
            return
        self._kept.used_now()
        if self._source.damaged and self._index is not None:
            self._shelf.demote(self._name, _mark(self._index))

    async def _is_whole(self, source: CachedSource, kept: KeptImage, origin: Source) -> bool:
        if self._index is None:
            if not source.ended or source.streamed != (origin.size or source.streamed):
                return False
            expected = source.digest.digest()
        else:
            if not await self._completed(self._index, kept, origin):
                return False
            expected = self._index.digest
        found = blake3()
        await asyncio.to_thread(kept.read_from_medium, found.update)
        return found.digest() == expected

    async def _completed(self, index: ImageIndex, kept: KeptImage, origin: Source) -> bool:
        """What no region needs is fetched: what stands before and after the frames, and a few that are missing."""
        first, (last, length) = index.frame(0)[0] if index.count else 0, index.frame(index.count - 1)
        await self._fill(kept, origin, 0, first)
        await self._fill(kept, origin, last + length, index.size)
        holes = await asyncio.to_thread(_holes, kept, index.size)
        if sum(stop - start for start, stop in holes) > _WORTH_COMPLETING:
            return False
        for start, stop in holes:
            await self._fill(kept, origin, start, stop)
        return True

    async def _fill(self, kept: KeptImage, origin: Source, start: int, stop: int) -> None:
        if start == stop:
            return
        async with aclosing(origin.part(start, stop)) as chunks:
            async for chunk in chunks:
                await asyncio.to_thread(kept.write, start, chunk)
                start += len(chunk)

    async def _sidecars(self, origin: Source) -> dict[str, bytes]:
        found = {}
        for suffix in SIDECARS:
            limit = image_index.LARGEST_INDEX if suffix == image_index.SUFFIX else _LONGEST_SIDECAR
            if suffix != ".torrent" and (content := await origin.sidecar(suffix, limit)) is not None:
                found[suffix] = content
        return found


def _mark(index: ImageIndex) -> str:
    return index.digest.hex()[:16]


def _holes(kept: KeptImage, size: int) -> list[tuple[int, int]]:
    holes, position = [], 0
    while position < size:
        there, end = kept.extent(position, size)
        if not there:
            holes.append((position, end))
        position = end
    return holes
