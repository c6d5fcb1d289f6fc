"""A room that gets one image together: where each client is, and where its bytes came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Final

from msgspec import Struct

from simulator.ogcore.views import TraceView

_ORDER: Final = ("failed", "cancelled", "late", "left", "pending", "in-progress", "success")
"""Whoever needs somebody comes first."""
_LATE: Final = 20
"""So many percent behind the median."""
_WHOLE: Final = 100
_SOURCES: Final = ("multicast", "peers", "repository", "cache")
_PARTED: Final = "left"


class Seat(Struct, frozen=True):
    """``word`` is the state of the trace; ``late``, when the others are well ahead; ``left``, when it was done without
    the session in the end.
    """

    trace: TraceView
    word: str


def seats(traces: Sequence[TraceView]) -> list[Seat]:
    """Of one session. Those that need somebody first, then by name."""
    middle = median(_WHOLE if each.state == "success" else each.progress for each in traces) if traces else 0.0
    found = [Seat(each, _word(each, middle)) for each in traces]
    return sorted(found, key=lambda seat: (_ORDER.index(seat.word), len(seat.trace.client), seat.trace.client))


def shares(sources: Mapping[str, int]) -> list[tuple[int, str]]:
    """In percent, the largest first; what nothing came from is left out."""
    whole = sum(sources.get(name, 0) for name in _SOURCES)
    found = [(max(round(sources[name] / whole * 100), 1), name) for name in _SOURCES if sources.get(name, 0) > 0]
    return sorted(found, key=lambda share: -share[0])


def parting(left: str) -> str:
    """Why a session was left, without saying that it was: that is for the page to say, in its language."""
    return left.removeprefix(f"{_PARTED} the session").strip(" :")


def _word(trace: TraceView, middle: float) -> str:
    if trace.state in {"pending", "in-progress"} and trace.progress + _LATE <= middle:
        return "late"
    return "left" if trace.state == "success" and trace.left else trace.state
