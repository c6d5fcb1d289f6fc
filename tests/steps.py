"""What slow tests do, machine by machine, and how long each step takes: told at the end of a run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

Step = tuple[str, str, float]
"""A machine, what it did, and the seconds that this took."""

_LEFT_OVER: Final = "not finished"


class Steps:
    def __init__(self, taken: list[Step]) -> None:
        """``taken`` is added to."""
        self._taken = taken

    @contextmanager
    def step(self, machine: str, what: str) -> Iterator[None]:
        """Also one that fails is told."""
        began, ended = time.monotonic(), f"{what}: {_LEFT_OVER}"
        try:
            yield
            ended = what
        finally:
            self._taken.append((machine, ended, time.monotonic() - began))


def table(taken: list[Step]) -> list[str]:
    """In the order in which they ended."""
    rows = [("machine", "what", "seconds"), *((machine, what, f"{seconds:.0f}") for machine, what, seconds in taken)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [f"{machine:{widths[0]}}  {what:{widths[1]}}  {seconds:>{widths[2]}}" for machine, what, seconds in rows]
