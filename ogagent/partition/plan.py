"""What a configuration of a disk will do, decided before anything is written."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from ogagent.disk.layout import Span, is_extended, span_of
from ogagent.model.disk import Partition, TableKind
from ogagent.model.plan import Target

Firmware = Literal["uefi", "bios"]
Fate = Literal["kept", "emptied", "moved", "new"]
"""``kept``: not one of its bytes changes; ``emptied``: its place stays, its content goes; ``moved``: its number was
elsewhere, and what was there goes."""


class PlannedPartition(Struct, frozen=True, kw_only=True):
    """``start`` and ``size`` in bytes, ``code`` as in the inventory. ``filesystem`` is what will be made, in
    OpenGnsys' words; empty for nothing, and what is not kept is empty then.
    """

    number: int
    start: int
    size: int
    code: str
    fate: Fate
    name: str = ""
    filesystem: str = ""
    label: str = ""


class TablePlan(Struct, frozen=True, kw_only=True):
    """``was`` and ``before`` are what the disk has now, ``table`` and ``partitions`` what it will have, by number.
    Sizes in bytes; ``lost`` are those of ``before`` whose content will be gone. ``suspended`` and ``sleeping`` as in
    ``ogagent.disk.sleepers``; ``warnings`` are what the job will have.
    """

    disk: int
    device: str
    identity: str
    size: int
    sector_size: int
    was: TableKind | None
    before: tuple[Partition, ...]
    table: TableKind
    partitions: tuple[PlannedPartition, ...]
    lost: tuple[Partition, ...] = ()
    suspended: tuple[Target, ...] = ()
    sleeping: tuple[Target, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def anew(self) -> bool:
        """Nothing that is on the disk stays."""
        return not any(part.fate == "kept" for part in self.partitions)

    @property
    def kept(self) -> tuple[Span, ...]:
        """Bytes that are not to be touched, whatever else is done."""
        return tuple(
            span_of(part) for part in self.partitions if part.fate == "kept" and not is_extended(self.table, part.code)
        )

    @property
    def emptied(self) -> tuple[PlannedPartition, ...]:
        """Those that begin anew: wiped, and then formatted where a file system is wanted."""
        return tuple(part for part in self.partitions if part.fate != "kept" and not is_extended(self.table, part.code))
