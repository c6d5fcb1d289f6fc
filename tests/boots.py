"""Machines as data: the block devices that one PC shows at one boot after another, as sysfs and the kernel have them.

The files are in ``tests/disk/boots``, each with the reason it exists.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from ogagent.disk.excluded import Excluded
from ogagent.disk.kernel import in_order, numbered
from ogagent.disk.machine import Device
from ogagent.model.disk import Disk, Inventory, Partition
from ogagent.model.plan import Target

DIRECTORY: Final = Path(__file__).parent / "disk/boots"
GIB: Final = 1 << 30


class BlockDevice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``sysfs`` is its directory below /sys/devices, ``dev`` its number, ``files`` what is read there."""

    sysfs: str
    dev: str
    files: dict[str, str]


class Boot(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``disks`` are the identities of those that count, in the order of their numbers."""

    devices: tuple[BlockDevice, ...]
    disks: tuple[str, ...]


class Computer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    why: str
    boots: tuple[Boot, ...]


def computer(name: str) -> Computer:
    return msgspec.json.decode((DIRECTORY / f"{name}.json").read_bytes(), type=Computer)


class BootedMachine:
    """Implements ``ogagent.disk.machine.Machine`` as far as disks are counted. Each has two partitions for images."""

    def __init__(self, folder: Path, boot: Boot, excluded: Excluded | None = None) -> None:
        self._devices = list(_made(folder, boot))
        self._excluded = excluded or Excluded()

    async def inventory(self, *, thorough: bool = True) -> Inventory:  # noqa: ARG002 - as Machine has it
        disks = numbered(in_order(self._devices), {}, self._excluded)
        return Inventory(
            disks=tuple(
                Disk(
                    disk=number, device=disk.device, identity=disk.identity, model=disk.model, size=disk.size,
                    sector_size=disk.sector_size, table="gpt", partitions=_partitions(disk.device),
                )
                for number, disk in disks.items()
            )
        )  # fmt: skip

    def open_target(self, target: Target) -> AbstractContextManager[Device]:
        raise AssertionError(f"nobody opens {target.device} here")


def _partitions(device: str) -> tuple[Partition, ...]:
    return tuple(
        Partition(partition=number, device=f"{device}p{number}", start=number * GIB, size=GIB, code="8300")
        for number in (1, 2)
    )


def _made(folder: Path, boot: Boot) -> Iterator[tuple[int, Path]]:
    for device in boot.devices:
        directory = folder / "sys/devices" / device.sysfs
        for name, content in {**device.files, "dev": device.dev}.items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_text(f"{content}\n", encoding="utf-8")
        major, minor = map(int, device.dev.split(":"))
        yield os.makedev(major, minor), directory
