"""The gap before the first partition of a disk, where it says whose job changed its table: ``ogagent.disk.record``."""

from __future__ import annotations

import os
from typing import Final

from ogagent.disk.layout import Span, span_of
from ogagent.disk.machine import Device
from ogagent.disk.record import LENGTH, PLACE, JobRecord, decode, disk_mark, read
from ogagent.disk.volume import Volume
from ogagent.errors import ReadBackDiffers
from ogagent.model.disk import UNREADABLE, Disk
from ogagent.system.memory import page_aligned

GAP: Final = Span(PLACE, PLACE + LENGTH)
"""The page of it that is used."""


def record_in_gap(disk: Disk) -> JobRecord | None:
    """None for what was copied with another disk, or lies in a partition's file system. Blocking. Raises OSError."""
    if disk.problem.startswith(UNREADABLE):
        return None
    if any(part.filesystem and span_of(part).meets(GAP) for part in disk.partitions):
        return None
    # Only to be read: udev looks at a disk anew, and has the kernel do so, when somebody closes it who could write.
    fd = os.open(disk.device, os.O_RDONLY | os.O_CLOEXEC)
    try:
        record = read(Volume(fd, 0, disk.size))
    finally:
        os.close(fd)
    return record if record is not None and record.disk == disk_mark(disk.identity) else None


def erase_record(gap: Device, job_id: str) -> None:
    """That of this very job, and no other. Blocking.

    Raises WriteFailed; ReadBackDiffers when it is still there.
    """
    page = page_aligned(LENGTH)
    gap.read_back(0, page)
    record = decode(bytes(page))
    if record is None or record.job_id != job_id:
        return
    gap.write(0, page_aligned(LENGTH))
    gap.flush()
    gap.read_back(0, page)
    if any(page):
        raise ReadBackDiffers(
            f"the record of {job_id} is still on its disk",
            hint="the disk or its cable lies: look at the kernel log (dmesg) and at smartctl",
        )
