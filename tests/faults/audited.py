"""Each system call of Python's own that the thread of the CACHE is about to make, one after the other.

pwrite and fsync are not among them: ``Stepping`` in ``classroom.py`` counts what is done with those.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

_CALLS: Final = {"open", "os.scandir", "os.mkdir", "os.remove", "os.rename", "os.truncate", "os.utime", "fcntl.flock"}
_watching: list[Callable[[], None]] = []


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching and event in _CALLS and threading.current_thread().name == "cache":
        _watching[-1]()


sys.addaudithook(_audit)  # it cannot be taken away again


@contextmanager
def before_each_call(seen: Callable[[int], None]) -> Iterator[list[int]]:
    """``seen`` gets the number of the call, in the thread that makes it; what it raises, the call raises."""
    count, seeing = [0], [False]

    def watch() -> None:
        if seeing[0]:  # what ``seen`` does itself
            return
        number, count[0] = count[0], count[0] + 1
        seeing[0] = True
        try:
            seen(number)
        finally:
            seeing[0] = False

    _watching.append(watch)
    try:
        yield count
    finally:
        _watching.remove(watch)
