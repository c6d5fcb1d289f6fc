"""The disks of a PC whose own system is running, as kernel and udev have seen them: none of them is opened."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import pyudev

from ogagent.disk.codes import UNKNOWN, mark_cache, partition_code
from ogagent.disk.excluded import Exclusions
from ogagent.disk.kernel import KernelDisk, KernelPartition, find_disks
from ogagent.disk.usage import used_percent_of_mount
from ogagent.model.disk import Disk, Inventory, Partition, TableKind
from ogagent.system.os_release import system_name
from ogagent.system.text import printable

ROOT: Final = "/"
_TABLES: Final[Mapping[str, TableKind]] = {"gpt": "gpt", "dos": "msdos"}
_ENCODED: Final = re.compile(r"(?:\\x[0-9a-f]{2})+")
_DEV: Final = "/dev/"

Properties = Callable[[str], Mapping[str, str]]
"""Of the block device with this node, as ``udevadm info`` shows them; empty when udev does not know it."""


class SeenDisks:
    """Implements ``ogagent.disk.machine.Inventoried``. ``include`` and ``exclude`` as ``[disks]`` has them."""

    def __init__(self, include: Sequence[str], exclude: Sequence[str]) -> None:
        """Blocking. Raises SettingsError for a path in ``exclude`` that is no block device."""
        self._include = include
        self._exclusions = Exclusions(exclude)

    async def inventory(self, *, thorough: bool = True) -> Inventory:
        return await asyncio.to_thread(self._look, thorough)

    def _look(self, thorough: bool) -> Inventory:
        found = find_disks(self._include, self._exclusions.now())
        return seen(found, _Udev().properties, thorough=thorough)


class _Udev:
    def __init__(self) -> None:
        self._context = pyudev.Context()

    def properties(self, device: str) -> Mapping[str, str]:
        name = device.removeprefix(_DEV).replace("/", "!")
        try:
            return dict(pyudev.Devices.from_name(self._context, "block", name).properties)
        except pyudev.DeviceNotFoundError:
            return {}


def seen(disks: Mapping[int, KernelDisk], properties: Properties, *, thorough: bool) -> Inventory:
    return Inventory(disks=mark_cache([_disk(number, disk, properties, thorough) for number, disk in disks.items()]))


def _disk(number: int, disk: KernelDisk, properties: Properties, thorough: bool) -> Disk:
    table = _TABLES.get(properties(disk.device).get("ID_PART_TABLE_TYPE", ""))
    rows = (
        _partition(part, disk.partitions[part], table, properties, thorough=thorough)
        for part in sorted(disk.partitions)
    )
    return Disk(
        disk=number,
        device=disk.device,
        identity=disk.identity,
        model=disk.model,
        size=disk.size,
        sector_size=disk.sector_size,
        table=table,
        partitions=tuple(rows),
        problem=disk.problem,
    )


def _partition(
    number: int, part: KernelPartition, table: TableKind | None, properties: Properties, *, thorough: bool
) -> Partition:
    known = properties(part.device)
    kind = known.get("ID_PART_ENTRY_TYPE", "").removeprefix("0x")
    where = part.holder or ""
    mounted = thorough and where.startswith("/")
    return Partition(
        partition=number,
        device=part.device,
        start=part.start,
        size=part.size,
        code=partition_code(table, kind) if table and kind else UNKNOWN,
        filesystem=printable(known.get("ID_FS_TYPE", "")),
        label=_decoded(known.get("ID_FS_LABEL_ENC", "")),
        name=_decoded(known.get("ID_PART_ENTRY_NAME", "")),
        os=system_name() if thorough and where == ROOT else "",
        used=used_percent_of_mount(where) if mounted else None,
        mounted=printable(where) or None,
    )


def _decoded(text: str) -> str:
    r"""udev writes what is no plain character as its bytes, ``\x20``."""
    return printable(
        _ENCODED.sub(lambda found: bytes.fromhex(found[0].replace("\\x", "")).decode(errors="replace"), text)
    )
