"""A partition table as an operator drafts it: its rows, how it fills the disk, and as ``cfg`` of ``Configurar``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from simulator.ogcore.views import DiskView, PartitionView

Table = Literal["MSDOS", "GPT"]

TABLES: Final[tuple[Table, ...]] = ("GPT", "MSDOS")
KINDS: Final = ("LINUX", "NTFS", "EFI", "LINUX-SWAP", "DATA", "FAT32", "EXFAT", "BIOS-BOOT", "EXTENDED", "CACHE")
FILESYSTEMS: Final = (
    "EXT4", "NTFS", "FAT32", "EXFAT", "XFS", "BTRFS", "F2FS", "EXT3", "LINUX-SWAP", "EMPTY",
)  # fmt: skip
CACHE: Final = "CACHE"
_EMPTY: Final = "EMPTY"
_EXTENDED: Final = "EXTENDED"
_FIRST_LOGICAL: Final = 5
_MOST_ROWS: Final = 128
"""Of a GPT."""
_KIB: Final = 1 << 10
_MIB_KIB: Final = 1 << 10
_GRAIN: Final = 1 << 20
# As libblkid calls them, where OpenGnsys has another word.
_BLKID: Final = {"FAT32": "vfat", "LINUX-SWAP": "swap", _EMPTY: ""}
_BY_BLKID: Final = {blkid: name for name, blkid in _BLKID.items()}
# Kinds by their codes. The others keep theirs.
_BY_CODE: Final = {
    "83": "LINUX", "8300": "LINUX", "7": "NTFS", "0700": "NTFS", "ef": "EFI", "EF00": "EFI", "82": "LINUX-SWAP",
    "8200": "LINUX-SWAP", "EF02": "BIOS-BOOT", "f": _EXTENDED, "5": _EXTENDED, "ca": CACHE, "CA00": CACHE,
}  # fmt: skip


class Row(Struct, frozen=True, kw_only=True):
    """``size`` in KiB, None for the rest of the disk. ``kind`` is a mnemonic, or a code that has none here."""

    number: int
    kind: str = "LINUX"
    filesystem: str = "EXT4"
    size: int | None = None
    format: bool = True

    @property
    def mebibytes(self) -> str:
        """As it is typed; empty for the rest."""
        return "" if self.size is None else f"{self.size / _MIB_KIB:.3f}".rstrip("0").rstrip(".")

    def members(self) -> dict[str, str]:
        where = {"par": str(self.number), "cpt": self.kind, "sfi": self.filesystem}
        return {**where, "tam": str(self.size or 0), "ope": "1" if self.format else "0"}


class Draft(Struct, frozen=True, kw_only=True):
    """The CACHE is at the end of the disk whatever row it is."""

    disk: int
    table: Table
    rows: tuple[Row, ...] = ()

    @property
    def problem(self) -> str:
        """What makes no table, for a person; what does not fit is the agent's to say."""
        if not self.rows:
            return "There is no partition in this table."
        if max(Counter(row.number for row in self.rows).values()) > 1 or min(row.number for row in self.rows) < 1:
            return "Each partition needs a number of its own."
        if any(row.size is None for row in self._others[:-1]):
            return "Only the last partition can have the rest of the disk."
        return ""

    def free(self, size: int) -> int:
        """KiB that are left for the rest on a disk of ``size`` bytes; negative for what there is too much."""
        ends = 2 if self.table == "GPT" else 1  # the table before the first MiB, and the copy of a GPT after the last
        taken = sum(row.size or 0 for row in self.rows if not self._frames(row))
        return (size - ends * _GRAIN) // _GRAIN * _MIB_KIB - taken

    def cfg(self) -> list[dict[str, str]]:
        head = {"dis": str(self.disk), "ttp": self.table, "che": "1" if self._caches else "0"}
        return [head, *(row.members() for row in self.rows)]

    def drawn(self, disk: DiskView) -> DiskView:
        """The same disk with this table on it."""
        rest = max(self.free(disk.size), 0)
        at, parts = _GRAIN, []
        for row in (*self._others, *self._caches):
            if self._frames(row):
                continue
            size = (rest if row.size is None else row.size) * _KIB
            if row.kind == CACHE:
                at = max(at, disk.size - _GRAIN * (self.table == "GPT") - size)
            parts.append(_part(row, at, size))
            at += size
        return DiskView(
            disk=disk.disk, model=disk.model, size=disk.size, table=self.table.lower(), partitions=tuple(parts)
        )

    def added(self, size: int) -> Draft:
        """One more partition before the CACHE, with the rest of a disk of ``size`` bytes; who had that has half."""
        half = max(self.free(size) // 2 // _MIB_KIB, 1) * _MIB_KIB
        others = [replace(row, size=row.size or half) for row in self._others]
        taken = {row.number for row in self.rows}
        number = next(number for number in range(1, _MOST_ROWS + 2) if number not in taken)
        return replace(self, rows=(*others, Row(number=number), *self._caches))

    def without(self, number: int) -> Draft:
        return replace(self, rows=tuple(row for place, row in enumerate(self.rows) if place != number))

    @property
    def _caches(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.kind == CACHE)

    @property
    def _others(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.kind != CACHE)

    def _frames(self, row: Row) -> bool:
        """Logical partitions lie in it."""
        inside = any(each.number >= _FIRST_LOGICAL for each in self.rows)
        return row.kind == _EXTENDED and self.table == "MSDOS" and inside


def as_is(disk: DiskView) -> Draft:
    """What the disk has, to be kept."""
    parts = sorted(disk.partitions, key=lambda part: part.start)
    return Draft(
        disk=disk.disk, table="MSDOS" if disk.table == "msdos" else "GPT", rows=tuple(_row(part) for part in parts)
    )


def draft_of(form: Mapping[str, object]) -> Draft:
    """As the form sends it; what is no number is 0, or the rest."""
    rows = [_typed(form, place) for place in str(form.get("rows", "")).split()[:_MOST_ROWS]]
    table: Table = "MSDOS" if form.get("table") == "MSDOS" else "GPT"
    return Draft(disk=_number(form.get("disk")), table=table, rows=tuple(rows))


def _typed(form: Mapping[str, object], place: str) -> Row:
    try:
        size = round(float(str(form.get(f"size-{place}", ""))) * _MIB_KIB)
    except (ValueError, OverflowError):
        size = 0
    return Row(
        number=_number(form.get(f"number-{place}")),
        kind=str(form.get(f"kind-{place}", "")),
        filesystem=str(form.get(f"filesystem-{place}", "")),
        size=size if size > 0 else None,
        format=f"format-{place}" in form,
    )


def _number(value: object) -> int:
    text = str(value)
    return int(text) if text.isdecimal() and len(text) < 4 else 0


def _row(part: PartitionView) -> Row:
    kind = CACHE if part.cache else _BY_CODE.get(part.code, part.code)
    name = _BY_BLKID.get(part.filesystem, part.filesystem.upper())
    filesystem = name if name in FILESYSTEMS else _EMPTY
    return Row(number=part.partition, kind=kind, filesystem=filesystem, size=part.size // _KIB, format=False)


def _part(row: Row, start: int, size: int) -> PartitionView:
    filesystem = _BLKID.get(row.filesystem, row.filesystem.lower())
    return PartitionView(
        partition=row.number, start=start, size=size, filesystem=filesystem, name=row.kind, cache=row.kind == CACHE
    )
