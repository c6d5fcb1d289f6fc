"""What was aimed at, of rows in which the links set the pace."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from simulator.bench.aims import Aim
from simulator.bench.crowd.cases import Case, Method
from simulator.bench.crowd.room import SLOWER, Row
from simulator.bench.crowd.table import is_void
from simulator.tree import MIB

_PACE: Final[Mapping[Method, float]] = {"udpcast": 1.1, "uftp": 1.1, "p2p": 1.7}
_COPIES: Final[Mapping[Method, float]] = {"udpcast": 1.1, "uftp": 1.1, "p2p": 2.0}
_AGENT_MIB: Final = 120
_ENGINE_MIB: Final = 35


def aims(rows: Sequence[Row], image: int) -> list[Aim]:
    """The first one was alone. ``image`` in bytes."""
    measured = {row.case: row for row in rows if row.seconds and not is_void(row) and not row.case.reckoned}
    if rows[0].case not in measured:
        return []
    alone_s = statistics.median(rows[0].seconds)
    crowds = [row for row in measured.values() if row.case.method in _PACE]
    found = [aim for row in crowds for aim in _of(row, measured, alone_s, image)]
    if crowds:
        found.append(Aim("memory of the agent", max(row.agent_rss for row in crowds) / MIB, _AGENT_MIB, "MiB"))
        found.append(Aim("memory of an engine", max(row.engine_rss for row in crowds) / MIB, _ENGINE_MIB, "MiB"))
    return found


def _of(row: Row, measured: Mapping[Case, Row], alone_s: float, image: int) -> Iterator[Aim]:
    name, method = row.case.name, row.case.method
    untroubled = measured.get(Case(method, row.case.clients))
    match row.case.trouble:
        case "none":
            yield Aim(f"{name}, last client against one alone", row.seconds[-1] / alone_s, _PACE[method])
            yield Aim(f"{name}, copies that the repository sends", row.sent / image, _COPIES[method])
            yield Aim(f"{name}, of the image by Range at most", 100 * max(row.ranges) / image, 2.0, "%")
        case "slow":
            if row.odd_s:
                yield Aim(f"{name}, itself, against its link", row.odd_s / (SLOWER * alone_s), 1.1)
            if untroubled:
                yield Aim(f"{name}, the others against without", row.seconds[-1] / untroubled.seconds[-1], 1.02)
        case "dead":
            if untroubled:
                yield Aim(f"{name}, the others later by", row.seconds[-1] - untroubled.seconds[-1], 1, "s")
        case "late":
            if row.odd_s:
                yield Aim(f"{name}, itself, against one alone", row.odd_s / alone_s, 1.6)
