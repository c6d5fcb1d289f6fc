"""The chain of logical partitions: a sector (EBR) for each, which names it and says where the next sector is.

sfdisk follows a chain wherever it leads; the links are followed here once more, to know where they lie and whether they
can be believed. Source: linux/block/partitions/msdos.c, parse_extended().
"""

from __future__ import annotations

import os
import struct
from typing import Final

from msgspec import Struct

from ogagent.disk.layout import BrokenChain, Place, Span, is_extended, span_of

_TABLE: Final = slice(446, 510)
_ROW: Final = struct.Struct("<4x B 3x II")
_SIGNATURE: Final = b"\x55\xaa"
_LEAST_SECTOR: Final = 512
_MOST: Final = 56
"""sfdisk shows no partition after number 60."""


class Chain(Struct, frozen=True):
    """``links`` are the first bytes of the sectors that were found."""

    links: tuple[int, ...] = ()
    broken: BrokenChain = ""


def read_chain(fd: int, extended: Place, sector_size: int) -> Chain:
    """Blocking. Raises OSError when the disk cannot be read."""
    links: list[int] = []
    place: int | None = extended.start
    while place is not None:
        if place in links:
            return Chain(tuple(links), "circle")
        if not span_of(extended).holds(Span(place, place + sector_size)):
            return Chain(tuple(links), "outside")
        sector = os.pread(fd, _LEAST_SECTOR, place)
        if sector[510:] != _SIGNATURE:
            return Chain(tuple(links), "unsigned")
        links.append(place)
        rows = [row for row in _ROW.iter_unpack(sector[_TABLE]) if row[0] and row[2]]
        onward = [first for kind, first, _ in rows if is_extended("msdos", f"{kind:x}")]
        if len(onward) > 1 or len(rows) - len(onward) > 1 or len(links) > _MOST:
            return Chain(tuple(links), "crowded")
        place = extended.start + onward[0] * sector_size if onward else None
    return Chain(tuple(links))
