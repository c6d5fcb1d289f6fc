"""The files of a restored system, on a file system that is mounted: nothing else touches them there.

The image is nobody's friend: a link in it may lead anywhere, a file may be a device or have no end. The kernel resolves
every path inside the root, without following a link, and into no other mount (openat2(2)). Where a distribution itself
has a link, as ``etc/os-release``, it is followed here, one at a time.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedWriter, FileIO
from itertools import islice
from typing import Final

from ogagent.finish.files import LARGEST
from ogagent.system.kernel_calls import RESOLVE_IN_ROOT, RESOLVE_NO_SYMLINKS, RESOLVE_NO_XDEV, openat2
from ogagent.system.tree import TooLarge

_INSIDE: Final = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV
_PLACE: Final = os.O_PATH | os.O_NOFOLLOW
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_ABSENT: Final = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EACCES, errno.EXDEV)
_MOST_LINKS: Final = 40  # MAXSYMLINKS of the kernel, linux/namei.h
_MOST_NAMES: Final = 50_000
_FRESH: Final = ".ogagent-new"
_PIECE: Final = 1 << 20
_OF_NTFS: Final = ("system.ntfs_acl", "system.ntfs_attrib")
"""Which ntfs-3g keeps, and does not list: who may do what, and hidden, read-only and the like."""
_WITHOUT: Final = (errno.ENOTSUP, errno.EPERM, errno.EINVAL)
"""What a file system says that has no owners or attributes, as FAT."""


class MountedFiles:
    """Implements ``ogagent.finish.files.Files`` below ``root``, a descriptor that stays the caller's."""

    def __init__(self, root: int) -> None:
        self._root = root

    def read(self, path: str, limit: int = LARGEST) -> bytes | None:
        with suppress(_Absent), self._reading(path) as file:
            content = bytearray()
            while piece := file.read(min(_PIECE, limit + 1 - len(content))):
                content += piece
                if len(content) > limit:
                    raise TooLarge(path, f"{limit} bytes")
            return bytes(content)
        return None

    def link(self, path: str) -> str | None:
        folder, name = os.path.split(path)
        with suppress(_Absent):
            return self._link(os.path.join(self._followed(folder), name))  # noqa: PTH118 - of another system
        return None

    def names(self, path: str) -> list[str]:
        with suppress(_Absent), self._opened(self._followed(path), _DIRECTORY) as folder, os.scandir(folder) as entries:
            found = [entry.name for entry in islice(entries, _MOST_NAMES + 1)]
            if len(found) > _MOST_NAMES:
                raise TooLarge(path, f"{_MOST_NAMES} entries")
            return sorted(found)
        return []

    def find(self, *names: str) -> str | None:
        path = ""
        for name in names:
            like = [each for each in self.names(path or ".") if each.casefold() == name.casefold()]
            if not like:
                return None
            path = f"{path}/{like[0]}".lstrip("/")
        return path

    def end(self, path: str, length: int) -> bytes | None:
        with suppress(_Absent), self._reading(path) as file:
            file.seek(max(file.seek(0, os.SEEK_END) - length, 0))
            return file.read(length)
        return None

    def replace(self, path: str, content: bytes, mode: int = 0o644) -> None:
        with self._fresh(path, mode) as file:
            file.write(content)

    def append(self, path: str, content: bytes, aligned: int) -> None:
        with self._reading(path) as old, self._fresh(path, 0o644) as file:
            shutil.copyfileobj(old, file, _PIECE)
            file.write(bytes(-file.tell() % aligned) + content)

    def make_link(self, path: str, to: str) -> None:
        with self._parent(path, follow=False) as (folder, name):
            with suppress(FileNotFoundError):
                os.unlink(name + _FRESH, dir_fd=folder)
            os.symlink(to, name + _FRESH, dir_fd=folder)
            os.rename(name + _FRESH, name, src_dir_fd=folder, dst_dir_fd=folder)
            os.fsync(folder)

    def remove(self, path: str) -> None:
        with suppress(_Absent, FileNotFoundError), self._parent(path, follow=False, make=False) as (folder, name):
            os.unlink(name, dir_fd=folder)
            os.fsync(folder)

    @contextmanager
    def _reading(self, path: str) -> Iterator[FileIO]:
        """Raises _Absent for what is no file, which is not opened: that alone may do something, or never return."""
        with self._opened(self._followed(path), _PLACE) as place:
            if not stat.S_ISREG(os.fstat(place).st_mode):
                raise _Absent
            with open(f"/proc/self/fd/{place}", "rb", buffering=0) as file:
                yield file

    @contextmanager
    def _fresh(self, path: str, mode: int) -> Iterator[BufferedWriter]:
        """What is to come in its place, once all of it is on the medium."""
        with self._parent(path) as (folder, name):
            with suppress(FileNotFoundError):
                os.unlink(name + _FRESH, dir_fd=folder)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(name + _FRESH, flags, 0o600, dir_fd=folder), "wb") as file:
                yield file
                file.flush()
                self._dress(file.fileno(), folder, name, mode)
                os.fsync(file.fileno())
            os.rename(name + _FRESH, name, src_dir_fd=folder, dst_dir_fd=folder)
            os.fsync(folder)

    # --- inside ---------------------------------------------------------------------------------------------------

    @contextmanager
    def _parent(self, path: str, *, follow: bool = True, make: bool = True) -> Iterator[tuple[int, str]]:
        """The directory that holds the path, and its name there. With ``follow`` that of what a link leads to; one that
        leads nowhere is itself what is meant.
        """
        whole = path
        if follow:
            with suppress(_Absent):
                whole = self._followed(path, missing=True)
        folder, name = os.path.split(whole)
        place = self._made(folder) if make else self._followed(folder)
        with self._opened(place, _DIRECTORY) as opened:
            yield opened, name

    def _made(self, folder: str) -> str:
        """The directory without a link in its path; what is missing of it is made."""
        if folder in ("", "."):
            return folder
        with suppress(_Absent):
            return self._followed(folder)
        above, name = os.path.split(folder)
        place = self._made(above)
        with self._opened(place, _DIRECTORY) as within:
            os.mkdir(name, 0o755, dir_fd=within)
            os.fsync(within)
        return os.path.join(place, name)  # noqa: PTH118 - of another system

    def _followed(self, path: str, *, missing: bool = False) -> str:
        """The same place by a path without links. Raises _Absent; with ``missing`` the last name need not exist."""
        for _ in range(_MOST_LINKS):
            parts = [part for part in path.split("/") if part not in ("", ".")]
            for count in range(1, len(parts) + 1):
                before, here = "/".join(parts[: count - 1]), "/".join(parts[:count])
                try:
                    to = self._link(here)
                except _Absent:
                    if missing and count == len(parts):
                        return here
                    raise
                if to is not None:
                    rest = "/".join(parts[count:])
                    path = f"{to if to.startswith('/') else f'{before}/{to}'}/{rest}"
                    break
            else:
                return "/".join(parts)
        raise _Absent

    def _link(self, path: str) -> str | None:
        """What it names, when it is a link. No other part of the path may be one."""
        with self._opened(path, _PLACE) as place:
            return os.readlink("", dir_fd=place) if stat.S_ISLNK(os.fstat(place).st_mode) else None

    @contextmanager
    def _opened(self, path: str, flags: int) -> Iterator[int]:
        try:
            fd = openat2(self._root, path or ".", flags, _INSIDE)
        except OSError as error:
            if error.errno in _ABSENT:
                raise _Absent from error
            raise
        try:
            yield fd
        finally:
            os.close(fd)

    @staticmethod
    def _dress(fresh: int, folder: int, name: str, mode: int) -> None:
        """As the old file was."""
        try:
            old = os.open(name, _PLACE | os.O_CLOEXEC, dir_fd=folder)
        except FileNotFoundError:
            with _borne():
                os.fchmod(fresh, mode)
            return
        try:
            status = os.fstat(old)
            with _borne():
                for attribute in os.listxattr(f"/proc/self/fd/{old}"):
                    os.setxattr(fresh, attribute, os.getxattr(f"/proc/self/fd/{old}", attribute))
            for attribute in _OF_NTFS:
                with suppress(OSError):  # on no other file system
                    os.setxattr(fresh, attribute, os.getxattr(f"/proc/self/fd/{old}", attribute))
            with _borne():
                os.fchmod(fresh, stat.S_IMODE(status.st_mode))
            with _borne():  # at the end: what is somebody else's can be changed by nobody without more rights
                os.fchown(fresh, status.st_uid, status.st_gid)
        finally:
            os.close(old)


class _Absent(FileNotFoundError):
    """Nothing is there, or what cannot be reached from inside."""

    def __init__(self) -> None:
        super().__init__(errno.ENOENT, os.strerror(errno.ENOENT))


@contextmanager
def _borne() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _WITHOUT:
            raise
