"""The only module that changes partition tables.

In this order: the disk says whose job it is; what begins anew is wiped; the new table is written beside the old one,
and one sector decides; the kernel is told; file systems are made. Interrupted at any point, the disk has the old table
or the new one, and a partition that begins anew is empty or has its new file system.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

from ogagent.disk.gap import GAP
from ogagent.disk.layout import Span, is_extended, span_of
from ogagent.disk.machine import Device
from ogagent.errors import DiskChanged
from ogagent.partition import gap
from ogagent.partition.change import Draft, Read, TableChange, read
from ogagent.partition.gpt import ENTRIES, Gpt, draft_gpt, gpt_at, has_protective_mbr, read_gpt
from ogagent.partition.msdos import Msdos, draft_msdos, read_msdos
from ogagent.partition.plan import TablePlan
from ogagent.partition.wiping import wipe, wiped

_log: Final = logging.getLogger(__name__)

_EFI_PART: Final = b"EFI PART"


def prepare(device: Device, plan: TablePlan) -> TableChange:
    """What will be written, to be put down in the journal before it is. Blocking; writes nothing.

    Raises DiskChanged when the table is not the one that the plan was made for, PartitioningFailed when no safe way
    leads to the new one.
    """
    disk: Read = partial(read, device)
    gpt, msdos = _there(disk, plan)
    holes = _holes(disk, plan)
    zeros = [span for target in _targets(plan) for span in wiped(target, holes)]
    draft = Draft(partial(_wiped_read, disk, zeros), plan.sector_size)
    if plan.table == "gpt":
        draft_gpt(draft, plan, gpt)
    else:
        draft_msdos(draft, plan, msdos)
        if draft.steps:
            draft.step(*_headers(draft.read, plan))
    stale = [link for link in msdos.links if any(_within(link, span_of(part)) for part in plan.emptied)]
    return draft.done(disk, stale)


def write(device: Device, plan: TablePlan, change: TableChange, record: bytes = b"") -> None:
    """``record``: what the disk is to say of the job, if anything. Blocking. Raises WriteFailed or ReadBackDiffers."""
    holes, targets = _holes(partial(read, device), plan), list(_targets(plan))
    if record and (targets or change.steps):
        holes += _said(device, plan, change, record, holes)
    for target in targets:
        wipe(device, target, holes)
    change.write(device)


def _said(device: Device, plan: TablePlan, change: TableChange, record: bytes, holes: Sequence[Span]) -> Sequence[Span]:
    """Where the disk says now whose job this is; nowhere when it has no room."""
    if not gap.has_room(device, plan, change, holes):
        _log.warning("%s has no room to say whose job this is: after a power cut nobody might know", plan.device)
        return ()
    for span in gap.in_its_way(plan):
        wipe(device, span, holes)
    gap.put(device, record)
    return (GAP,)


def _targets(plan: TablePlan) -> Iterator[Span]:
    """What is wiped: what goes where the new table and the record may lie, what begins anew, and the disk when all of
    it does.
    """
    for part in plan.lost:
        if any(span_of(part).meets(span) for span in (GAP, *_room_of_the_table(plan))):
            yield span_of(part)
    for planned in plan.emptied:
        yield span_of(planned)
    if plan.anew:
        yield Span(0, plan.size)


def _room_of_the_table(plan: TablePlan) -> Iterator[Span]:
    room = plan.sector_size + 2 * ENTRIES
    yield Span(0, plan.sector_size + room)
    yield Span(plan.size - room, plan.size)
    for part in plan.partitions:
        if is_extended(plan.table, part.code) and part.fate != "kept":
            yield span_of(part)


def _holes(disk: Read, plan: TablePlan) -> list[Span]:
    """The sectors of the table that is there stay until it does not count any more."""
    return [*plan.kept, *_own(disk, plan)]


def _wiped_read(disk: Read, zeros: Sequence[Span], offset: int, length: int) -> bytes:
    content = bytearray(disk(offset, length))
    for span in zeros:
        start, end = max(span.start, offset), min(span.end, offset + length)
        if start < end:
            content[start - offset : end - offset] = bytes(end - start)
    return bytes(content)


def empty(device: Device, plan: TablePlan, number: int) -> None:
    """A partition whose file system was begun and is not finished. Blocking."""
    for part in plan.emptied:
        if part.number == number:
            wipe(device, span_of(part))


def _there(disk: Read, plan: TablePlan) -> tuple[Gpt | None, Msdos]:
    """The table that counts. Raises DiskChanged when it is not that of the plan."""
    gpt = read_gpt(disk, plan.size, plan.sector_size) if has_protective_mbr(disk, plan.sector_size) else None
    msdos = read_msdos(disk, plan.sector_size) if plan.was == "msdos" else Msdos(rows={}, links=())
    found = {(start, size) for start, size, _ in gpt.rows(plan.sector_size)} if gpt else set(msdos.rows)
    expected = {(part.start, part.size) for part in plan.before}
    if (gpt is not None) != (plan.was == "gpt") or found != expected:
        raise DiskChanged(
            f"{plan.device} has another partition table than when the request was accepted",
            hint="read the inventory again, and repeat the request",
        )
    return gpt, msdos


def _own(disk: Read, plan: TablePlan) -> Iterator[Span]:
    """Where the table that counts lies."""
    size = plan.sector_size
    gpt, msdos = _there(disk, plan)
    if plan.was:
        yield Span(0, size)
    for link in msdos.links:
        yield Span(link, link + size)
    if gpt:
        yield from (Span(at * size, at * size + size) for at in (gpt.at, gpt.alternate))
        yield Span(gpt.entries_at * size, gpt.entries_at * size + len(gpt.entries))
        if copy := gpt_at(gpt.alternate, disk, plan.size, size):
            yield Span(copy.entries_at * size, copy.entries_at * size + len(copy.entries))


def _headers(disk: Read, plan: TablePlan) -> Iterator[tuple[int, bytes]]:
    """Those of a GPT that does not count any more, where an MSDOS table does."""
    size = plan.sector_size
    for place in (size, (plan.size // size - 1) * size):
        kept = any(_within(place, span) for span in plan.kept)
        if not kept and disk(place, size).startswith(_EFI_PART):
            yield place, bytes(size)


def _within(place: int, span: Span) -> bool:
    return span.start <= place < span.end
