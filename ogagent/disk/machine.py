"""What the rest of the agent needs of a machine: its disks, and one partition opened for writing.

``ogagent.disk.real`` is the machine the agent runs on; a twin whose disks are files implements the same protocols.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, AbstractContextManager
from pathlib import Path
from typing import Protocol

from ogagent.disk.cache_thread import CacheThread
from ogagent.model.disk import Disk, Inventory
from ogagent.model.plan import Target


class Device(Protocol):
    """A partition, held exclusively. Offsets and lengths are bytes from its start. Blocking; used from worker threads.

    Every method raises WriteFailed, with offset and errno, when the device refuses; nothing is tried twice.
    """

    @property
    def size(self) -> int: ...

    def write(self, offset: int, data: memoryview) -> None:
        """Writes all of ``data`` or raises. Beyond ``size`` nothing is ever written."""

    def zero(self, offset: int, length: int) -> None:
        """The range reads as zeros afterwards."""

    def flush(self) -> None:
        """Returns when everything written is on the medium."""

    def read_back(self, offset: int, into: memoryview) -> None:
        """Reads from the medium, not from a cache of what was written."""


class Inventoried(Protocol):
    async def inventory(self, *, thorough: bool = True) -> Inventory:
        """The disks as they are now. ``incomplete`` is what partitions say of themselves; the jobs may know more.

        Unless ``thorough``, ``os`` and ``used`` may be missing: they take longer than all else.
        """


class Machine(Inventoried, Protocol):
    def open_target(self, target: Target) -> AbstractContextManager[Device]:
        """Opens the partition exclusively. Blocking.

        Raises DiskChanged when what is there now is not what ``target`` was bound to, DeviceBusy when it is held,
        PartitionOverlaps when its bytes are not its own or not all on the disk, TargetIsSystem when it is protected.
        """


class WholeMachine(Machine, Protocol):
    def open_gap(self, disk: Disk) -> AbstractContextManager[Device]:
        """The page of the disk in which it may have a record, and nothing else; also while it is in use. Blocking.

        Raises DiskChanged when there is another disk now, TargetIsSystem when it is protected.
        """


class ReportShelf(Protocol):
    """Small files that outlive the power, known by their names. Several may use it at once.

    What cannot be done raises CacheError.
    """

    async def put(self, name: str, content: bytes) -> None:
        """All of it is there afterwards, or what was there before."""

    async def list(self, most: int, largest: int) -> dict[str, bytes]:
        """Names and contents: of no more than ``most`` files, and of none that has more than ``largest`` bytes."""

    async def remove(self, name: str) -> None:
        """Also when it is not there."""


class CacheStore(Protocol):
    @property
    def thread(self) -> CacheThread:
        """The only one that touches what is mounted."""

    def mounted(self, place: Target, *, repair: bool = True) -> AbstractAsyncContextManager[Path]:
        """The root of the file system of the CACHE, to be read, as long as the block lasts. Several may use it at once.

        Nothing is written by this, unless the file system has to be repaired first. Raises CacheError, also when the
        CACHE is not at this place any more, and, without ``repair``, when it would be repaired.
        """

    def writable(self) -> AbstractAsyncContextManager[None]:
        """Inside of ``mounted``: as long as the block lasts, it may be written to. Raises CacheError."""
