"""Images of the CACHE that others can have: whole ones, with a ``.torrent`` beside them. Blocking."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from ogagent.source.room import IMAGES, lock
from ogagent.system import beneath

MOST: Final = 5
SIDECAR: Final = ".torrent"
LARGEST: Final = 4 << 20
"""Of a .torrent that is kept, in bytes: pieces of 1 MiB have 20 each."""
_IMAGE: Final = ".img"
_WRITABLE: Final = stat.S_IWGRP | stat.S_IWOTH


class Gift(NamedTuple):
    """An image by its canonical name. ``file`` is a descriptor by which nothing can be written; as long as it is open
    nobody removes the image.
    """

    name: str
    file: int
    torrent: bytes


def open_gifts(root: Path, first: Sequence[str], gifts: list[Gift], *, others: bool) -> None:
    """Those of ``first`` that are there, and with ``others`` the newest; ``MOST`` of them at most. Raises OSError."""
    names = dict.fromkeys((*first, *(_newest_first(root) if others else ())))
    for name in names:
        if len(gifts) == MOST:
            return
        with suppress(OSError):  # what is not there, or cannot be read, keeps no other back
            if gift := _opened(root, name):
                gifts.append(gift)


def close_gifts(gifts: Sequence[Gift]) -> None:
    for gift in gifts:
        os.close(gift.file)


def _newest_first(root: Path) -> list[str]:
    found: list[tuple[int, str]] = []
    with suppress(FileNotFoundError):
        with beneath.directory(root, *IMAGES) as images:
            folders = beneath.folders(images)
        for folder in ((), *((name,) for name in folders)):
            with suppress(OSError):
                found += islice(_images(root, folder), beneath.MOST - len(found))
    return [name for _, name in sorted(found, reverse=True)]


def _images(root: Path, folder: tuple[str, ...]) -> Iterator[tuple[int, str]]:
    """With the time at which each was used last."""
    with beneath.directory(root, *IMAGES, *folder) as within:
        for name in beneath.files(within):
            if name.endswith(_IMAGE) and beneath.is_file(within, name + SIDECAR):
                used = os.stat(name, dir_fd=within, follow_symlinks=False).st_mtime_ns
                yield used, "/".join((*folder, name.removesuffix(_IMAGE)))


def _opened(root: Path, name: str) -> Gift | None:
    """None for what somebody works on, what others than its owner may change, and what is too large."""
    *folder, last = name.split("/")
    with beneath.directory(root, *IMAGES, *folder) as within:
        torrent = beneath.read_file(within, last + _IMAGE + SIDECAR, LARGEST + 1)
        file = beneath.open_file(within, last + _IMAGE)
    if file is None:
        return None
    if torrent and len(torrent) <= LARGEST and _only_read(file) and lock(file, fcntl.LOCK_SH):
        return Gift(name, file, torrent)
    os.close(file)
    return None


def _only_read(file: int) -> bool:
    """By everybody but its owner, who is this agent."""
    status = os.fstat(file)
    return status.st_uid == os.geteuid() and not status.st_mode & _WRITABLE and bool(status.st_mode & stat.S_IROTH)
