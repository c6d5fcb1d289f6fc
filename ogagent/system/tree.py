"""The files of a system that is not running, or not to be believed: a directory is its root, and nothing in there leads
out of it. A link means what it would mean to that system. Blocking.

What is no file is not opened: opening alone may do something (a watchdog), or never return (a FIFO).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

from ogagent.system.kernel_calls import RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, openat2

_INSIDE: Final = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS
_MOST_NAMES: Final = 50_000
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY
_ABSENT: Final = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EACCES, errno.EXDEV)


class TooLarge(Exception):
    """``path`` has more bytes, or more names in it, than anybody wants."""

    def __init__(self, path: str, limit: str) -> None:
        super().__init__(f"/{path} has more than {limit}")


class Tree:
    """``go_on`` is called before each look, and may raise. Paths are relative to the root; all raise OSError when the
    disk cannot be read, and a path that leads nowhere, or to something else than what was asked for, is None or empty.
    """

    def __init__(self, root: int, go_on: Callable[[], None] = lambda: None) -> None:
        self._root = root
        self.go_on = go_on

    def below(self, path: str) -> Tree | None:
        """The directory as a root of its own, with a descriptor that ``close`` gives back."""
        directory = self._opened(path, _DIRECTORY)
        return None if directory is None else Tree(directory, self.go_on)

    def close(self) -> None:
        os.close(self._root)

    def open_file(self, path: str) -> int | None:
        place = self._opened(path, os.O_PATH)
        if place is None:
            return None
        try:
            if not stat.S_ISREG(os.fstat(place).st_mode):
                return None
            return os.open(f"/proc/self/fd/{place}", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            os.close(place)

    def read(self, path: str, limit: int) -> bytes | None:
        """All of a file. Raises TooLarge."""
        fd = self.open_file(path)
        if fd is None:
            return None
        with open(fd, "rb", buffering=0) as file:
            content = bytearray()
            while piece := file.read(min(1 << 20, limit + 1 - len(content))):
                self.go_on()
                content += piece
                if len(content) > limit:
                    raise TooLarge(path, f"{limit} bytes")
        return bytes(content)

    def names(self, path: str) -> list[str]:
        """What a directory holds, sorted. Raises TooLarge."""
        directory = self._opened(path, _DIRECTORY)
        if directory is None:
            return []
        try:
            with os.scandir(directory) as entries:
                found = [entry.name for entry in islice(self._each(entries), _MOST_NAMES + 1)]
        finally:
            os.close(directory)
        if len(found) > _MOST_NAMES:
            raise TooLarge(path, f"{_MOST_NAMES} entries")
        return sorted(found)

    def find(self, *names: str) -> str | None:
        """The path with these names whatever their case: Windows knows no other, its file systems do here."""
        path = ""
        for name in names:
            found = next((each for each in self.names(path or ".") if each.lower() == name.lower()), None)
            if found is None:
                return None
            path = f"{path}/{found}" if path else found
        return path

    def _each(self, entries: Iterator[os.DirEntry[str]]) -> Iterator[os.DirEntry[str]]:
        for entry in entries:
            self.go_on()
            yield entry

    def _opened(self, path: str, flags: int) -> int | None:
        self.go_on()
        try:
            return openat2(self._root, path, flags, _INSIDE)
        except OSError as error:
            if error.errno in _ABSENT:
                return None
            raise
