"""Which bytes of a file are there."""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import pairwise
from typing import Final, Self

from blake3 import blake3

_DIGEST: Final = 32
_BOUND: Final = 8


class Ranges:
    """Stretches of bytes that do not touch each other. ``bounds``: where each begins and ends, rising."""

    def __init__(self, *bounds: int) -> None:
        self._bounds = list(bounds)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._bounds[::2], self._bounds[1::2], strict=True)

    def copy(self) -> Ranges:
        return Ranges(*self._bounds)

    @property
    def total(self) -> int:
        return sum(stop - start for start, stop in self)

    def at(self, position: int, stop: int) -> tuple[bool, int]:
        """Whether the byte at ``position`` is there, and up to where, but ``stop`` at most, that is so."""
        place = bisect_right(self._bounds, position)
        return place % 2 == 1, min([*self._bounds[place : place + 1], stop])

    def add(self, start: int, stop: int) -> None:
        self._put(start, stop, there=True)

    def remove(self, start: int, stop: int) -> bool:
        """Whether any of it was there."""
        there, end = self.at(start, stop)
        self._put(start, stop, there=False)
        return start < stop and (there or end < stop)

    def missing(self, size: int) -> Ranges:
        """The rest of the bytes up to ``size``."""
        bounds = [0, *self._bounds, size]
        return Ranges(*bounds[2 * (bounds[1] == 0) : len(bounds) - 2 * (bounds[-2] == size)])

    def _put(self, start: int, stop: int, *, there: bool) -> None:
        if start < stop:
            first, last = bisect_left(self._bounds, start), bisect_right(self._bounds, stop)
            before, after = [start] * (first % 2 != there), [stop] * (last % 2 != there)
            self._bounds[first:last] = before + after

    def encode(self) -> bytes:
        """Little-endian u64 for each bound, then BLAKE3 of these."""
        packed = struct.pack(f"<{len(self._bounds)}Q", *self._bounds)
        return packed + blake3(packed).digest()

    @staticmethod
    def longest(count: int) -> int:
        """Bytes that ``encode`` makes of so many stretches."""
        return 2 * _BOUND * count + _DIGEST

    @classmethod
    def decode(cls, data: bytes, size: int) -> Self:
        """Of a file of ``size`` bytes. Empty for what ``encode`` has not made, or made of a longer file."""
        packed, digest = data[:-_DIGEST], data[-_DIGEST:]
        if len(packed) % (2 * _BOUND) or blake3(packed).digest() != digest:
            return cls()
        bounds = struct.unpack(f"<{len(packed) // _BOUND}Q", packed)
        rising = all(one < other for one, other in pairwise(bounds))
        return cls(*bounds) if rising and bounds and bounds[-1] <= size else cls()
