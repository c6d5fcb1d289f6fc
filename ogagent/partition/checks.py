"""What must hold of every plan, wherever its partitions were put."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import Final

from ogagent.disk.layout import is_extended, span_of
from ogagent.errors import PartitionInUse, PartitionOverlaps, TableDoesNotFit, TargetIsSystem
from ogagent.model.disk import OLDER_TABLE, PROTECTED, Disk, TableKind
from ogagent.model.units import format_bytes
from ogagent.partition.formats import format_of
from ogagent.partition.plan import TablePlan

MOST: Final = {"gpt": 128, "msdos": 60}
"""How many partitions: as many as tools agree on in a GPT; sfdisk shows no MSDOS partition after number 60."""
_MSDOS_SECTORS: Final = 1 << 32


def check_numbers(numbers: Iterable[int], table: TableKind) -> None:
    number, times = max(Counter(numbers).items(), key=lambda item: (item[1], item[0]), default=(0, 0))
    if times > 1:
        raise TableDoesNotFit(f"there are {times} partitions with number {number}", field="par")
    if number > MOST[table]:
        raise TableDoesNotFit(f"partition {number}: a table of kind {table} has {MOST[table]} at most", field="par")


def check_content(plan: TablePlan, disk: Disk) -> None:
    """What is lost is in nobody's use; what is kept is beyond doubt."""
    for part in plan.lost:
        if part.problem == PROTECTED:
            raise TargetIsSystem(
                f"partition {part.partition} of disk {disk.disk} ({part.device}) would be deleted or formatted: "
                f"{PROTECTED}",
                field="cfg",
            )
        if part.mounted:
            raise PartitionInUse(
                f"partition {part.partition} of disk {disk.disk} ({part.device}) is in use: {part.mounted}, and would "
                "be deleted or formatted",
                hint="unmount it or stop what uses it first",
                field="cfg",
            )
    numbers = {span_of(part): part.number for part in plan.partitions if part.fate == "kept"}
    for part in disk.partitions:
        if (number := numbers.get(span_of(part))) is None:
            continue
        if part.mounted and number != part.partition:
            raise PartitionInUse(
                f"partition {part.partition} of disk {disk.disk} ({part.device}) is in use: {part.mounted}, and would "
                f"become partition {number}",
                hint="unmount it or stop what uses it first",
                field="par",
            )
        if doubt := disk.problem or (part.problem if part.problem not in (OLDER_TABLE, PROTECTED) else ""):
            raise PartitionOverlaps(
                f"partition {part.partition} of disk {disk.disk} would be kept, and cannot be trusted: {doubt}",
                hint="save what is on it, and make it anew",
                field="cfg",
            )


def check_sizes(plan: TablePlan) -> None:
    own = sorted(
        (part for part in plan.partitions if not is_extended(plan.table, part.code)), key=lambda part: part.start
    )
    for one, other in pairwise(own):
        if span_of(one).meets(span_of(other)):
            raise TableDoesNotFit(f"partition {other.number} would lie over another one", field="cfg")
    for part in plan.partitions:
        known = format_of(part.filesystem)
        if known and (problem := known.problem_of(part.size, plan.sector_size)):
            raise TableDoesNotFit(f"partition {part.number} is no place for it: {problem}", field="tam")
        sectors = (part.start + part.size) // plan.sector_size
        if plan.table == "msdos" and sectors > _MSDOS_SECTORS:
            most = format_bytes(_MSDOS_SECTORS * plan.sector_size)
            raise TableDoesNotFit(
                f"partition {part.number} ends beyond {most}, and an MSDOS table reaches no further",
                hint="use GPT",
                field="tam",
            )
