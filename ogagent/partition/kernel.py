"""The kernel is told of partitions one by one: it needs neither read tables itself nor let go of what is in use.

Source: linux/blkpg.h.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import logging
import os
import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ogagent.disk.identity import SECTOR, device_node, read_number, size_of, sysfs_directory
from ogagent.disk.layout import Span, is_extended, span_of
from ogagent.errors import DeviceBusy, PartitioningFailed
from ogagent.partition.plan import TablePlan

_log: Final = logging.getLogger(__name__)

_BLKPG: Final = 0x1269
_ADD: Final = 1
_DELETE: Final = 2
_PARTITION: Final = struct.Struct("qqi64s64s4x")
_ARGUMENT: Final = struct.Struct("iii4xP")
_PAUSE_S: Final = 0.1
_EXTENDED: Final = 1024
"""As much as the kernel itself has of an extended partition, so that nobody formats it: block/partitions/msdos.c."""
_UNABLE: Final = (errno.EINVAL, errno.ENOTTY, errno.EOPNOTSUPP)


def tell(fd: int, plan: TablePlan, busy_s: float) -> None:
    """``fd`` is the whole disk. Blocking. Raises DeviceBusy, PartitioningFailed.

    A kernel that can have no partitions on this disk is left alone.
    """
    wanted = _wanted(plan)
    end = time.monotonic() + busy_s
    for number, span in sorted(_known(fd).items(), reverse=True):
        if not _is_there(plan, wanted, number, span):
            _patiently(fd, _DELETE, number, span, plan, end)
    known = _known(fd)
    for number, span in sorted(wanted.items()):
        if number not in known and not _patiently(fd, _ADD, number, span, plan, end):
            _log.warning("the kernel knows no partitions on %s", plan.device)
            return


def node_at(fd: int, span: Span, busy_s: float) -> str | None:
    """The node of the partition that lies there, whatever it is called; waited for. None when there is none."""
    end = time.monotonic() + busy_s
    while True:
        for sysfs in _partitions(fd):
            if _span(sysfs) == span:
                node = Path(device_node(sysfs))
                if node.is_block_device() and _number(sysfs) == node.stat().st_rdev:
                    return str(node)
                break
        else:
            return None
        if time.monotonic() > end:
            _log.warning("the kernel has made no node for %s", sysfs)
            return None
        time.sleep(_PAUSE_S)


def _wanted(plan: TablePlan) -> dict[int, Span]:
    return {
        part.number: Span(part.start, part.start + max(_EXTENDED, plan.sector_size))
        if is_extended(plan.table, part.code)
        else span_of(part)
        for part in plan.partitions
    }


def _is_there(plan: TablePlan, wanted: Mapping[int, Span], number: int, span: Span) -> bool:
    """Of an extended partition kernels have more or less."""
    extended = {part.number for part in plan.partitions if is_extended(plan.table, part.code)}
    meant = wanted.get(number)
    if meant and number in extended:
        return span.start == meant.start
    return span == meant


def _patiently(fd: int, what: int, number: int, span: Span, plan: TablePlan, end: float) -> bool:
    """False when the kernel cannot do such a thing on this disk. Who looks at what has just changed is waited for."""
    while True:
        try:
            _ask(fd, what, number, span)
        except OSError as error:
            if error.errno in _UNABLE and what == _ADD:
                return False
            if error.errno == errno.ENXIO and what == _DELETE:
                return True
            if error.errno != errno.EBUSY:
                raise PartitioningFailed(
                    f"the kernel does not take partition {number} of {plan.device}: {error.strerror}",
                    hint="look at the kernel log (dmesg); the table is on the disk, and counts after the next start",
                ) from error
            if time.monotonic() > end:
                raise DeviceBusy(
                    f"the kernel still uses partition {number} of {plan.device} as it was: somebody has it open",
                    hint="the table is on the disk: close what uses it, or start the PC anew",
                ) from error
        else:
            return True
        time.sleep(_PAUSE_S)


def _ask(fd: int, what: int, number: int, span: Span) -> None:
    told = _PARTITION.pack(span.start, span.end - span.start, number, b"", b"")
    held = ctypes.create_string_buffer(told, len(told))
    fcntl.ioctl(fd, _BLKPG, _ARGUMENT.pack(what, 0, len(told), ctypes.addressof(held)))


def _known(fd: int) -> dict[int, Span]:
    return {read_number(sysfs / "partition"): _span(sysfs) for sysfs in _partitions(fd)}


def _partitions(fd: int) -> list[Path]:
    return [path.parent for path in sysfs_directory(os.fstat(fd).st_rdev).glob("*/partition")]


def _span(sysfs: Path) -> Span:
    start = read_number(sysfs / "start") * SECTOR
    return Span(start, start + size_of(sysfs))


def _number(sysfs: Path) -> int:
    major, minor = map(int, (sysfs / "dev").read_text("utf-8").split(":"))
    return os.makedev(major, minor)
