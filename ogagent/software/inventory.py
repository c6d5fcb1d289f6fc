"""Which system lies on a partition, or runs here, and what is installed in it. Nothing is changed."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from ogagent.errors import PartitionNotReadable
from ogagent.model.software import Software
from ogagent.software.linux import read_linux
from ogagent.software.windows import open_software_hive, read_windows
from ogagent.system.aside import aside
from ogagent.system.mounts import read_only
from ogagent.system.tree import TooLarge, Tree

T = TypeVar("T")

_NO_SYSTEM: Final = Software(notes=("no system was found",))
_PATIENCE_S: Final = 120.0


class _Stopped(Exception):
    pass


async def software_on(
    device: str, filesystem: str, place: Path, compare: Callable[[int], None] = lambda _: None
) -> Software:
    """What a partition holds; the arguments, and what is raised, as for ``mounts.read_only``; ToolFailed, too."""
    async with read_only(device, filesystem, place, compare) as root:
        return await software_below(root, device)


async def software_here(root: Path = Path("/")) -> Software:
    """What this system holds."""
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return await software_below(fd, str(root))
    finally:
        os.close(fd)


async def software_below(root: int, name: str) -> Software:
    """``root``: a descriptor of the root directory; ``name`` of it, for people. Without a system it is only a note.

    Raises PartitionNotReadable, ToolMissing, ToolFailed.
    """
    linux = await _read(root, name, read_linux, lambda _: None)
    if linux is not None:
        return linux
    hive = await _read(root, name, open_software_hive, lambda late: None if late is None else os.close(late))
    if hive is None:
        return _NO_SYSTEM
    try:
        return await read_windows(hive)
    finally:
        os.close(hive)


async def _read(root: int, name: str, reader: Callable[[Tree], T], late: Callable[[T], object]) -> T:
    """In a thread, with a descriptor of its own: it may be left behind."""
    stop = threading.Event()
    own = os.dup(root)

    def work() -> T:
        tree = Tree(own, lambda: _go_on(stop))
        try:
            return reader(tree)
        finally:
            tree.close()

    try:
        return await aside(_PATIENCE_S, work, hurry=stop.set, late=late)
    except TimeoutError:
        raise PartitionNotReadable(f"{name} took longer than {_PATIENCE_S:g} s to be read") from None
    except TooLarge as error:
        raise PartitionNotReadable(f"{name} cannot be read: {error}") from error
    except OSError as error:
        raise PartitionNotReadable(f"{name} cannot be read: {error.strerror}") from error


def _go_on(stop: threading.Event) -> None:
    if stop.is_set():
        raise _Stopped
