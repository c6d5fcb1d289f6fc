"""An image in a file of this machine."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final, Self, TypeVar

from ogagent.errors import ImageChanged, ImageNotFound, RepositoryUnreachable
from ogagent.model.units import MIB
from ogagent.system.aside import aside
from ogagent.system.daemon_thread import DaemonThread

T = TypeVar("T")

_CHUNK: Final = 2 * MIB
_PATIENCE_S: Final = 60.0
_IDLE_S: Final = 0.1
_CLOSING_S: Final = 0.1


class FileSource:
    """On a share that does not answer whatever asks for it is left behind, with a descriptor of its own."""

    takes_ranges = True

    def __init__(self, path: str, within: str, fd: int, size: int, patience_s: float) -> None:
        self._path = path
        self._within = within
        self._fd = fd
        self.size = size
        self._patience_s = patience_s
        self._free: list[DaemonThread] = []
        """Threads to be used again: of what each new one reads malloc keeps memory apart (mallopt(3), M_ARENA_MAX)."""

    @classmethod
    @asynccontextmanager
    async def open(cls, path: str, within: str = "", patience_s: float = _PATIENCE_S) -> AsyncIterator[Self]:
        """``within`` is the directory that the file must lie in when all links are followed; empty: anywhere. A share
        may take ``patience_s`` for an answer: it goes on by itself when its server has come back.
        """
        fd, size = await _asked(path, patience_s, lambda: _open(path, within), late=lambda opened: os.close(opened[0]))
        try:
            yield cls(path, within, fd, size, patience_s)
        finally:
            await _closed(fd)

    def chunks(self) -> AsyncGenerator[bytes, None]:
        return self.part(0, self.size)

    async def part(self, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        thread = self._free.pop() if self._free else DaemonThread("share", _IDLE_S)
        fd, position = os.dup(self._fd), start
        try:
            while position < min(stop, self.size):
                read = partial(os.pread, fd, min(_CHUNK, stop - position), position)
                try:
                    chunk = await _asked(self._path, self._patience_s, read, thread=thread)
                except OSError as error:
                    why = f"reading {self._path} at {position} failed: {error.strerror}"
                    raise RepositoryUnreachable(why) from error
                if not chunk:
                    why = f"{self._path} became shorter while it was read: {position} of {self.size} bytes"
                    raise ImageChanged(why)
                position += len(chunk)
                yield chunk
        finally:
            if await _closed(fd, thread):
                self._free.append(thread)

    def at_hand(self, start: int, stop: int) -> bool:  # noqa: ARG002 - all of it is here
        return True

    def doubt(self, start: int, stop: int) -> bool:  # noqa: ARG002 - there is only one place to get it from
        return False

    async def sidecar(self, suffix: str, limit: int) -> bytes | None:
        path = f"{self._path}{suffix}"
        return await _asked(path, self._patience_s, lambda: _read_small(path, self._within, limit))


async def _asked(
    path: str,
    patience_s: float,
    work: Callable[[], T],
    *,
    late: Callable[[T], object] = lambda _: None,
    thread: DaemonThread | None = None,
) -> T:
    try:
        return await aside(patience_s, work, late=late, thread=thread)
    except TimeoutError as error:
        raise RepositoryUnreachable(
            f"{path} does not answer", hint="look at the server of the share, and at the network between"
        ) from error


async def _closed(fd: int, thread: DaemonThread | None = None) -> bool:
    """Not before ``thread`` has done what it was asked for; by a share that does not answer nobody is kept."""
    with suppress(TimeoutError):
        await aside(_CLOSING_S, lambda: os.close(fd), grace_s=0, thread=thread)
        return True
    return False


def _read_small(path: str, within: str, limit: int) -> bytes | None:
    try:
        with open(_regular(path, within), "rb") as file:
            return file.read(limit)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RepositoryUnreachable(f"{path} cannot be read: {error.strerror}") from error


def _open(path: str, within: str) -> tuple[int, int]:
    """Its descriptor, and its size."""
    try:
        fd = _regular(path, within)
        return fd, os.fstat(fd).st_size
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
