"""Room in the CACHE: how much there is, and which images go to make some. Blocking; raises OSError and CacheFull."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from ogagent.errors import CacheFull
from ogagent.model.units import MIB, format_bytes
from ogagent.system import beneath

IMAGES: Final = ("opt", "opengnsys", "images")
SIDECARS: Final = (".index", ".index.sig", ".full.sum", ".sum", ".info", ".torrent")
PARTIAL: Final = ".partial"
MAP: Final = ".map"
LENT: Final = ".lent"
"""A directory in which an image that is not whole is lent to somebody else."""
SPARE: Final = 16 * MIB
"""Left free, for the file system's own needs and what lies beside an image."""


class _Old(NamedTuple):
    """In the order in which they go: what is of no use any more, then what was used the longest ago."""

    useful: bool
    used_ns: int
    folder: tuple[str, ...]
    name: str
    size: int


class Room:
    """For the image ``name`` in ``folder``: what has this name now is of no use any more, as is what jobs that were
    killed have left. Without ``evict`` nothing else is removed.
    """

    def __init__(self, root: Path, folder: tuple[str, ...], name: str, *, evict: bool) -> None:
        self._root = root
        self._superseded = (*folder, name)
        self._evict = evict

    @property
    def free(self) -> int:
        status = os.statvfs(self._root)
        return status.f_bavail * status.f_frsize

    def expect(self, needed: int | None) -> None:
        """Raises CacheFull when so many bytes do not fit, whatever is removed. Nothing is.

        None: nobody knows how many they are. So nothing that is of use goes for them, perhaps in vain.
        """
        if needed is None:
            self._evict = False
            return
        possible = self.free + sum(old.size for old in self._removable())
        if possible < needed + SPARE:
            raise _full(possible, needed)

    def make(self, needed: int) -> None:
        self._make(needed + SPARE, needed)

    def make_more(self, needed: int) -> None:
        """For a file system that has less than it says."""
        self._make(self.free + needed, needed)

    def _make(self, free: int, needed: int) -> None:
        if self.free >= free:
            return
        stays: PermissionError | None = None
        for old in self._removable():
            try:
                with beneath.directory(self._root, *IMAGES, *old.folder) as folder:
                    remove(folder, old.name)
            except PermissionError as error:  # as with chattr +i: another one may still go
                stays = stays or error
            if self.free >= free:
                return
        raise stays or _full(self.free, needed)

    def _removable(self) -> list[_Old]:
        with beneath.directory(self._root, *IMAGES) as images:
            folders = beneath.folders(images)
        found = (old for folder in ((), *((name,) for name in folders)) for old in self._old(folder))
        return sorted(islice((old for old in found if self._evict or not old.useful), beneath.MOST))

    def _old(self, folder: tuple[str, ...]) -> Iterator[_Old]:
        with beneath.directory(self._root, *IMAGES, *folder) as within:
            for name in beneath.files(within):
                if not name.endswith((".img", PARTIAL)) or (fd := beneath.open_file(within, name)) is None:
                    continue
                try:
                    if lock(fd, fcntl.LOCK_EX):
                        superseded = (*folder, name) == self._superseded
                        left_over = name.endswith(PARTIAL) and not beneath.is_file(within, name + MAP)
                        status = os.fstat(fd)
                        useful = not superseded and not left_over
                        yield _Old(useful, status.st_atime_ns, folder, name, status.st_blocks * 512)
                finally:
                    os.close(fd)


def remove(folder: int, name: str) -> None:
    """An image with all that lies beside it, unless it is in use."""
    fd = beneath.open_file(folder, name)
    if fd is None:
        return
    try:
        if lock(fd, fcntl.LOCK_EX):
            for suffix in (*SIDECARS, MAP, ""):
                beneath.discard(folder, name + suffix)
            beneath.remove_folder(folder, name + LENT)
    finally:
        os.close(fd)


def lock(fd: int, how: int) -> bool:
    """False when somebody else has it."""
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _full(room: int, needed: int) -> CacheFull:
    return CacheFull(
        f"the CACHE has room for {format_bytes(max(room - SPARE, 0))}, the image needs {format_bytes(needed)}",
        hint="make the CACHE larger, or remove images from it",
    )
