"""The CACHE of a PC whose disks are files: a directory beside the disk, for only root may mount."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ogagent.errors import CacheError
from ogagent.model.disk import Partition


class FileCache:
    """Implements ``ogagent.disk.machine.CacheStore``."""

    @asynccontextmanager
    async def mounted(self, partition: Partition) -> AsyncIterator[Path]:
        if partition.problem:
            raise CacheError(f"the CACHE ({partition.device}) is not used: {partition.problem}")
        directory = Path(partition.device.replace("#", ".cache"))
        try:
            await asyncio.to_thread(directory.mkdir, exist_ok=True)
        except OSError as error:
            raise CacheError(f"{directory} cannot be made: {error.strerror}") from error
        yield directory

    async def make_writable(self) -> None:
        """It is."""
