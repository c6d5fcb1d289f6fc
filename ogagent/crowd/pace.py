"""What this PC gets of what is sent to many at once, against what others get of it: who gets less makes them wait.

Nobody sees that in his own numbers: the sender waits for the slowest, so that all get the image at the same pace. But
they do not get the same packets: what one of them has lost is sent to all of them again.
"""

from __future__ import annotations

import statistics
from collections import deque
from typing import Final, NamedTuple

_LONG_S: Final = 1.5
_MANY: Final = 1000
"""Packets of others, in at least so long: over less the moment at which each of them was counted would decide."""
_LOOK_S: Final = 3.0
"""A word that has waited on a busy machine is compared with what has come since; not all of so many seconds have."""
_KEPT: Final = 64
_MOST: Final = 256
"""Others, of whom anybody can say that he is one."""


class _Count(NamedTuple):
    at: float
    theirs: int
    own: int


class _Other:
    def __init__(self) -> None:
        self.counts: deque[_Count] = deque(maxlen=_KEPT)
        self.share: float | None = None

    def add(self, count: _Count) -> None:
        counts = self.counts
        if counts and count.theirs < counts[-1].theirs:
            counts.clear()  # its machine has been started anew
        counts.append(count)
        while len(counts) > 2 and count.at - counts[1].at >= _LOOK_S and _tells(counts[1], count):
            counts.popleft()
        shares = [(count.own - first.own) / (count.theirs - first.theirs) for first in counts if _tells(first, count)]
        self.share = max(shares, default=None)


class Pace:
    """Of this PC, in packets received."""

    def __init__(self) -> None:
        self._others: dict[str, _Other] = {}

    def heard(self, other: str, theirs: int, own: int, at: float) -> None:
        """One of the others has received so many, this PC at that time so many; ``at`` in seconds."""
        known = self._others.pop(other, None) or _Other()
        known.add(_Count(at, theirs, own))
        self._others[other] = known
        if len(self._others) > _MOST:
            del self._others[next(iter(self._others))]

    @property
    def share(self) -> float | None:
        """Of what others have got lately this PC has got so much; of the half of them that has got least.

        Where that depends on when one began to count, the most of it. None before enough is known.
        """
        shares = [other.share for other in self._others.values() if other.share is not None]
        return statistics.median_high(shares) if shares else None


def _tells(first: _Count, last: _Count) -> bool:
    return last.at - first.at >= _LONG_S and last.theirs - first.theirs >= _MANY
