"""Disks as an inventory shows them, and requests for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ogagent.disk.codes import mark_cache
from ogagent.model.disk import Disk, Inventory, Partition, TableKind
from ogagent.model.report import configuration
from ogagent.model.units import KIB, MIB
from ogagent.partition.request import ConfigureRequest, configure_request

SIZE: Final = 1024 * MIB


def disk(
    *partitions: Partition, table: TableKind | None = "gpt", size: int = SIZE, sector_size: int = 512, problem: str = ""
) -> Disk:
    bare = Disk(
        disk=1,
        device="/dev/sda",
        identity=f"serial:S1;size:{size}",
        model="disk",
        size=size,
        sector_size=sector_size,
        table=table,
        partitions=partitions,
        problem=problem,
    )
    return mark_cache([bare])[0]


def partition(number: int, start: int, size: int, code: str = "8300", **more: Any) -> Partition:
    """``start`` and ``size`` in MiB."""
    there = {"filesystem": "ext4", **more}
    return Partition(
        partition=number, device=f"/dev/sda{number}", start=start * MIB, size=size * MIB, code=code, **there
    )


def asked(cfg: object, **members: object) -> ConfigureRequest:
    return configure_request({"dsk": "1", "cfg": cfg, **members})


def rows(*wanted: tuple[int, str, int], ope: str = "0") -> list[dict[str, str]]:
    """Of number, kind and size in MiB."""
    return [{"par": str(par), "cpt": cpt, "tam": str(size * MIB // KIB), "ope": ope} for par, cpt, size in wanted]


def own_rows(of: Disk) -> Sequence[dict[str, str]]:
    return configuration(Inventory(disks=(of,)))
