"""What a disk says of the job meanwhile, in the gap before its first partition: see ``ogagent.disk.record``.

It is there before anything else is changed, for the CACHE may be what is changed first, and with it all that would tell
of the job after a power cut. It goes when ogCore has been told.
"""

from __future__ import annotations

from collections.abc import Collection

from ogagent.disk.gap import GAP
from ogagent.disk.layout import Span, span_of
from ogagent.disk.machine import Device
from ogagent.disk.record import LENGTH, PLACE, is_free
from ogagent.partition.change import TableChange, expect, read
from ogagent.partition.plan import TablePlan


def has_room(device: Device, plan: TablePlan, change: TableChange, stays: Collection[Span]) -> bool:
    """Whether its page is nobody's while the job lasts and afterwards. ``stays`` is what is kept, and the table that is
    there.

    What is kept of a disk may be of use to somebody, and be it outside of its partitions.
    """
    pieces = [Span(piece.offset, piece.offset + len(piece.new)) for step in change.steps for piece in step]
    if any(span.meets(GAP) for span in (*stays, *pieces, *map(span_of, plan.partitions))):
        return False
    return plan.anew or bool(in_its_way(plan)) or is_free(read(device, PLACE, LENGTH))


def in_its_way(plan: TablePlan) -> list[Span]:
    """What goes, and lies where the record will: to be wiped before, or it might mount once more with that in it."""
    there = [span_of(part) for part in plan.lost] if plan.was else [Span(0, plan.size)]
    return [span for span in there if span.meets(GAP)]


def put(device: Device, record: bytes) -> None:
    """Raises WriteFailed, ReadBackDiffers."""
    device.write(PLACE, memoryview(record))
    device.flush()
    expect(device, PLACE, record)
