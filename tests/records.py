"""The record that a partition carries while a restore of it has not finished, as tests look at it."""

from __future__ import annotations

from ogagent.disk.record import LENGTH, PLACE, JobRecord, decode


def record_in(partition: bytes | bytearray) -> JobRecord | None:
    """``partition`` from its beginning on, a MiB of it at least."""
    return decode(bytes(partition[PLACE : PLACE + LENGTH]))


def without_record(partition: bytes) -> bytes:
    """The same bytes with zeros where the record is; all of them when there is none."""
    if record_in(partition) is None:
        return partition
    return partition[:PLACE] + bytes(LENGTH) + partition[PLACE + LENGTH :]
