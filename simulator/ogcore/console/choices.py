"""What an operator can choose from when an image is to be deployed, or created."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from simulator.ogcore.console.api import Refusal
from simulator.ogcore.console.desk import Desk
from simulator.ogcore.views import DiskView, ImageView, PartitionView

METHODS: Final = ("unicast", "unicast-direct", "multicast", "multicast-direct", "uftp", "p2p")
# Partition codes of what is no file system of a system: EFI, swap.
_NOT_CAPTURED: Final = {"EF", "EF00", "82", "8200"}


class Offer(Struct, frozen=True, kw_only=True):
    """A partition by number, on those of the chosen clients that have one. ``sizes`` are all that occur, in bytes."""

    disk: int
    partition: int
    clients: int
    sizes: tuple[int, ...]
    what: str
    likely: bool

    @property
    def value(self) -> str:
        return f"{self.disk}/{self.partition}"


def any_partition(_: PartitionView) -> bool:
    return True


def can_be_captured(part: PartitionView) -> bool:
    """By what the inventory shows; the agent looks closer."""
    whole = part.filesystem not in {"", "swap"} and not part.incomplete and not part.problem
    return whole and not part.cache and part.code.upper() not in _NOT_CAPTURED


async def places(
    desk: Desk, clients: Sequence[str], fits: Callable[[PartitionView], bool] = any_partition
) -> list[Offer]:
    """By disk and partition. The likely one is the lab's own target, or else the first that holds a Linux."""
    inventories = await asyncio.gather(*(_disks(desk, name) for name in clients))
    found: dict[tuple[int, int], list[PartitionView]] = {}
    for disks in inventories:
        for disk in disks:
            for part in filter(fits, disk.partitions):
                found.setdefault((disk.disk, part.partition), []).append(part)
    likely = _likely(desk, clients, found)
    return [
        Offer(
            disk=disk,
            partition=number,
            clients=len(parts),
            sizes=tuple(sorted({part.size for part in parts})),
            what=", ".join(sorted({_words(part) for part in parts})),
            likely=(disk, number) == likely,
        )
        for (disk, number), parts in sorted(found.items())
    ]


async def images_or_why(desk: Desk) -> tuple[Sequence[ImageView], str]:
    """All of them, or why they are not known."""
    try:
        return await desk.ogcore.images(), ""
    except Refusal as refusal:  # the repository is down, say
        return (), refusal.said.error


def _likely(
    desk: Desk, clients: Sequence[str], found: dict[tuple[int, int], list[PartitionView]]
) -> tuple[int, int] | None:
    if clients and desk.hands and desk.hands.has(clients[0]):
        return desk.hands.target(clients[0])
    for place, parts in sorted(found.items()):
        if parts[0].code.upper() in {"83", "8300"} and not parts[0].problem:
            return place
    return None


def _words(part: PartitionView) -> str:
    if part.cache:
        return "CACHE"
    return part.os or part.label or part.name or part.filesystem or part.code


async def _disks(desk: Desk, name: str) -> tuple[DiskView, ...]:
    try:
        return (await desk.ogcore.disks(name)).disks
    except Refusal:  # there is no such client (any more)
        return ()
