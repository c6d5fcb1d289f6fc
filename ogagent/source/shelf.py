"""Images in the CACHE, where OpenGnsys keeps them: ``opt/opengnsys/images/NAME.img``, with what lies beside each.

An image that is not whole has another name, which ends in ``.partial``, and holes where nothing has been written yet.
So whoever looks for ``NAME.img`` finds what has been proven, or nothing. What is open is locked, and not removed.
Blocking.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Final

from ogagent.errors import CacheError, CacheFull
from ogagent.model.units import MIB, format_bytes

IMAGES: Final = PurePosixPath("opt/opengnsys/images")
SIDECARS: Final = (".index.sig", ".index", ".full.sum", ".sum", ".info", ".torrent")
_PARTIAL: Final = ".partial"
_SPARE: Final = 16 * MIB
"""Left free, for the file system's own needs and what lies beside an image."""
_STEP: Final = 2 * MIB


class KeptImage:
    """An open file of the shelf. ``whole`` ones are only read. Every method raises CacheError."""

    def __init__(self, fd: int, path: Path, *, whole: bool) -> None:
        self._fd: int | None = fd
        self._using = threading.Lock()
        self.path = path
        self.whole = whole

    @property
    def size(self) -> int:
        with self._open() as fd:
            return os.fstat(fd).st_size

    def extent(self, position: int, stop: int) -> tuple[bool, int]:
        """Whether there is something at ``position``, and up to where that is so; a proof must tell what it is."""
        with self._open() as fd:
            try:
                data = os.lseek(fd, position, os.SEEK_DATA)
                if data > position:
                    return False, min(data, stop)
                return True, min(os.lseek(fd, position, os.SEEK_HOLE), stop)
            except OSError as error:
                if error.errno == errno.ENXIO:  # nothing but a hole up to the end
                    return False, stop
                raise

    def read(self, position: int, length: int) -> bytes:
        with self._open() as fd:
            return os.pread(fd, length, position)

    def write(self, position: int, data: bytes) -> None:
        with self._open() as fd, memoryview(data) as view:
            done = 0
            while done < len(view):
                done += os.pwrite(fd, view[done:], position + done)

    def read_from_medium(self, seen: Callable[[bytes], object]) -> None:
        """All of it, as it is once the power has failed."""
        with self._open() as fd:
            os.fsync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        position = 0
        while chunk := self.read(position, _STEP):
            seen(chunk)
            position += len(chunk)

    def used_now(self) -> None:
        """For whoever has to make room."""
        with self._open() as fd:
            os.utime(fd)

    def remove(self) -> None:
        """Nothing, when it has got its final name meanwhile."""
        with _told(self.path):
            self.path.unlink(missing_ok=True)

    def close(self) -> None:
        with self._using:
            if self._fd is not None:
                os.close(self._fd)
            self._fd = None

    @contextmanager
    def _open(self) -> Iterator[int]:
        """A thread that nobody waits for any more must not meet a number that stands for another file by now."""
        with self._using, _told(self.path):
            if self._fd is None:
                raise CacheError(f"{self.path} has been closed")
            yield self._fd


class Shelf:
    def __init__(self, root: Path) -> None:
        self._directory = root / IMAGES

    def whole(self, name: str) -> KeptImage | None:
        path = self._path(name)
        with _told(path):
            try:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            except FileNotFoundError:
                return None
            return _locked(fd, path, fcntl.LOCK_SH, whole=True)

    def sidecar(self, name: str, suffix: str, limit: int) -> bytes | None:
        path = self._path(name)
        with _told(path), suppress(FileNotFoundError), path.with_name(path.name + suffix).open("rb") as file:
            return file.read(limit)
        return None

    def partial(self, name: str, mark: str, size: int | None, *, evict: bool) -> KeptImage | None:
        """One that is to become ``NAME.img``, with what an earlier job has left of it; ``mark`` tells versions apart.

        None when somebody else is writing it. Raises CacheFull when there is no room, nor could be made with ``evict``.
        """
        path = self._path(name)
        partial = path.with_name(f"{path.name}.{mark}{_PARTIAL}")
        with _told(partial):
            partial.parent.mkdir(parents=True, exist_ok=True)
            for old in path.parent.glob(f"{path.name}.*{_PARTIAL}"):
                if old != partial:
                    _remove(old)
            fd = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
            try:
                kept = _locked(fd, partial, fcntl.LOCK_EX, whole=False)
            except CacheError:
                return None
            try:
                os.ftruncate(fd, size or 0)
                if size is not None:
                    self._make_room(size - os.fstat(fd).st_blocks * 512, evict=evict)
            except BaseException:
                kept.close()
                raise
        return kept

    def publish(self, name: str, kept: KeptImage, sidecars: Mapping[str, bytes]) -> None:
        """What is proven and on the medium takes the place of what was there. The index comes last."""
        path = self._path(name)
        with _told(path):
            _remove_sidecars(path)
            kept.path.rename(path)
            for suffix in reversed(SIDECARS):
                if suffix in sidecars:
                    _write(path.with_name(path.name + suffix), sidecars[suffix])
            _flush(path.parent)

    def demote(self, name: str, mark: str) -> None:
        """The image has shown to be damaged: it goes from under its name, but what is right of it may be used."""
        path = self._path(name)
        with _told(path):
            _remove_sidecars(path)
            path.rename(path.with_name(f"{path.name}.{mark}{_PARTIAL}"))

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.img"

    def _make_room(self, needed: int, *, evict: bool) -> None:
        candidates = self._oldest_first() if evict else iter(())
        while (free := self._free()) < needed + _SPARE:
            oldest = next(candidates, None)
            if oldest is None:
                raise CacheFull(
                    f"the CACHE has {format_bytes(free)} free, the image needs {format_bytes(needed)} more",
                    hint="make the CACHE larger, or remove images from it",
                )
            _remove(oldest)

    def _free(self) -> int:
        status = os.statvfs(self._directory)
        return status.f_bavail * status.f_frsize

    def _oldest_first(self) -> Iterator[Path]:
        found = [
            path
            for pattern in ("*.img", f"*{_PARTIAL}", "*/*.img", f"*/*{_PARTIAL}")
            for path in self._directory.glob(pattern)
            if path.is_file() and not path.is_symlink()
        ]
        return iter(sorted(found, key=lambda path: path.stat().st_atime))


def _locked(fd: int, path: Path, how: int, *, whole: bool) -> KeptImage:
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        raise CacheError(f"{path} is in use by another job") from error
    return KeptImage(fd, path, whole=whole)


def _remove(path: Path) -> None:
    """Unless it is in use."""
    with suppress(CacheError, FileNotFoundError):
        kept = _locked(os.open(path, os.O_RDONLY | os.O_CLOEXEC), path, fcntl.LOCK_EX, whole=True)
        try:
            _remove_sidecars(path)
            path.unlink(missing_ok=True)
        finally:
            kept.close()


def _remove_sidecars(path: Path) -> None:
    for suffix in SIDECARS:
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _write(path: Path, content: bytes) -> None:
    fresh = path.with_name(f"{path.name}.new")
    with fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)


def _flush(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise CacheFull(f"the CACHE is full: {path} could not be written") from error
        raise CacheError(f"the CACHE cannot be used: {path}: {error.strerror}") from error
