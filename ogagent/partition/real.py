"""The machine that the agent runs on, as far as its partition tables are concerned."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from ogagent.disk import blkid
from ogagent.disk.device import BlockDevice
from ogagent.disk.excluded import Exclusions
from ogagent.disk.identity import sysfs_directory
from ogagent.disk.kernel import KernelDisk, describe_disk
from ogagent.disk.layout import span_of
from ogagent.disk.machine import Device
from ogagent.disk.occupancy import read_occupants
from ogagent.disk.real import compare_disk, open_exclusively
from ogagent.errors import DeviceBusy, DiskChanged
from ogagent.model.disk import TableKind
from ogagent.partition.formats import make_filesystem
from ogagent.partition.kernel import node_at, tell
from ogagent.partition.plan import Firmware, PlannedPartition, TablePlan
from ogagent.system.loop import loop_over
from ogagent.system.patience import in_thread

_KINDS: Final[dict[str, TableKind]] = {"gpt": "gpt", "dos": "msdos"}
_BUSY_S: Final = 10.0
_PAUSE_S: Final = 0.1
_HINT: Final = "read the inventory again, and repeat the request when the disk is the one you mean"


def firmware() -> Firmware:
    """By which this machine has booted."""
    return "uefi" if Path("/sys/firmware/efi").exists() else "bios"


class RealTables:
    """Implements ``ogagent.partition.machine.TableMachine``. ``exclude`` as in ``[disks]`` of the configuration. Who is
    busy is waited for ``busy_s`` seconds.
    """

    def __init__(self, exclude: Sequence[str] = (), busy_s: float = _BUSY_S) -> None:
        """Blocking. Raises SettingsError for a path in ``exclude`` that is no block device."""
        self._exclusions = Exclusions(exclude)
        self._busy_s = busy_s

    @contextmanager
    def hold(self, plan: TablePlan) -> Iterator[None]:
        """udevd takes the same lock before it looks at a disk, and looks when this is closed:
        https://systemd.io/BLOCK_DEVICE_LOCKING
        """
        with _opened(plan, os.O_RDWR) as fd:
            compare_disk(fd, plan)
            _lock(fd, plan, self._busy_s)
            yield

    @contextmanager
    def open_disk(self, plan: TablePlan, tables: Collection[TableKind | None]) -> Iterator[Device]:
        with ExitStack() as opened:
            fd = _claimed(plan, opened)
            compare_disk(fd, plan)
            gone = (*map(span_of, plan.lost), *map(span_of, plan.emptied))
            self._exclusions.refuse(plan.device, plan.identity, gone)
            _compare_kind(fd, plan, tables)
            device = BlockDevice(os.dup(fd), base=0, size=plan.size, sector_size=plan.sector_size, name=plan.device)
            opened.callback(device.close)
            yield device

    def tell_kernel(self, plan: TablePlan) -> None:
        with _opened(plan, os.O_RDONLY) as fd:
            compare_disk(fd, plan)
            tell(fd, plan, self._busy_s)

    async def make_filesystem(self, plan: TablePlan, partition: PlannedPartition) -> None:
        node = await in_thread(_node, plan, partition, self._busy_s)
        if node is not None:
            await make_filesystem(partition.filesystem, node, partition.label)
            return
        async with loop_over(plan.device, partition.start, partition.size, plan.sector_size) as loop:
            await make_filesystem(partition.filesystem, loop, partition.label)


@contextmanager
def _opened(plan: TablePlan, flags: int) -> Iterator[int]:
    try:
        fd = os.open(plan.device, flags | os.O_CLOEXEC)
    except OSError as error:
        raise DiskChanged(f"{plan.device} cannot be opened: {error.strerror}", hint=_HINT) from error
    try:
        yield fd
    finally:
        os.close(fd)


def _claimed(plan: TablePlan, opened: ExitStack) -> int:
    """The whole disk for nobody else; while something that is kept is in use, each partition that goes.

    On a whole disk O_EXCL fails when anything on it is mounted, swapped on, or held by a volume: open(2).
    """
    try:
        fd = open_exclusively(plan.device)
    except FileNotFoundError:
        raise DiskChanged(f"{plan.device} is not there any more", hint=_HINT) from None
    except DeviceBusy:
        with _opened(plan, os.O_RDONLY) as looking:
            disk = describe_disk(sysfs_directory(os.fstat(looking).st_rdev), read_occupants())
        if disk.holder or not _only_kept_in_use(disk, plan):
            raise
        for part in disk.partitions.values():
            if span_of(part) not in plan.kept and not _holds_kept(part.start, plan):
                opened.callback(os.close, open_exclusively(part.device))
        return opened.enter_context(_opened(plan, os.O_RDWR))
    opened.callback(os.close, fd)
    return fd


def _only_kept_in_use(disk: KernelDisk, plan: TablePlan) -> bool:
    held = [part for part in disk.partitions.values() if part.holder]
    return bool(held) and all(span_of(part) in plan.kept for part in held)


def _holds_kept(start: int, plan: TablePlan) -> bool:
    """An extended partition, of which the kernel has two sectors, that stays."""
    return any(part.fate == "kept" and part.start == start for part in plan.partitions)


def _compare_kind(fd: int, plan: TablePlan, tables: Collection[TableKind | None]) -> None:
    found = blkid.partition_table(fd, plan.sector_size)
    if _KINDS.get(found) not in tables:
        raise DiskChanged(f"{plan.device} has another partition table now ({found or 'none'})", hint=_HINT)


def _lock(fd: int, plan: TablePlan, busy_s: float) -> None:
    end = time.monotonic() + busy_s
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise DeviceBusy(f"{plan.device} is locked by somebody else", hint="end what works on it") from None
        else:
            return
        time.sleep(_PAUSE_S)


def _node(plan: TablePlan, partition: PlannedPartition, busy_s: float) -> str | None:
    """Free for the tool that will open it: nobody has mounted it meanwhile."""
    with _opened(plan, os.O_RDONLY) as fd:
        compare_disk(fd, plan)
        node = node_at(fd, span_of(partition), busy_s)
    if node is not None:
        os.close(open_exclusively(node))
    return node
