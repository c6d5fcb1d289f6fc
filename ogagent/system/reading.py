"""A look at a disk, in a thread that may be left behind with it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Final, TypeVar

from ogagent.errors import PartitionNotReadable
from ogagent.system.aside import aside
from ogagent.system.tree import TooLarge, Tree

T = TypeVar("T")

_PATIENCE_S: Final = 120.0
_HINT: Final = "look at the kernel log (dmesg)"


class _Stopped(Exception):
    pass


async def read_tree(
    root: int, name: str, reader: Callable[[Tree], T], late: Callable[[T], object] = lambda _: None
) -> T:
    """What ``reader`` makes of it. ``root``: a descriptor of the root directory; ``name`` of it, for people.

    ``late`` gets what comes when nobody waits any more. Raises PartitionNotReadable.
    """
    stop = threading.Event()
    own = os.dup(root)

    def work() -> T:
        tree = Tree(own, lambda: _go_on(stop))
        try:
            return reader(tree)
        finally:
            tree.close()

    try:
        return await aside(_PATIENCE_S, work, interrupt=stop.set, late=late)
    except TimeoutError:
        raise PartitionNotReadable(f"{name} took longer than {_PATIENCE_S:g} s to be read") from None
    except TooLarge as error:
        raise PartitionNotReadable(f"{name} cannot be read: {error}") from error
    except OSError as error:
        raise PartitionNotReadable(f"{name} cannot be read: {error.strerror}") from error


async def read_device(
    device: str,
    reader: Callable[[], T],
    *,
    patience_s: float = 30.0,
    interrupt: Callable[[], None] = lambda: None,
    late: Callable[[T], object] = lambda _: None,
) -> T:
    """What ``reader`` finds there; all that it needs is its own. ``patience_s``, ``interrupt`` and ``late`` as for
    ``aside``.

    Raises PartitionNotReadable when the disk does not answer, and what ``reader`` raises.
    """
    try:
        return await aside(patience_s, reader, interrupt=interrupt, late=late)
    except TimeoutError:
        raise PartitionNotReadable(f"{device} does not answer", hint=_HINT) from None


def _go_on(stop: threading.Event) -> None:
    if stop.is_set():
        raise _Stopped
