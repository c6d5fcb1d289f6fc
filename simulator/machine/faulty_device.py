"""A partition on a disk that fails or lies, by the faults that are there."""

from __future__ import annotations

import errno
import os
from collections import Counter
from typing import Final

from ogagent.disk.machine import Device
from ogagent.errors import WriteFailed
from simulator.faults import Fault, Faults

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

    @property
    def size(self) -> int:
        return self._device.size

    def write(self, offset: int, data: memoryview) -> None:
        stored = data
        for fault in self._present():
            stored = self._spoiled(fault, offset, stored)
        if stored:
            self._device.write(offset, stored)

    def zero(self, offset: int, length: int) -> None:
        if self._present():
            self.write(offset, memoryview(bytes(length)))
        else:
            self._device.zero(offset, length)

    def flush(self) -> None:
        for fault in self._present():
            if fault.what == "flush" and self._counts(fault):
                raise self._failure("flushing", "", errno.EIO)
        self._device.flush()

    def read_back(self, offset: int, into: memoryview) -> None:
        faults = self._present()
        self._device.read_back(offset, into)
        for fault in faults:
            place = self._place(fault) - offset
            if not 0 <= place < len(into):
                continue
            if fault.what == "unreadable":
                raise self._failure("reading back", f" at offset {offset}", errno.EIO)
            if fault.what == "misread" and self._counts(fault):
                into[place] ^= _BIT

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
