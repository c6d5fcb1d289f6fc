"""A repository that is a directory: a share that is mounted, or a disk."""

from __future__ import annotations

import errno
import glob
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

from ogagent.capture.store import Look
from ogagent.errors import RepositoryFull, RepositoryUnreachable
from ogagent.model.units import MIB
from ogagent.system.aside import aside
from ogagent.system.daemon_thread import DaemonThread

T = TypeVar("T")

_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_LINKS: Final = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES)
"""What file systems without hard links answer, of Samba and FAT among them."""
_GATHERED: Final = 4 * MIB
_PATIENCE_S: Final = 60.0
_LONG_S: Final = 3600.0
"""So long a share may take that copies an image, or brings one to its disk."""
_GRACE_S: Final = 0.1
_IDLE_S: Final = 0.1
_NEW: Final = ".new"
_MOUNT: Final = "mount the repository's share, see capture.url"


class Folder:
    """Implements ``ogagent.capture.store.Store``. The directory is made when it is the only one that is missing.

    One thing is done after the other, in a thread that is left behind with a share that does not answer. What it was
    asked for it does when the share has come back, in that order: a part is removed after it has been written to.
    """

    def __init__(self, directory: Path, within: str = "", volatile: str = "", patience_s: float = _PATIENCE_S) -> None:
        """``within``: the directory that it must lie in; empty: any. ``volatile``: see ``StorePolicy``. ``patience_s``:
        how long a share that does not answer is waited for.
        """
        self._directory = directory
        self._within = within
        self._volatile = volatile
        self._patience_s = patience_s
        self._thread = DaemonThread("share", _IDLE_S)

    def url(self, name: str) -> str:
        return (self._directory / name).as_uri()

    async def look(self, name: str) -> Look | None:
        return await self._ask(lambda: _look(self._path(name)))

    async def read(self, name: str, most: int) -> bytes | None:
        def read() -> bytes | None:
            try:
                with self._path(name).open("rb") as file:
                    return file.read(most)
            except FileNotFoundError:
                return None

        return await self._ask(read)

    async def room(self) -> int | None:
        def free() -> int:
            directory = self._path("")
            there = directory if directory.is_dir() else directory.parent
            if self._volatile and there.stat().st_dev == Path(self._volatile).stat().st_dev:
                raise RepositoryUnreachable(
                    f"{directory} is the live system's own, and goes with it: nothing is mounted there", hint=_MOUNT
                )
            status = os.statvfs(there)
            return status.f_bavail * status.f_frsize

        return await self._ask(free)

    async def stream(self, name: str, chunks: AsyncIterator[bytes]) -> None:
        file = await self._ask(lambda: self._new(name), late=lambda opened: opened.close())
        try:
            gathered = bytearray()
            async for chunk in chunks:
                gathered += chunk
                if len(gathered) >= _GATHERED:
                    await self._ask(partial(_write, file, gathered))
                    gathered = bytearray()
            await self._ask(partial(_write, file, gathered))
            await self._ask(partial(_to_the_medium, file), least_s=_LONG_S)
            await self._ask(partial(_flush, self._directory))
        finally:
            with suppress(OSError):  # what is of any worth is on the medium
                await aside(_GRACE_S, file.close, grace_s=0, thread=self._thread)

    async def put(self, name: str, content: bytes) -> None:
        """All of it has the name, or none: two who put a lock at the same time both find one that is whole."""

        def put() -> None:
            new = f".{name}.{secrets.token_hex(4)}{_NEW}"
            try:
                with self._new(new) as file:
                    _write(file, content)
                    _to_the_medium(file)
                self._path(new).replace(self._path(name))
                _flush(self._directory)
            except OSError:
                with suppress(OSError):
                    self._path(new).unlink()
                raise

        await self._ask(put)

    async def move(self, name: str, to: str) -> None:
        """rename(2) does nothing when both are names of one file, as a copy is here."""

        def move() -> None:
            source, target = self._path(name), self._path(to)
            source.replace(target)
            if name != to:
                source.unlink(missing_ok=True)
            _flush(self._directory)

        await self._ask(move)

    async def copy(self, name: str, to: str) -> None:
        """What nobody writes to may have two names as well as two copies."""

        def copy() -> None:
            source, target = self._path(name), self._path(to)
            target.unlink(missing_ok=True)
            try:
                target.hardlink_to(source)
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                with source.open("rb") as reading, target.open("xb") as writing:
                    shutil.copyfileobj(reading, writing, _GATHERED)
                    _to_the_medium(writing)
            _flush(self._directory)

        await self._ask(copy, least_s=_LONG_S)

    async def remove(self, name: str) -> None:
        """Also what ``put`` has left of it, in an agent that died. What comes back after a power cut harms nobody."""

        def remove() -> None:
            self._path(name).unlink(missing_ok=True)
            for left in self._directory.glob(f".{glob.escape(name)}.*{_NEW}"):
                left.unlink(missing_ok=True)
            with suppress(OSError):
                _flush(self._directory)

        await self._ask(remove)

    def _path(self, name: str) -> Path:
        """Raises RepositoryUnreachable for what leads out of ``within``."""
        path = self._directory / name
        if self._within and not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self._within)):
            raise RepositoryUnreachable(f"{path} lies outside {self._within}", hint="see capture.url")
        return path

    def _new(self, name: str) -> BinaryIO:
        """Whoever reads the images of this directory may read this one."""
        path = self._path(name)
        self._directory.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        return path.open("xb", buffering=0)

    async def _ask(
        self, work: Callable[[], T], *, least_s: float = 0, late: Callable[[T], object] = lambda _: None
    ) -> T:
        try:
            patience_s = max(self._patience_s, least_s)
            return await aside(patience_s, work, late=late, grace_s=_GRACE_S, thread=self._thread)
        except TimeoutError as error:
            raise RepositoryUnreachable(
                f"{self._directory} does not answer", hint="look at the server of the share, and at the network between"
            ) from error
        except FileNotFoundError as error:
            raise RepositoryUnreachable(
                f"{error.filename or self._directory} is not there",
                hint=_MOUNT,
            ) from error
        except OSError as error:
            if error.errno in _FULL:
                raise RepositoryFull(
                    f"{self._directory} has no room for the image: {error.strerror}", hint="make room, and ask again"
                ) from error
            raise RepositoryUnreachable(f"{self._directory}: {error.strerror}", hint="see capture.url") from error


def _look(path: Path) -> Look | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return Look(status.st_size, f"{status.st_ino} {status.st_mtime_ns}")


def _write(file: BinaryIO, data: bytes | bytearray) -> None:
    """A file system that is nearly full takes a part of it, and says so."""
    with memoryview(data) as view:
        done = 0
        while done < len(view):
            done += file.write(view[done:])


def _to_the_medium(file: BinaryIO) -> None:
    """What is read from it now comes from there, and not from the page cache."""
    file.flush()
    os.fsync(file.fileno())
    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _flush(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some shares know no such thing of a directory
            raise
    finally:
        os.close(fd)
