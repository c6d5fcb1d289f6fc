"""How long a disk takes: what a file in memory never shows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from msgspec import Struct


class Kind(Struct, frozen=True):
    """``at_once`` requests are served at the same time, each with its ``latency_s``, and ``seek_s`` where it does not
    begin where the one before it ended.
    """

    at_once: int
    latency_s: float
    seek_s: float
    bytes_per_s: float


KINDS: Final = {
    "ssd": Kind(at_once=32, latency_s=0.0001, seek_s=0.0, bytes_per_s=2e9),
    "hdd": Kind(at_once=1, latency_s=0.0, seek_s=0.008, bytes_per_s=150e6),
}


class Medium:
    """Of those who wait, whose place comes next, in the direction of rising places, is served next, as by any disk or
    kernel. ``asked`` counts requests, ``seeks`` how often the head had to move.
    """

    def __init__(self, kind: Kind, sleep: Callable[[float], None] = time.sleep) -> None:
        self._kind = kind
        self._sleep = sleep
        self._waiting: list[int] = []
        self._busy = 0
        self._head = 0
        self._changed = threading.Condition()
        self.asked = 0
        self.seeks = 0

    @contextmanager
    def serving(self, offset: int, length: int) -> Iterator[None]:
        """Blocking: the turn, then the time that it takes, then the block, in which the work itself is done."""
        moved = self._turn(offset, length)
        try:
            self._sleep(self._kind.latency_s + moved * self._kind.seek_s + length / self._kind.bytes_per_s)
            yield
        finally:
            with self._changed:
                self._busy -= 1
                self._changed.notify_all()

    def flush(self) -> None:
        """What was said to be done is; that it is so takes a turn of the plate."""
        self._sleep(self._kind.latency_s + self._kind.seek_s)

    def _turn(self, offset: int, length: int) -> bool:
        """Whether the head has to move."""
        with self._changed:
            self._waiting.append(offset)
            self.asked += 1
            while self._busy == self._kind.at_once or self._next() != offset:
                self._changed.wait()
            self._waiting.remove(offset)
            self._busy += 1
            moved = offset != self._head
            self._head = offset + length
            self.seeks += moved
            self._changed.notify_all()
            return moved

    def _next(self) -> int:
        ahead = [offset for offset in self._waiting if offset >= self._head]
        return min(ahead or self._waiting)
