"""How many threads a restore has, and the memory that they work in."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ogagent.model.units import MIB
from ogagent.system.memory import page_aligned

_FEWEST: Final = 3
"""A stream is decoded, proven and written at once; and one thread of a few always waits for the disk."""
_MOST: Final = 16
_ROOM: Final = 48 * MIB


def thread_count() -> int:
    """One for each core that this process may use, within reason."""
    return max(_FEWEST, min(len(os.sched_getaffinity(0)), _MOST))


class Buffers:
    """Page-aligned memory for whoever needs some for a moment, used again and again.

    All of it together stays within ``_ROOM``: a thread waits for others to have done with theirs. When nobody else has
    any, it gets what it asks for.
    """

    def __init__(self) -> None:
        self._free: list[memoryview] = []
        self._taken = 0
        self._changed = threading.Condition()

    @contextmanager
    def one(self, size: int) -> Iterator[memoryview]:
        buffer = self._take(size)
        try:
            yield buffer[:size]
        finally:
            with self._changed:
                self._taken -= size
                self._free.append(buffer)
                self._changed.notify_all()

    def _take(self, size: int) -> memoryview:
        with self._changed:
            while self._taken and self._taken + size > _ROOM:
                self._changed.wait()
            self._taken += size
            buffer = self._free.pop() if self._free else memoryview(b"")
        return buffer if len(buffer) >= size else page_aligned(size)
