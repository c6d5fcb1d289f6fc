"""The pieces of an image in a swarm: which are there, whose they are, and how long more of them are waited for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ogagent.errors import CrowdError, MulticastFailed, SessionNotJoined
from ogagent.model.units import MIB
from ogagent.source.ranges import Ranges

TURNS: Final = 3
"""Peers give in turns, of 15 s in libtorrent, to some at a time: others stall for as long."""
LEAST: Final = 4 * MIB
"""In so many turns, or it is so slow that the repository is asked, too."""


class Pieces:
    """Each of ``length`` bytes of an image of ``size``; ``there``: what this PC has had of it from the beginning."""

    def __init__(self, length: int, size: int, there: Ranges) -> None:
        self._length = length
        self._size = size
        self._there = there.copy()
        self._own: set[int] = set()

    def span(self, piece: int) -> tuple[int, int]:
        return piece * self._length, min((piece + 1) * self._length, self._size)

    def of(self, wanted: Ranges) -> Iterator[int]:
        """Those in which some of it lies."""
        for start, stop in wanted:
            yield from range(start // self._length, -(-stop // self._length))

    def filled(self, start: int, stop: int) -> list[int]:
        """So much has been put there by this PC itself: those that are whole by that."""
        pieces = [piece for piece in self.of(Ranges(start, stop)) if not self._is_whole(piece)]
        self._there.add(start, stop)
        whole = [piece for piece in pieces if self._is_whole(piece)]
        self._own.update(whole)
        return whole

    def came(self, piece: int) -> bool:
        """A peer has it. False when it is one that this PC has filled."""
        self._there.add(*self.span(piece))
        return piece not in self._own

    def _is_whole(self, piece: int) -> bool:
        start, stop = self.span(piece)
        return self._there.at(start, stop) == (True, stop)


class Patience:
    """With peers. Times in seconds, of one clock; ``now`` is when it begins."""

    def __init__(self, join_timeout_s: float, stall_s: float, turns: float, now: float) -> None:
        self._join_timeout_s = join_timeout_s
        self._stall_s = stall_s
        self._turns_s = turns * stall_s
        self._news = now
        self._hopeless: float | None = None
        self._come = 0
        """Since the last news."""
        self._joined = False
        self._over = False

    @property
    def until(self) -> float | None:
        """None: it has no end any more."""
        if self._over:
            return None
        if not self._joined:
            return self._news + self._join_timeout_s
        return min(self._news + self._turns_s, self._hopeless_at)

    @property
    def _hopeless_at(self) -> float:
        return float("inf") if self._hopeless is None else max(self._hopeless, self._news) + self._stall_s

    def came(self, now: float, count: int) -> None:
        """So many bytes of what is wanted."""
        self._come += count
        if not self._joined or self._come >= LEAST:
            self._news, self._come, self._joined = now, 0, True

    def outlook(self, now: float, *, hopeful: bool) -> None:
        self._hopeless = None if hopeful else now

    def end(self) -> CrowdError:
        """It is at its end: for this reason. Raises it when nothing has ever come."""
        if not self._joined:
            raise SessionNotJoined(f"no peer has given anything for {self._join_timeout_s:g} s")
        self._over = True
        if self._hopeless_at < self._news + self._turns_s:
            return MulticastFailed("no peer that can be reached has what is missing here")
        return MulticastFailed(f"peers have given {self._come / MIB:.0f} MiB in {self._turns_s:g} s")
