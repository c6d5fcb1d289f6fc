"""A partition on a disk that fails, lies or takes its time, by the faults that are there."""

from __future__ import annotations

import errno
import os
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from ogagent.disk.machine import Device
from ogagent.errors import WriteFailed
from simulator.faults import Fault, Faults
from simulator.machine.medium import KINDS, Medium

_BIT: Final = 0x01


class FaultyDevice:
    """Implements ``ogagent.disk.machine.Device`` around another one. The places of faults are those of the partition.

    Faults may come and go while it is open; how often a place has been written is counted from the start of each.
    """

    def __init__(self, device: Device, name: str, faults: Faults) -> None:
        self._device = device
        self._name = name
        self._faults = faults
        self._times: Counter[Fault] = Counter()
        self._gone = False
        self._media: dict[Fault, Medium] = {}
        self._lock = threading.Lock()
        self.written = 0
        self.read = 0
        """Bytes that were asked for; ``written`` with those that were to be zeros."""

    @property
    def size(self) -> int:
        return self._device.size

    def write(self, offset: int, data: memoryview) -> None:
        stored, faults = data, self._present()
        for fault in faults:
            stored = self._spoiled(fault, offset, stored)
        with self._taking_time(faults, offset, len(data)):
            if stored:
                self._device.write(offset, stored)
        with self._lock:
            self.written += len(data)

    def zero(self, offset: int, length: int) -> None:
        faults = self._present()
        if any(fault.what != "medium" for fault in faults):
            self.write(offset, memoryview(bytes(length)))
            return
        with self._taking_time(faults, offset, length):
            self._device.zero(offset, length)
        with self._lock:
            self.written += length

    def flush(self) -> None:
        for fault in self._present():
            if fault.what == "flush" and self._counts(fault):
                raise self._failure("flushing", "", errno.EIO)
            if fault.what == "medium":
                self._medium(fault).flush()
        self._device.flush()

    def read_back(self, offset: int, into: memoryview) -> None:
        faults = self._present()
        with self._taking_time(faults, offset, len(into)):
            self._device.read_back(offset, into)
        with self._lock:
            self.read += len(into)
        for fault in faults:
            place = self._place(fault) - offset
            if not 0 <= place < len(into):
                continue
            if fault.what == "unreadable":
                raise self._failure("reading back", f" at offset {offset}", errno.EIO)
            if fault.what == "misread" and self._counts(fault):
                into[place] ^= _BIT

    @property
    def seeks(self) -> int:
        """How often the head of a slow medium had to move."""
        return sum(medium.seeks for medium in self._media.values())

    def _taking_time(self, faults: Sequence[Fault], offset: int, length: int) -> AbstractContextManager[None]:
        for fault in faults:
            if fault.what == "medium":
                return self._medium(fault).serving(offset, length)
        return nullcontext()

    def _medium(self, fault: Fault) -> Medium:
        with self._lock:
            return self._media.setdefault(fault, Medium(KINDS[str(fault.value)]))

    def _spoiled(self, fault: Fault, offset: int, data: memoryview) -> memoryview:
        """What is stored of ``data``. Raises WriteFailed when the device says that it failed."""
        end = offset + len(data)
        place = self._place(fault) - offset
        covered = 0 <= place < len(data)
        match fault.what:
            case "readonly":
                raise self._write_failure(offset, errno.EROFS)
            case "full" if self._hits(fault, end, covered):
                raise self._write_failure(offset, errno.ENOSPC)
            case "eio" if self._hits(fault, end, covered):
                raise self._write_failure(offset, errno.EIO)
            case "gone" if self._hits(fault, end, covered):
                self._gone = True
                raise self._write_failure(offset, errno.ENODEV)
            case "flip" if covered and self._counts(fault):
                flipped = bytearray(data)
                flipped[place] ^= _BIT
                return memoryview(flipped)
            case "lost" if covered and self._counts(fault):
                return data[:0]
            case "torn" if covered and self._counts(fault):
                return data[:place]
        return data

    def _hits(self, fault: Fault, end: int, covered: bool) -> bool:
        if fault.value is None:
            return end > self._place(fault)
        return covered and self._counts(fault)

    def _counts(self, fault: Fault) -> bool:
        """Whether this is the time at which the fault strikes; to be asked once each time."""
        self._times[fault] += 1
        return fault.value in (None, self._times[fault])

    def _place(self, fault: Fault) -> int:
        return fault.at.within(self.size) if fault.at else -1

    def _present(self) -> list[Fault]:
        if self._gone:
            raise self._failure("using", "", errno.ENODEV)
        return [fault for fault in self._faults() if fault.where == "disk"]

    def _write_failure(self, offset: int, number: int) -> WriteFailed:
        return self._failure("writing", f" at offset {offset}", number)

    def _failure(self, doing: str, place: str, number: int) -> WriteFailed:
        return WriteFailed(
            f"{doing} {self._name}{place} failed: {os.strerror(number)} ({errno.errorcode[number]})",
            hint="look at the kernel log (dmesg) and at the disk's health (smartctl)",
        )
