"""An image in a file of this machine."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Self

from ogagent.errors import ImageChanged, ImageNotFound, RepositoryUnreachable
from ogagent.model.units import MIB

_CHUNK: Final = 2 * MIB


class FileSource:
    takes_ranges = True

    def __init__(self, path: str, within: str, fd: int, size: int) -> None:
        self._path = path
        self._within = within
        self._fd = fd
        self.size = size

    @classmethod
    @asynccontextmanager
    async def open(cls, path: str, within: str = "") -> AsyncIterator[Self]:
        """``within`` is the directory that the file must lie in when all links are followed; empty: anywhere."""
        fd = await asyncio.to_thread(_open, path, within)
        try:
            yield cls(path, within, fd, os.fstat(fd).st_size)
        finally:
            os.close(fd)

    def chunks(self) -> AsyncGenerator[bytes, None]:
        return self.part(0, self.size)

    async def part(self, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        position = start
        while position < min(stop, self.size):
            try:
                chunk = await asyncio.to_thread(os.pread, self._fd, min(_CHUNK, stop - position), position)
            except OSError as error:
                raise RepositoryUnreachable(f"reading {self._path} at {position} failed: {error.strerror}") from error
            if not chunk:
                raise ImageChanged(f"{self._path} became shorter while it was read: {position} of {self.size} bytes")
            position += len(chunk)
            yield chunk

    def doubt(self, start: int, stop: int) -> bool:  # noqa: ARG002 - there is only one place to get it from
        return False

    async def sidecar(self, suffix: str, limit: int) -> bytes | None:
        return await asyncio.to_thread(_read_small, f"{self._path}{suffix}", self._within, limit)


def _read_small(path: str, within: str, limit: int) -> bytes | None:
    try:
        with open(path, "rb") as file:
            _refuse_outside(path, within, file.fileno())
            return file.read(limit)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RepositoryUnreachable(f"{path} cannot be read: {error.strerror}") from error


def _open(path: str, within: str) -> int:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise ImageNotFound(f"there is no image {path}", hint="check the image's name and the repository") from error
    except OSError as error:
        raise RepositoryUnreachable(f"{path} cannot be opened: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise ImageNotFound(f"{path} is not a file")
    try:
        _refuse_outside(path, within, fd)
    except ImageNotFound:
        os.close(fd)
        raise
    return fd


def _refuse_outside(path: str, within: str, fd: int) -> None:
    """Looks at what has been opened, not at what the path may mean by now."""
    if within and not Path(f"/proc/self/fd/{fd}").readlink().is_relative_to(os.path.realpath(within)):
        raise ImageNotFound(f"{path} leads out of {within}", hint="check the links in the repository")
