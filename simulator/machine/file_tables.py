"""Tables and file systems made on disks that are files, for the real agent."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from ogagent.disk import blkid
from ogagent.disk.device import BlockDevice
from ogagent.disk.machine import Device
from ogagent.errors import DiskChanged, PartitioningFailed
from ogagent.model.disk import TableKind
from ogagent.model.units import MIB
from ogagent.partition.formats import make_filesystem
from ogagent.partition.plan import PlannedPartition, TablePlan
from simulator.faults import Faults, no_faults
from simulator.machine.faulty_device import FaultyDevice
from simulator.machine.file_machine import identity, lock

_BLKID_NAMES: dict[str, TableKind] = {"gpt": "gpt", "dos": "msdos"}


class FileTables:
    """Implements ``ogagent.partition.machine.TableMachine``. A file has no kernel that must be told, and no udev."""

    def __init__(self, faults: Faults = no_faults) -> None:
        self._faults = faults

    @contextmanager
    def hold(self, plan: TablePlan) -> Iterator[None]:
        with _opened(plan):
            yield

    @contextmanager
    def open_disk(self, plan: TablePlan, tables: Collection[TableKind | None]) -> Iterator[Device]:
        """The lock on the file stands for the exclusive opening of a block device."""
        with _opened(plan) as fd:
            lock(fd, 0, 0, plan.device)
            if _BLKID_NAMES.get(blkid.partition_table(fd, plan.sector_size)) not in tables:
                raise DiskChanged(f"{plan.device} has another partition table now")
            device = BlockDevice(os.dup(fd), base=0, size=plan.size, sector_size=plan.sector_size, name=plan.device)
            try:
                yield FaultyDevice(device, plan.device, self._faults)
            finally:
                device.close()

    def tell_kernel(self, plan: TablePlan) -> None:
        """What is beside the disk and stands for a CACHE goes with it."""
        kept = {part.start: part.number for part in plan.partitions if part.fate == "kept"}
        for part in plan.before:
            beside = Path(f"{plan.device}.cache{part.partition}")
            if part.start not in kept:
                shutil.rmtree(beside, ignore_errors=True)
            elif kept[part.start] != part.partition and beside.exists():
                beside.rename(f"{plan.device}.cache{kept[part.start]}")

    async def make_filesystem(self, plan: TablePlan, partition: PlannedPartition) -> None:
        """In a file of its own, for tools know nothing of a place in a file; then it is copied to its place."""
        with tempfile.NamedTemporaryFile(dir=Path(plan.device).parent, prefix=".", suffix=".partition") as alone:
            alone.truncate(partition.size)
            await make_filesystem(partition.filesystem, alone.name, partition.label)
            await asyncio.to_thread(self._lay_down, plan, partition, alone.fileno())

    def _lay_down(self, plan: TablePlan, partition: PlannedPartition, source: int) -> None:
        """What has not arrived is found, as the tools' work is by who looks for it."""
        found = bytearray(MIB)
        with self.open_disk(plan, (plan.table,)) as device:
            device.zero(partition.start, partition.size)
            pieces = list(_pieces(source, partition.size))
            for at, content in pieces:
                device.write(partition.start + at, memoryview(content))
            device.flush()
            for at, content in pieces:
                device.read_back(partition.start + at, memoryview(found)[: len(content)])
                if found[: len(content)] != content:
                    raise PartitioningFailed(f"partition {partition.number} of {plan.device} could not be formatted")


@contextmanager
def _opened(plan: TablePlan) -> Iterator[int]:
    try:
        fd = os.open(plan.device, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise DiskChanged(f"{plan.device} cannot be opened: {error.strerror}") from error
    try:
        found = identity(Path(plan.device), os.fstat(fd).st_size)
        if found != plan.identity:
            raise DiskChanged(f"{plan.device} is disk {found} now, it was {plan.identity}")
        yield fd
    finally:
        os.close(fd)


def _pieces(fd: int, size: int) -> Iterator[tuple[int, bytes]]:
    for start, end in _data(fd, size):
        for at in range(start, end, MIB):
            yield at, os.pread(fd, min(MIB, end - at), at)


def _data(fd: int, size: int) -> Iterator[tuple[int, int]]:
    """What of a file is no hole."""
    end = 0
    while end < size:
        try:
            start = os.lseek(fd, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        end = os.lseek(fd, start, os.SEEK_HOLE)
        yield start, end
