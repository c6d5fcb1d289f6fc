"""A machine whose disks are files, for the real agent."""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from ogagent.disk import blkid, content
from ogagent.disk.codes import partition_code
from ogagent.disk.device import BlockDevice
from ogagent.disk.gap import GAP
from ogagent.disk.layout import Layout, Span, is_extended, own_spans, span_of
from ogagent.disk.machine import Device
from ogagent.disk.operating_system import operating_system
from ogagent.disk.readings import Limit, Reading, Readings, Unread, ten_seconds
from ogagent.disk.whole import whole_disk_problem
from ogagent.errors import DeviceBusy, DiskChanged, PartitionOverlaps
from ogagent.model.disk import UNREADABLE, Disk, Inventory, Partition
from ogagent.model.plan import Target
from ogagent.system.text import printable
from simulator.faults import Faults, no_faults
from simulator.machine.faulty_device import FaultyDevice
from simulator.machine.profile import MachineProfile
from simulator.machine.table import DiskTable, Row, read_disk

_FLOCK: Final = struct.Struct("hhqqi4x")  # fcntl(2), struct flock on 64 bits
_MODEL: Final = "disk that is a file"
_BLKID_NAMES: Final = {"gpt": "gpt", "msdos": "dos"}


class FileMachine:
    """Implements ``ogagent.disk.machine.WholeMachine``. The files are disk 1, 2, … in this order.

    ``faults`` is asked at each operation on a partition that is open; it may change any time. ``profile`` tells what a
    file cannot: the model of a disk, and what is mounted.
    """

    def __init__(
        self,
        disks: Sequence[Path],
        faults: Faults = no_faults,
        profile: MachineProfile | None = None,
        limit: Limit = ten_seconds,
    ) -> None:
        self.paths = [path.resolve() for path in disks]
        self._faults = faults
        self._models = [disk.model for disk in profile.disks] if profile else []
        self._mounts = _mounts(profile)
        self._readings = Readings(self._unread, limit)

    async def inventory(self, *, thorough: bool = True) -> Inventory:
        return await self._readings.inventory(thorough=thorough)

    @contextmanager
    def open_target(self, target: Target) -> Iterator[Device]:
        """A lock on its bytes of the file stands for the exclusive opening of a partition."""
        path = Path(target.disk_device)
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise DiskChanged(f"{path} cannot be opened: {error.strerror}") from error
        try:
            lock(fd, target.start, target.size, target.device)
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

    @contextmanager
    def open_gap(self, disk: Disk) -> Iterator[Device]:
        path = Path(disk.device)
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise DiskChanged(f"{path} cannot be opened: {error.strerror}") from error
        size = GAP.end - GAP.start
        with BlockDevice(fd, base=GAP.start, size=size, sector_size=disk.sector_size, name=disk.device) as device:
            if identity(path, os.fstat(fd).st_size) != disk.identity:
                raise DiskChanged(f"{path} is another disk now")
            yield FaultyDevice(device, disk.device, self._faults)

    def _unread(self) -> list[Unread]:
        numbered = enumerate(self.paths, start=1)
        return [Unread(self._row(n, path, _nothing(path)), partial(self._read_disk, n, path)) for n, path in numbered]

    async def _read_disk(self, number: int, path: Path, reading: Reading) -> Disk:
        try:
            table, problem = await asyncio.get_running_loop().run_in_executor(reading.executor, _read_table, path)
        except OSError as error:
            table, problem = _nothing(path), f"{UNREADABLE}: {error.strerror}"
        layout = _layout(table)
        partitions = (
            [
                await _read_partition(path, layout, row, self._mounts.get((number, row.number)), reading)
                for row in table.rows
            ]
            if layout
            else []
        )
        return self._row(number, path, table, partitions, problem)

    def _row(
        self, number: int, path: Path, table: DiskTable, partitions: Sequence[Partition] = (), problem: str = ""
    ) -> Disk:
        return Disk(
            disk=number,
            device=str(path),
            identity=identity(path, table.size),
            model=self._models[number - 1] if number <= len(self._models) else _MODEL,
            size=table.size,
            sector_size=table.sector_size,
            table=table.kind,
            partitions=tuple(partitions),
            problem=problem,
        )


def _mounts(profile: MachineProfile | None) -> dict[tuple[int, int], str]:
    """By disk and partition."""
    disks = enumerate(profile.disks if profile else (), start=1)
    return {(number, part.number): part.mounted for number, disk in disks for part in disk.partitions if part.mounted}


def _nothing(path: Path) -> DiskTable:
    """All that is known of a disk that cannot be read."""
    return DiskTable(kind=None, size=path.stat().st_size if path.exists() else 0)


async def _read_partition(path: Path, layout: Layout, row: Row, mounted: str | None, reading: Reading) -> Partition:
    inside = await asyncio.get_running_loop().run_in_executor(reading.executor, _probe, path, layout, row, reading)
    return Partition(
        partition=row.number,
        device=f"{path}#{row.number}",
        start=row.start,
        size=row.size,
        code=partition_code(layout.kind, row.type),
        filesystem=inside.filesystem,
        label=inside.label,
        name=printable(row.name),
        os=await operating_system(str(path), row.start, inside.filesystem) if reading.thorough else "",
        used=inside.used,
        mounted=mounted,
        problem=layout.problem_of(row),
        member=inside.member,
        hibernated=inside.hibernated,
        incomplete=inside.incomplete,
    )


def _read_table(path: Path) -> tuple[DiskTable, str]:
    """With the problem of the disk as a whole."""
    with path.open("rb") as file:
        fd = file.fileno()
        table = read_disk(fd)
        seen = _BLKID_NAMES[table.kind] if table.kind else blkid.partition_table(fd, table.sector_size)
        return table, whole_disk_problem(fd, table.sector_size, table=seen, entries=len(table.rows))


def _layout(table: DiskTable) -> Layout | None:
    """None for a disk without a table."""
    if table.kind is None:
        return None
    usable = Span(*table.usable)
    own = own_spans(table.kind, table.size, table.sector_size, usable=usable, links=table.links)
    return Layout(kind=table.kind, size=table.size, entries=table.rows, own=own, chain=table.broken)


def _probe(path: Path, layout: Layout, row: Row, reading: Reading) -> content.Content:
    if is_extended(layout.kind, row.type) or not Span(0, layout.size).holds(span_of(row)):
        return content.Content()
    with path.open("rb") as file:
        return content.probe(file.fileno(), row.start, row.size, used=reading.thorough)


def identity(path: Path, size: int) -> str:
    return f"file:{path};size:{size}"


def lock(fd: int, start: int, size: int, name: str) -> None:
    """Bytes of a file for nobody else, up to its end when ``size`` is 0. Raises DeviceBusy."""
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, start, size, 0))
    except BlockingIOError:
        raise DeviceBusy(f"{name} is in use by somebody else") from None


def _compare(fd: int, path: Path, target: Target) -> None:
    found = identity(path, os.fstat(fd).st_size)
    if found != target.identity:
        raise DiskChanged(f"{path} is disk {found} now, it was {target.identity}")
    table = read_disk(fd)
    layout, row = _layout(table), table.row(target.partition)
    if layout is None or row is None or (row.start, row.size) != (target.start, target.size):
        raise DiskChanged(f"{path}: partition {target.partition} is not where it was")
    if problem := layout.problem_of(row):
        raise PartitionOverlaps(f"{target.device}: {problem}")
