"""How far the work on an image file has come, for whoever shows it."""

from __future__ import annotations

from collections.abc import Callable

Report = Callable[[str, int, int], None]
"""Hears what is being done, and how many bytes of how many that has come to."""


class Meter:
    def __init__(self, report: Report, what: str, total: int) -> None:
        self._report = report
        self._what = what
        self._total = total
        self._done = 0

    def add(self, data: bytes) -> None:
        self._done += len(data)
        self._report(self._what, self._done, self._total)
