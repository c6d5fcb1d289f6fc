"""Whether a repository holds the image that it was given: all of it is read once more."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import CancelledError, Future
from contextlib import aclosing
from typing import BinaryIO, Final, cast

from blake3 import blake3

from ogagent.errors import ImageCorrupt, ImageNotFound, ImageNotKept
from ogagent.image.index import ImageIndex
from ogagent.image.indexed import prove
from ogagent.source.source import SourcePolicy, open_source
from ogagent.system.channel import Stopped
from ogagent.system.patience import in_thread, interruptible

LOOK: Final = "look at the repository's disk, and at its web server's log"


async def prove_image(
    url: str, index: ImageIndex, policy: SourcePolicy, threads: int, seen: Callable[[int], None]
) -> None:
    """As ``ogagent image verify`` does it: each region is unpacked and compared. ``seen`` hears of bytes that came.

    Raises ImageNotKept, SourceError.
    """
    try:
        async with open_source(url, policy, lambda: None) as source, aclosing(source.chunks()) as chunks:
            file = _File(chunks)
            heard: Callable[[bytes], None] = lambda data: seen(len(data))  # noqa: E731
            await interruptible(None, file.stop, prove, cast("BinaryIO", file), index, threads, heard)
    except (ImageCorrupt, ImageNotFound) as error:
        raise ImageNotKept(f"{url} is not what was sent: {error.message}", hint=LOOK) from error


async def has_digest(url: str, size: int, digest: str, policy: SourcePolicy) -> bool:
    """Whether the file there has this size and BLAKE3. Raises SourceError."""
    running, seen = blake3(), 0
    async with open_source(url, policy, lambda: None) as source, aclosing(source.chunks()) as chunks:
        async for chunk in chunks:
            await in_thread(running.update, chunk)
            seen += len(chunk)
    return seen == size and running.hexdigest() == digest


class _File:
    """What comes in the event loop, to be read in a thread: as much of a BinaryIO as ``prove`` wants."""

    def __init__(self, chunks: AsyncGenerator[bytes, None]) -> None:
        self._chunks = chunks
        self._loop = asyncio.get_running_loop()
        self._ahead = bytearray()
        self._lock = threading.Lock()
        self._coming: Future[bytes] | None = None
        self._stopped = False

    def read(self, size: int) -> bytes:
        while len(self._ahead) < size and (chunk := self._next()):
            self._ahead += chunk
        data = bytes(self._ahead[:size])
        del self._ahead[:size]
        return data

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            if self._coming is not None:
                self._coming.cancel()

    def _next(self) -> bytes:
        with self._lock:
            if self._stopped:
                raise Stopped
            self._coming = asyncio.run_coroutine_threadsafe(self._chunk(), self._loop)
        try:
            return self._coming.result()
        except CancelledError:
            raise Stopped from None

    async def _chunk(self) -> bytes:
        return await anext(self._chunks, b"")
