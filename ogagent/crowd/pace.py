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
_KEPT: Final = 64
_MOST: Final = 256
"""Others, of whom anybody can say that he is one."""


class _Count(NamedTuple):
    at: float
    theirs: int
    own: int


class Pace:
    """Of this PC, in packets received."""

    def __init__(self) -> None:
        self._others: dict[str, deque[_Count]] = {}

    def heard(self, other: str, theirs: int, own: int, at: float) -> None:
        """One of the others has received so many, this PC at that time so many; ``at`` in seconds."""
        counts = self._others.pop(other, None) or deque(maxlen=_KEPT)
        if counts and theirs < counts[-1].theirs:
            counts.clear()  # its machine has been started anew
        counts.append(_Count(at, theirs, own))
        while len(counts) > 2 and _tells(counts[1], counts[-1]):
            counts.popleft()
        self._others[other] = counts
        if len(self._others) > _MOST:
            del self._others[next(iter(self._others))]

    @property
    def share(self) -> float | None:
        """Of what others have got lately this PC has got so much; of the half of them that has got least.

        None before enough is known.
        """
        spans = [(counts[0], counts[-1]) for counts in self._others.values() if _tells(counts[0], counts[-1])]
        shares = [(last.own - first.own) / (last.theirs - first.theirs) for first, last in spans]
        return statistics.median_high(shares) if shares else None


def _tells(first: _Count, last: _Count) -> bool:
    return last.at - first.at >= _LONG_S and last.theirs - first.theirs >= _MANY
