"""Files below a directory in which others may have written, opened so that nothing in there leads anywhere else.

Each name is a single component, looked up in the descriptor of the directory that holds it, with O_NOFOLLOW: on the way
there is no link and no ``..`` that could be followed, on any kernel; openat2(2) with RESOLVE_BENEATH would add nothing.
What is no file is not opened at all: opening alone may do something (a watchdog), or never return (a FIFO).
Blocking; everything raises OSError.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Final
from uuid import uuid4

_log: Final = logging.getLogger(__name__)

MOST: Final = 10_000
"""Entries of a directory that are looked at: whoever has been root on this machine may have left any number of them."""
_FRESH: Final = ".new"
_DIRECTORY: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@contextmanager
def directory(root: Path, *names: str, make: bool = False) -> Iterator[int]:
    fd = open_directory(root, *names, make=make)
    try:
        yield fd
    finally:
        os.close(fd)


def open_directory(root: Path, *names: str, make: bool = False) -> int:
    """``root/name/name``; with ``make`` what is not there below ``root`` is made. ``root`` itself is believed."""
    fd = os.open(root, _DIRECTORY)
    for name in names:
        try:
            if name in (".", "..") or "/" in name:
                raise NotADirectoryError(errno.ENOTDIR, "not a name", name)
            if make:
                with suppress(FileExistsError):
                    os.mkdir(name, dir_fd=fd)
            inner = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
        finally:
            os.close(fd)
        fd = inner
    return fd


def remove_folder(within: int, name: str) -> None:
    """With all that is in it, whoever has made that; nothing where there is no such directory.

    Nobody knows how deep it is: a folder of a folder in it is moved up into it first, which takes two descriptors.
    """
    try:
        folder = _taken(within, name)
    except FileNotFoundError:
        return
    try:
        for each, is_folder in _until_empty(folder):
            if is_folder:
                _move_up(folder, each)
                os.rmdir(each, dir_fd=folder)
            else:
                os.unlink(each, dir_fd=folder)
    finally:
        os.close(folder)
    os.rmdir(name, dir_fd=within)


def _move_up(folder: int, name: str) -> None:
    """The folders in that folder of ``folder``; what else is in it is removed."""
    inner = _taken(folder, name)
    try:
        for each, is_folder in _until_empty(inner):
            if is_folder:
                take(inner, each)
                os.rename(each, uuid4().hex, src_dir_fd=inner, dst_dir_fd=folder)
            else:
                os.unlink(each, dir_fd=inner)
    finally:
        os.close(inner)


def _until_empty(folder: int) -> Iterator[tuple[str, bool]]:
    """What is in it, and whether that is a directory, for whoever takes each away, or raises."""
    while found := _some(folder):
        yield from found


def _some(folder: int) -> list[tuple[str, bool]]:
    with os.scandir(folder) as entries:
        return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in islice(entries, MOST)]


def _taken(within: int, name: str) -> int:
    take(within, name)
    return os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=within)


def take(within: int, name: str) -> None:
    """From somebody it was given to: where this process has not every right, it could not even be opened."""
    if os.stat(name, dir_fd=within, follow_symlinks=False).st_uid != os.geteuid():
        os.chown(name, os.geteuid(), os.getegid(), dir_fd=within, follow_symlinks=False)


def make_folder(within: int, name: str) -> int:
    """A new one, that nobody else looks into; its descriptor."""
    os.mkdir(name, 0o700, dir_fd=within)
    return os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=within)


def files(within: int) -> list[str]:
    """Among the first ``MOST`` entries."""
    with os.scandir(within) as entries:
        return [entry.name for entry in _first(entries, within) if entry.is_file(follow_symlinks=False)]


def folders(within: int) -> list[str]:
    """Among the first ``MOST`` entries."""
    with os.scandir(within) as entries:
        return [entry.name for entry in _first(entries, within) if entry.is_dir(follow_symlinks=False)]


def _first(entries: Iterator[os.DirEntry[str]], within: int) -> Iterator[os.DirEntry[str]]:
    yield from islice(entries, MOST)
    if next(entries, None) is not None:
        path = Path(f"/proc/self/fd/{within}").readlink()
        _log.warning("%s has more than %d entries: the others are not seen", path, MOST)


def is_file(within: int, name: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(name, dir_fd=within, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def open_file(within: int, name: str, flags: int = os.O_RDONLY) -> int | None:
    """None when nothing has the name, or something that is no file."""
    if not is_file(within, name):
        return None
    try:
        fd = os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=within)
    except FileNotFoundError:
        return None
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)  # the name stands for something else since it was looked at
    return None


def create_file(within: int, name: str) -> int:
    """A new one, in place of whatever has the name, unless that is a directory."""
    discard(within, name)
    return os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644, dir_fd=within)


def read_file(within: int, name: str, limit: int) -> bytes | None:
    """Its first ``limit`` bytes; None as with ``open_file``."""
    fd = open_file(within, name)
    if fd is None:
        return None
    with open(fd, "rb") as file:
        return file.read(limit)


def replace_file(within: int, name: str, content: bytes, *, lasting: bool = False) -> None:
    """Whoever looks finds what was there before, or all of ``content``; ``lasting``: also after a power cut."""
    with open(create_file(within, name + _FRESH), "wb") as file:
        file.write(content)
        if lasting:
            file.flush()
            os.fsync(file.fileno())
    os.rename(name + _FRESH, name, src_dir_fd=within, dst_dir_fd=within)
    if lasting:
        os.fsync(within)


def discard(within: int, name: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=within)
