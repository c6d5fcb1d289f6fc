"""What lies beside an image in the repository and says whether, and how, it may be used."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from typing import Final

from ogagent.errors import ImageCorrupt, ImageLocked
from ogagent.image.sums import md5_in
from ogagent.source.source import Source

_log: Final = logging.getLogger(__name__)

_LONGEST: Final = 4096  # bytes: a line of md5sum, with the file's name


async def refuse_locked(source: Source) -> None:
    """``X.img.lock``: somebody is writing the image."""
    if await source.sidecar(".lock", _LONGEST) is not None:
        raise ImageLocked(
            "the image is locked in the repository", hint="wait until its creation has ended, or remove a stale .lock"
        )


class WholeFileSum:
    """``X.img.full.sum``: the MD5 of the image file, computed beside everything else from the bytes that arrive.

    Where there is none, this does nothing.
    """

    def __init__(self, expected: str | None) -> None:
        self._expected = expected
        self._hash = hashlib.md5(usedforsecurity=False)
        self._under_way: asyncio.Future[None] | None = None

    @classmethod
    async def beside(cls, source: Source) -> WholeFileSum:
        content = await source.sidecar(".full.sum", _LONGEST)
        found = md5_in(content) if content is not None else None
        if content is not None and found is None:
            _log.warning("the image's .full.sum holds no MD5 and is ignored")
        return cls(found)

    async def update(self, chunk: bytes) -> None:
        """One chunk is hashed in a thread while the next one arrives."""
        if self._expected is not None:
            await self._settle()
            self._under_way = asyncio.get_running_loop().run_in_executor(None, self._hash.update, chunk)

    async def check(self) -> None:
        """Raises ImageCorrupt."""
        if self._expected is None:
            return
        await self._settle()
        found = self._hash.hexdigest()
        if found != self._expected:
            raise ImageCorrupt(
                f"the image file has the MD5 {found}, its .full.sum says {self._expected}",
                hint="the image in the repository is damaged or its sum is old: check it there",
            )

    async def _settle(self) -> None:
        if self._under_way is not None:
            await self._under_way
