"""A machine whose disks are files, for the real agent."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ogagent.disk import content
from ogagent.disk.codes import mark_cache, partition_code
from ogagent.disk.device import BlockDevice
from ogagent.disk.machine import Device
from ogagent.disk.operating_system import operating_system
from ogagent.errors import DeviceBusy, DiskChanged
from ogagent.model.disk import Disk, Inventory, Partition
from ogagent.model.plan import Target
from simulator.faults import Faults, no_faults
from simulator.machine.faulty_device import FaultyDevice
from simulator.machine.gpt import Entry, Table, read_table

_SECTOR_SIZE: Final = 512
_MODEL: Final = "disk that is a file"


class FileMachine:
    """Implements ``ogagent.disk.machine.Machine``. The files are disk 1, 2, … in this order; their tables are GPT.

    ``faults`` is asked at each operation on a partition that is open; it may change any time.
    """

    def __init__(self, disks: Sequence[Path], faults: Faults = no_faults) -> None:
        self._disks = [path.resolve() for path in disks]
        self._faults = faults

    async def inventory(self) -> Inventory:
        disks = [await _read_disk(number, path) for number, path in enumerate(self._disks, start=1)]
        return Inventory(disks=mark_cache(disks))

    @contextmanager
    def open_target(self, target: Target) -> Iterator[Device]:
        """The lock on the file stands for the exclusive opening of a block device."""
        path = Path(target.disk_device)
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise DiskChanged(f"{path} cannot be opened: {error.strerror}") from error
        try:
            _lock(fd, target)
            _compare(fd, path, target)
        except BaseException:
            os.close(fd)
            raise
        device = BlockDevice(
            fd, base=target.start, size=target.size, sector_size=target.sector_size, name=target.device
        )
        try:
            yield FaultyDevice(device, target.device, self._faults)
        finally:
            device.close()


async def _read_disk(number: int, path: Path) -> Disk:
    table, size = await asyncio.to_thread(_read_table, path)
    partitions = [await _read_partition(path, entry) for entry in table.entries] if table else []
    return Disk(
        disk=number,
        device=str(path),
        identity=_identity(path, size),
        model=_MODEL,
        size=size,
        sector_size=table.sector_size if table else _SECTOR_SIZE,
        table="gpt" if table else None,
        partitions=tuple(partitions),
    )


async def _read_partition(path: Path, entry: Entry) -> Partition:
    inside = await asyncio.to_thread(_probe, path, entry)
    return Partition(
        partition=entry.number,
        device=f"{path}#{entry.number}",
        start=entry.start,
        size=entry.size,
        code=partition_code("gpt", entry.type),
        filesystem=inside.filesystem,
        label=inside.label,
        name=entry.name,
        os=await operating_system(str(path), entry.start, inside.filesystem),
        used=inside.used,
    )


def _read_table(path: Path) -> tuple[Table | None, int]:
    with path.open("rb") as file:
        return read_table(file.fileno()), os.fstat(file.fileno()).st_size


def _probe(path: Path, entry: Entry) -> content.Content:
    with path.open("rb") as file:
        return content.probe(file.fileno(), entry.start, entry.size)


def _identity(path: Path, size: int) -> str:
    return f"file:{path};size:{size}"


def _lock(fd: int, target: Target) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DeviceBusy(f"{target.disk_device} is in use by somebody else") from None


def _compare(fd: int, path: Path, target: Target) -> None:
    identity = _identity(path, os.fstat(fd).st_size)
    if identity != target.identity:
        raise DiskChanged(f"{path} is disk {identity} now, it was {target.identity}")
    table = read_table(fd)
    found = [(entry.start, entry.size) for entry in table.entries if entry.number == target.partition] if table else []
    if found != [(target.start, target.size)]:
        raise DiskChanged(f"{path}: partition {target.partition} is not where it was")
