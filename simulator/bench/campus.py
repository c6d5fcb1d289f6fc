"""``ogsim bench campus``: what many rooms need, reckoned from what one room was measured to need.

Nothing is run. A deployment ends when the slowest of these has: the links of the PCs, the way into the rooms, the links
of the repositories. What each has to carry follows from the method; how much of a link a method uses, and how many
copies of the image its sender gives, are those of ``ogsim bench crowd``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace
from rich.console import Console

from simulator.bench.crowd.cases import METHODS, Method
from simulator.bench.table import markdown
from simulator.repository.crowd.tracker import MOST_PEERS

_ANNOUNCED_EACH_S: Final = 15.0
"""By each peer, as our tracker tells it; and once at the start and once at the end (BEP 3)."""
_ANNOUNCED_ONCE: Final = 2
_OVER_THE_BEST: Final = 1.1
"""So much longer than in one room alone it may take, when repositories are counted."""
_GIGABIT: Final = 10**9


class Manner(Struct, frozen=True):
    """Of a method, in one room of four. ``pace``: its time against that of one client alone by unicast; ``copies`` of
    the image leave the sender. Each doubling of those who take part adds ``slower`` to the one, ``more`` to the other.
    """

    pace: float
    slower: float
    copies: float
    more: float


MANNERS: Final[Mapping[Method, Manner]] = {
    "unicast": Manner(pace=1.0, slower=0.0, copies=4.0, more=0.0),
    "udpcast": Manner(pace=1.14, slower=0.04, copies=1.11, more=0.0),
    "uftp": Manner(pace=1.12, slower=0.017, copies=1.05, more=0.0),
    "p2p": Manner(pace=1.22, slower=0.15, copies=1.21, more=0.147),
}
"""From the rows of ``crowd-measured.json`` beside this file, of 4 to 32. Beyond that it is believed, not known."""
_EFFICIENCY: Final = 0.95
"""Of a link: what one client alone gets of it, against its speed."""
_MEASURED: Final = 4


class Campus(Struct, frozen=True, kw_only=True):
    """Speeds in bits a second, ``image`` in bytes. ``uplink`` is that of each room, ``server`` that of a repository.

    ``near``: peers are told of peers in their own room first, which our tracker does not. ``routed``: multicast crosses
    the campus, and one session is for all rooms.
    """

    rooms: int
    pcs: int
    image: int
    link: float = _GIGABIT
    uplink: float = _GIGABIT
    server: float = 10 * _GIGABIT
    repositories: int = 1
    near: bool = False
    routed: bool = False


class Need(Struct, frozen=True, kw_only=True):
    """``sent`` by all repositories, and ``into_room`` through the uplink of one room, in bytes; ``bound`` by which of
    them it takes so long. ``announced`` to all ``trackers``, a second.
    """

    seconds: float
    sent: int
    into_room: int
    announced: float
    trackers: int
    bound: str


def reckon(method: Method, campus: Campus) -> Need:
    manner = MANNERS[method]
    together = _together(method, campus)
    copies = _copies_into_room(method, campus)
    sent = _sent(method, campus) * campus.image
    times = {
        "the PCs' links": _wire_s(campus.image, campus.link) * _pace(manner, together),
        "the rooms' uplinks": _wire_s(copies * campus.image, campus.uplink),
        "the repositories' links": _wire_s(sent / campus.repositories, campus.server),
    }
    bound = max(times, key=lambda name: times[name])
    seconds = times[bound]
    peers = campus.rooms * campus.pcs if method == "p2p" else 0
    return Need(
        seconds=seconds,
        sent=round(sent),
        into_room=round(copies * campus.image),
        announced=peers * (1 / _ANNOUNCED_EACH_S + _ANNOUNCED_ONCE / seconds),
        trackers=math.ceil(peers / MOST_PEERS),
        bound=bound,
    )


def repositories_for(method: Method, campus: Campus) -> int:
    """So many that all rooms take hardly longer than one of them alone."""
    one = replace(campus, rooms=1, repositories=1)
    aim = reckon(method, one).seconds * _OVER_THE_BEST
    return max(math.ceil(_wire_s(reckon(method, campus).sent, campus.server) / aim), 1)


def _together(method: Method, campus: Campus) -> int:
    """So many are in one session."""
    everywhere = campus.routed if method in ("udpcast", "uftp") else not campus.near
    return campus.pcs * campus.rooms if everywhere else campus.pcs


def _doublings(together: int) -> float:
    return math.log2(max(together, _MEASURED) / _MEASURED)


def _pace(manner: Manner, together: int) -> float:
    return manner.pace + manner.slower * _doublings(together) if together > 1 else 1.0


def _copies(manner: Manner, together: int) -> float:
    return manner.copies + manner.more * _doublings(together)


def _copies_into_room(method: Method, campus: Campus) -> float:
    """Through its uplink. Peers that choose among all others find nearly all of them in other rooms."""
    if method == "unicast":
        return campus.pcs
    own = _copies(MANNERS[method], campus.pcs)
    if method == "p2p" and not campus.near:
        return max(campus.pcs * (campus.rooms - 1) / campus.rooms, own)
    return own


def _sent(method: Method, campus: Campus) -> float:
    """Copies, by all repositories together."""
    if method == "unicast":
        return campus.rooms * campus.pcs
    together = _together(method, campus)
    return _copies(MANNERS[method], together) * (campus.rooms * campus.pcs / together)


def _wire_s(size: float, bits_per_s: float) -> float:
    return size * 8 / (bits_per_s * _EFFICIENCY)


# --- for people ---------------------------------------------------------------------------------------------------

_IMAGE: Final = 10 * 10**9


def campus(rooms: int, pcs: int) -> None:
    """An image of 10 GB, links and uplinks of 1 Gbit/s, repositories of 10 Gbit/s each."""
    here = Campus(rooms=rooms, pcs=pcs, image=_IMAGE)
    ways: list[tuple[str, Method, Campus]] = [(method, method, here) for method in METHODS]
    ways.append(("uftp, one session for all rooms", "uftp", replace(here, routed=True)))
    ways.append(("p2p, peers of the own room first", "p2p", replace(here, near=True)))
    console = Console()
    for text in (
        f"Reckoned, not measured: {rooms} rooms of {pcs} PCs, an image of {_IMAGE / 1e9:.0f} GB; links and uplinks of "
        "1 Gbit/s, one repository of 10 Gbit/s; multicast has a session for each room, and peers those of all rooms, "
        "unless it says something else\n",
        markdown(_COLUMNS, [_line(*way) for way in ways]),
    ):
        console.print(text, soft_wrap=True, highlight=False, markup=False)


_COLUMNS: Final = (
    "", "minutes", "bound by", "GB sent", "GB into each room", "announced a second", "trackers",
    "repositories for 1.1 of a room's",
)  # fmt: skip


def _line(name: str, method: Method, here: Campus) -> tuple[str, ...]:
    need = reckon(method, here)
    return (
        name,
        f"{need.seconds / 60:.1f}",
        need.bound,
        f"{need.sent / 1e9:.0f}",
        f"{need.into_room / 1e9:.0f}",
        f"{need.announced:.0f}" if need.announced else "",
        f"{need.trackers or ''}",
        f"{repositories_for(method, here)}",
    )
