"""An image in a file of this machine."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Self

from ogagent.errors import ImageChanged, ImageNotFound, RepositoryUnreachable
from ogagent.model.units import MIB
from ogagent.system.patience import in_thread

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
        opened: list[int] = []
        try:
            await in_thread(lambda: opened.append(_open(path, within)))
            yield cls(path, within, opened[0], os.fstat(opened[0]).st_size)
        finally:
            for fd in opened:
                os.close(fd)

    def chunks(self) -> AsyncGenerator[bytes, None]:
        return self.part(0, self.size)

    async def part(self, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        position = start
        while position < min(stop, self.size):
            try:
                length = min(_CHUNK, stop - position)
                chunk = await in_thread(os.pread, self._fd, length, position)
            except OSError as error:
                raise RepositoryUnreachable(f"reading {self._path} at {position} failed: {error.strerror}") from error
            if not chunk:
                raise ImageChanged(f"{self._path} became shorter while it was read: {position} of {self.size} bytes")
            position += len(chunk)
            yield chunk

    def at_hand(self, start: int, stop: int) -> bool:  # noqa: ARG002 - all of it is here
        return True

    def doubt(self, start: int, stop: int) -> bool:  # noqa: ARG002 - there is only one place to get it from
        return False

    async def sidecar(self, suffix: str, limit: int) -> bytes | None:
        return await in_thread(_read_small, f"{self._path}{suffix}", self._within, limit)


def _read_small(path: str, within: str, limit: int) -> bytes | None:
    try:
        with open(_regular(path, within), "rb") as file:
            return file.read(limit)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RepositoryUnreachable(f"{path} cannot be read: {error.strerror}") from error


def _open(path: str, within: str) -> int:
    try:
        return _regular(path, within)
    except FileNotFoundError as error:
        raise ImageNotFound(f"there is no image {path}", hint="check the image's name and the repository") from error
    except OSError as error:
        raise RepositoryUnreachable(f"{path} cannot be opened: {error.strerror}") from error


def _regular(path: str, within: str) -> int:
    """A FIFO would be waited for, for ever: it is opened so that it is not, and refused."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        _refuse_other_kinds(path, fd)
        _refuse_outside(path, within, fd)
    except ImageNotFound:
        os.close(fd)
        raise
    return fd


def _refuse_other_kinds(path: str, fd: int) -> None:
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        raise ImageNotFound(f"{path} is not a file")


def _refuse_outside(path: str, within: str, fd: int) -> None:
    """Looks at what has been opened, not at what the path may mean by now."""
    if within and not Path(f"/proc/self/fd/{fd}").readlink().is_relative_to(os.path.realpath(within)):
        raise ImageNotFound(f"{path} leads out of {within}", hint="check the links in the repository")
