"""What has come of a stream, as far as it is wanted, until somebody reads it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from ogagent.source.ranges import Ranges


class Window:
    """``held`` is how many bytes wait in it."""

    def __init__(self, wanted: Ranges) -> None:
        self._wanted = wanted
        self._starts: list[int] = []
        self._chunks: list[memoryview] = []
        self._there = Ranges()
        self.held = 0

    def add(self, position: int, chunk: bytes) -> Iterator[tuple[int, int]]:
        """The stream's bytes from ``position`` on, which is where the last ones ended. Answers which of them stay."""
        end, whole = position + len(chunk), memoryview(chunk)
        start = position
        while start < end:
            wanted, stop = self._wanted.at(start, end)
            if wanted:
                self._starts.append(start)
                self._chunks.append(whole[start - position : stop - position])
                self._there.add(start, stop)
                self.held += stop - start
                yield start, stop
            start = stop

    def covers(self, start: int, stop: int) -> bool:
        return self._there.at(start, stop) == (True, stop)

    def take(self, start: int, stop: int) -> bytes:
        """What is covered; then it is not there any more."""
        found = bytearray()
        while start + len(found) < stop:
            found += self._cut(start + len(found), stop)
        self._there.remove(start, stop)
        self.held -= stop - start
        return bytes(found)

    def _cut(self, start: int, stop: int) -> memoryview:
        """Out of the chunk in which ``start`` lies; what is left of it stays."""
        place = bisect_right(self._starts, start) - 1
        first, chunk = self._starts[place], self._chunks[place]
        cut = chunk[start - first : stop - first]
        left = [(first, chunk[: start - first]), (start + len(cut), chunk[start - first + len(cut) :])]
        left = [(at, rest) for at, rest in left if rest]
        self._starts[place : place + 1] = [at for at, _ in left]
        self._chunks[place : place + 1] = [rest for _, rest in left]
        return cut
