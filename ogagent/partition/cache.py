"""Which of the partitions that are wanted is the CACHE, and which partition that is now."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from msgspec import Struct

from ogagent.disk.codes import may_be_a_cache
from ogagent.errors import InvalidField, MissingField, TableDoesNotFit
from ogagent.model.disk import Disk, Partition, TableKind
from ogagent.model.units import KIB
from ogagent.partition.kinds import CACHE, EMPTY
from ogagent.partition.request import ConfigureRequest, Row

PRIMARIES: Final = 4
_USUAL: Final = 4


class Cache(Struct, frozen=True, kw_only=True):
    """A CACHE where it lies now, or at the end of the disk, a logical one at that of the extended partition.

    ``size`` in bytes; None: as it is. ``must_work``: one without a file system gets one.
    """

    number: int
    size: int | None
    there: Partition | None
    format: bool = False
    must_work: bool = False


def apart(request: ConfigureRequest, disk: Disk, table: TableKind) -> tuple[list[Row], Cache | None]:
    """The rows, and what is the CACHE apart from them.

    Where nothing is said of the CACHE, it stays. Raises InvalidField, MissingField or TableDoesNotFit.
    """
    rows = list(request.rows)
    named = [row for row in rows if row.kind is CACHE]
    if len(named) > 1:
        raise TableDoesNotFit("there can be only one CACHE", field="cpt")
    others = [row for row in rows if row.kind is not CACHE]
    numbers = {row.number for row in others if row.kind is not EMPTY}
    there = _there(disk, named, others)
    if named:
        cache = _by_row(named[0], request, there)
    elif request.cache or (request.cache is None and there and there.partition not in numbers):
        number = there.partition if there and there.partition not in numbers else _free(numbers, table)
        size = request.cache_size if request.cache else None
        cache = Cache(number=number, size=size, there=there, must_work=bool(request.cache))
    else:
        return others, None
    if cache.size is None and there is None:
        raise MissingField("the size of the CACHE is missing", field="tam" if named else "tch")
    return others, cache


def _by_row(row: Row, request: ConfigureRequest, there: Partition | None) -> Cache:
    if row.size and request.cache and request.cache_size not in (None, row.size):
        raise InvalidField("tch and tam of the CACHE are two sizes", field="tch")
    return Cache(
        number=row.number,
        size=row.size or request.cache_size,
        there=there,
        format=row.format,
        must_work=bool(request.cache),
    )


def _there(disk: Disk, named: Sequence[Row], others: Sequence[Row]) -> Partition | None:
    """The one with the number that is named, the machine's CACHE, or one that would be on another machine.

    Named may be another number than it has now, and another row may have its old one; but not when that row means it.
    """
    found = [part for part in disk.partitions if may_be_a_cache(disk, part)]
    found.sort(key=lambda part: not part.cache)
    if named:
        found = [part for part in found if not any(_means(row, disk, part) for row in others)]
        found.sort(key=lambda part: part.partition != named[0].number)
    return found[0] if found else None


def _means(row: Row, disk: Disk, part: Partition) -> bool:
    same = row.number == part.partition and row.kind.means(disk, part)
    return same and row.size is not None and is_size(part, row.size, disk.sector_size)


def is_size(part: Partition, size: int, sector_size: int) -> bool:
    """Whether a row of this size means it: in whole KiB, or in whole sectors."""
    return part.size // KIB == size // KIB or part.size == whole_sectors(size, sector_size)


def whole_sectors(size: int, sector_size: int) -> int:
    return -(-size // sector_size) * sector_size


def _free(numbers: Collection[int], table: TableKind) -> int:
    possible: tuple[int, ...] = (_USUAL, 3, 2, 1) if table == "msdos" else (_USUAL, *range(5, 129), 3, 2, 1)
    for number in possible:
        if number not in numbers:
            return number
    raise TableDoesNotFit(
        f"more than {PRIMARIES} primary partitions: no number is left for the CACHE",
        hint="use GPT, or make one of them logical",
        field="che",
    )
