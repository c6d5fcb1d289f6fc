"""What lies beside an image in the repository and says whether, and how, it may be used."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from typing import Final

from ogagent.errors import ImageCorrupt, ImageLocked, RepositoryUnreachable
from ogagent.image.sums import md5_in
from ogagent.source.source import Source
from ogagent.system.patience import in_thread, wait_out

_log: Final = logging.getLogger(__name__)

FULL_SUM: Final = ".full.sum"
_LONGEST: Final = 64 << 10  # bytes: the sums of some hundred images in one file


async def refuse_locked(source: Source) -> None:
    """``X.img.lock``: somebody is writing the image. From a server that finds any name at all, no lock is believed."""
    if await source.sidecar(".lock", _LONGEST) is None:
        return
    if await source.sidecar(f".{secrets.token_hex(8)}", _LONGEST) is not None:
        raise RepositoryUnreachable(
            "the repository finds any name, also one that does not exist: nobody can tell a lock from a page",
            hint="its web server must answer 404 to what is not there",
        )
    raise ImageLocked(
        "the image is locked in the repository", hint="wait until its creation has ended, or remove a stale .lock"
    )


async def full_sum(source: Source, name: str) -> bytes | None:
    """``X.img.full.sum``, where it will tell in the end that the image file ``name`` is what it should be."""
    content = await source.sidecar(FULL_SUM, _LONGEST)
    return content if content is not None and md5_in(content, name) is not None else None


class WholeFileSum:
    """``X.img.full.sum``: the MD5 of the image file, computed beside everything else from the bytes that arrive.

    Where there is none, this does nothing.
    """

    def __init__(self, expected: str | None) -> None:
        self._expected = expected
        self._hash = hashlib.md5(usedforsecurity=False)
        self._under_way: asyncio.Task[None] | None = None

    @classmethod
    async def beside(cls, source: Source, name: str, warnings: list[str]) -> WholeFileSum:
        """That of the image file ``name``. One that cannot be understood is added to the job's ``warnings``."""
        content = await source.sidecar(FULL_SUM, _LONGEST)
        if content is None:
            return cls(None)
        found = md5_in(content, name)
        if found is None:
            warning = ImageCorrupt(
                f"{name}.full.sum does not tell the MD5 of {name}: the image is not compared with it"
            )
            _log.warning("%s", warning.message)
            warnings.append(warning.der)
        return cls(found)

    async def update(self, chunk: bytes) -> None:
        """One chunk is hashed in a thread while the next one arrives."""
        if self._expected is not None:
            await self._settle()
            self._under_way = asyncio.create_task(in_thread(self._hash.update, chunk))

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

    async def close(self) -> None:
        """No thread of it is left."""
        if self._under_way is not None:
            await wait_out([self._under_way])

    async def _settle(self) -> None:
        await self.close()
        if self._under_way is not None:
            self._under_way.result()
