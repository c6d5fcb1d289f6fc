"""The files of the repository, for those who change them."""

from __future__ import annotations

import errno
import os
import stat
import threading
from io import FileIO
from pathlib import Path
from typing import Final

from simulator.repository.names import Spot, folder_named, spot_named, temporary_beside
from simulator.repository.previous import put_back

_CHUNK: Final = 1 << 20


class Store:
    """Blocking: for a worker thread. Whatever fails raises OSError, with the errno of what is in the way."""

    def __init__(self, directory: Path, quota: int | None = None) -> None:
        """``quota`` in bytes, over all files: also those that are half uploaded, and one that is being replaced."""
        self._directory = directory.resolve()
        self._quota = quota
        self._lock = threading.Lock()
        self._made: set[Path] = set()
        """Folders that were made for an upload: they go with it when nothing comes of it."""

    def spot(self, name: str) -> Spot:
        return spot_named(self._directory, name)

    def folder(self, name: str) -> Path | None:
        return folder_named(self._directory, name)

    def move(self, source: Path, target: Path, *, overwrite: bool) -> bool:
        """True when another file was there."""
        self._check(source, target, overwrite=overwrite)
        return self.rename(source, target, overwrite=overwrite)

    def copy(self, source: Path, target: Path, *, overwrite: bool) -> bool:
        """True when another file was there."""
        self._check(source, target, overwrite=overwrite)
        upload = Upload(self, target)
        try:
            upload.begin()
            with source.open("rb") as file:
                while chunk := file.read(_CHUNK):
                    upload.write(chunk)
            return upload.keep(overwrite=overwrite)
        finally:
            upload.drop()

    def delete(self, path: Path) -> None:
        with self._lock:
            path.unlink()
            _flush(path.parent)

    def put_back(self, image: Path) -> None:
        """Image and previous version change places."""
        with self._lock:
            put_back(image)
            _flush(image.parent)

    def available(self) -> int:
        """Bytes."""
        if self._quota is not None:
            return max(self._quota - self._used(), 0)
        status = os.statvfs(self._directory)
        return status.f_bavail * status.f_frsize

    # --- for uploads ----------------------------------------------------------------------------------------------

    def new(self, temporary: Path) -> FileIO:
        """Its folder is made when it is not there."""
        with self._lock:
            if not temporary.parent.is_dir():
                self._make(temporary.parent)
            return temporary.open("xb", buffering=0)

    def extend(self, fd: int, data: bytes) -> None:
        with self._lock:
            if self._quota is not None and len(data) > self.available():
                raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(fd, rest) :]

    def rename(self, source: Path, target: Path, *, overwrite: bool) -> bool:
        with self._lock:
            replaces = os.path.lexists(target)
            if replaces and not overwrite:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
            source.replace(target)
            for folder in {source.parent, target.parent}:
                _flush(folder)
            return replaces

    def forget(self, temporary: Path) -> None:
        with self._lock:
            temporary.unlink(missing_ok=True)
            if temporary.parent in self._made and not any(temporary.parent.iterdir()):
                temporary.parent.rmdir()
                self._made.remove(temporary.parent)

    # --------------------------------------------------------------------------------------------------------------

    def _make(self, folder: Path) -> None:
        try:
            folder.mkdir()
        except FileExistsError:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from None
        self._made.add(folder)
        _flush(folder.parent)

    def _check(self, source: Path, target: Path, *, overwrite: bool) -> None:
        if not source.is_file():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        if source == target:
            raise PermissionError(errno.EACCES, "source and destination are the same")
        if not target.parent.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "the destination's directory is not there")
        if not overwrite and os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))

    def _used(self) -> int:
        """A file with several names counts once."""
        sizes: dict[tuple[int, int], int] = {}
        for folder, _, names in os.walk(self._directory):
            for name in names:
                try:
                    status = Path(folder, name).lstat()
                except FileNotFoundError:  # it has another name by now, or is gone
                    continue
                if stat.S_ISREG(status.st_mode):
                    sizes[status.st_dev, status.st_ino] = status.st_size
        return sum(sizes.values())


class Upload:
    """A new file under a name that nobody asks for, until it is kept.

    Its methods block, and raise OSError when they fail. ``drop`` ends it, whatever has become of it, also while another
    thread still begins or writes.
    """

    def __init__(self, store: Store, target: Path) -> None:
        self._store = store
        self._target = target
        self._temporary = temporary_beside(target)
        self._lock = threading.Lock()
        self._file: FileIO | None = None
        self._ended = False
        self.size = 0

    def begin(self) -> None:
        with self._lock:
            if not self._ended:
                self._file = self._store.new(self._temporary)

    def write(self, data: bytes) -> None:
        with self._lock:
            self._store.extend(self._fd(), data)
            self.size += len(data)

    def halve(self) -> None:
        with self._lock:
            os.truncate(self._fd(), self.size // 2)

    def keep(self, *, overwrite: bool = True) -> bool:
        """From now on it is what has the name. True when another file had it."""
        with self._lock:
            os.fsync(self._fd())
            return self._store.rename(self._temporary, self._target, overwrite=overwrite)

    def drop(self) -> None:
        with self._lock:
            self._ended = True
            if self._file:
                self._file.close()
                self._store.forget(self._temporary)

    def _fd(self) -> int:
        if self._file is None or self._ended:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return self._file.fileno()


def _flush(folder: Path) -> None:
    """So that a name outlives a power cut."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
