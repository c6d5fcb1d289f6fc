"""The CACHE of a PC whose disks are files: a directory beside the disk, for only root may mount."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ogagent.disk.cache_thread import CacheThread
from ogagent.errors import CacheError
from ogagent.model.plan import Target


class FileCache:
    """Implements ``ogagent.disk.machine.CacheStore``."""

    def __init__(self) -> None:
        self.thread = CacheThread()

    @asynccontextmanager
    async def mounted(self, place: Target, *, repair: bool = True) -> AsyncIterator[Path]:  # noqa: ARG002 - it needs none
        if place.problem:
            raise CacheError(f"the CACHE ({place.device}) is not used: {place.problem}")
        directory = Path(place.device.replace("#", ".cache"))
        await self.thread.run(directory.mkdir, exist_ok=True)
        yield directory

    @asynccontextmanager
    async def writable(self) -> AsyncIterator[None]:
        yield
