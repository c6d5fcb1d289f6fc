"""A restore onto a device that records, fails and lies."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from ogagent.errors import AgentError, WriteFailed
from ogagent.model.disk import Inventory
from ogagent.model.plan import Target
from ogagent.model.progress import NoBooks
from ogagent.restore.job import restore
from ogagent.restore.progress import Progress
from ogagent.restore.request import RestorePlan, restore_request
from ogagent.source.source import SourcePolicy
from tests.records import without_record
from tests.restore.one_image import BEFORE, BLOCK, IMAGE, MIB, PAGES, SIZE


class RecordingDevice:
    """Implements ``ogagent.disk.machine.Device`` in memory."""

    def __init__(self, size: int = SIZE) -> None:
        self.size = size
        self.medium = bytearray(BEFORE[:size])
        self.log: list[tuple[str, int, int]] = []
        self.opened = self.closed = False
        self.fail_at = -1
        """The number of the operation that changes the medium, or flushes, which fails."""
        self.lies_at = -1
        """A byte that reads back as another one."""
        self.loses_at = -1
        """A byte that is never written, though the device says so."""
        self.before: Callable[[int], None] = lambda _: None

    @property
    def head(self) -> bytes:
        """But for the record of the restore that did not finish."""
        return without_record(bytes(self.medium[:MIB]))

    def write(self, offset: int, data: memoryview) -> None:
        self._act("write", offset, len(data))
        self._store(offset, bytes(data))

    def zero(self, offset: int, length: int) -> None:
        self._act("zero", offset, length)
        self._store(offset, bytes(length))

    def flush(self) -> None:
        self._act("flush", 0, 0)

    def read_back(self, offset: int, into: memoryview) -> None:
        assert not self.closed
        self.before(-1)
        into[:] = self.medium[offset : offset + len(into)]
        if offset <= self.lies_at < offset + len(into):
            into[self.lies_at - offset] ^= 1

    def _act(self, kind: str, offset: int, length: int) -> None:
        assert not self.closed
        assert 0 <= offset <= offset + length <= self.size
        number = len(self.log)
        self.before(number)
        self.log.append((kind, offset, length))
        if number == self.fail_at:
            raise WriteFailed(f"{kind} at {offset} failed")

    def _store(self, offset: int, data: bytes) -> None:
        kept = self.medium[self.loses_at] if self.loses_at >= 0 else 0
        self.medium[offset : offset + len(data)] = data
        if self.loses_at >= 0:
            self.medium[self.loses_at] = kept


class OneDevice:
    """Implements ``ogagent.disk.machine.Machine``."""

    def __init__(self, device: RecordingDevice) -> None:
        self.device = device

    async def inventory(self, *, thorough: bool = True) -> Inventory:  # noqa: ARG002 - as Machine has it
        return Inventory()

    @contextmanager
    def open_target(self, target: Target) -> Iterator[RecordingDevice]:
        assert target.size == self.device.size
        self.device.opened = True
        try:
            yield self.device
        finally:
            self.device.closed = True


def plan_for(image: Path, *, cpt: str = "83", size: int = SIZE, sector: int = 512) -> RestorePlan:
    call = {"dsk": "1", "par": "2", "idi": "1", "nci": "x", "ipr": "127.0.0.1", "cpt": cpt}
    target = Target(
        disk=1,
        partition=2,
        device="/dev/sda2",
        disk_device="/dev/sda",
        identity="wwn-1",
        start=MIB,
        size=size,
        sector_size=sector,
    )
    return RestorePlan(request=restore_request(call), target=target, source=image.as_uri())


POLICY: Final = SourcePolicy(tls=ssl.create_default_context(), networks=None, stall_timeout_s=30, retry_for_s=30)


class Watched(NoBooks):
    """how many operations the device had seen at each point."""

    def __init__(self, device: RecordingDevice) -> None:
        self.device = device
        self.seen: dict[str, int] = {}
        self.refuses = ""
        self.edges = b""

    def change_begins(self) -> None:
        self._note("touching")

    def committing(self, edges: bytes) -> None:
        self.edges = edges
        self._note("committing")

    def committed(self) -> None:
        self._note("committed")

    def _note(self, point: str) -> None:
        if point == self.refuses:
            raise WriteFailed("the journal is full")
        self.seen[point] = len(self.device.log)


class Bench:
    """One restore from a file to a device."""

    def __init__(self, folder: Path) -> None:
        self.image = folder / "x.img"
        self.device = RecordingDevice()
        self.books = Watched(self.device)
        self.progress = Progress()

    async def restore(self, data: bytes, *, cpt: str = "83", sector: int = 512) -> None:
        self.books.device = self.device
        self.progress.books = self.books
        self.image.write_bytes(data)
        plan = plan_for(self.image, cpt=cpt, size=self.device.size, sector=sector)
        try:
            await restore(plan, OneDevice(self.device), POLICY, self.progress)
        finally:
            await no_thread_left()
            assert self.device.opened == self.device.closed

    async def fails(self, kind: type[AgentError], data: bytes, number: int) -> None:
        with pytest.raises(kind) as caught:
            await self.restore(data)
        assert type(caught.value) is kind
        assert caught.value.number == number


async def no_thread_left() -> None:
    """Idle threads of a pool that was shut down end by themselves; one that works on would not."""
    for thread in threading.enumerate():
        if thread.name.startswith("restore"):
            await asyncio.to_thread(thread.join, 20)
            assert not thread.is_alive()


def nothing_written(bench: Bench) -> None:
    assert bench.device.log == []
    assert bytes(bench.device.medium) == BEFORE[: bench.device.size]
    assert bench.books.seen == {}
    assert not bench.progress.touched


FLUSH: Final = ("flush", 0, 0)
FIRST: Final = ("write", 0, BLOCK)
OTHERS: Final = [
    ("write", BLOCK, MIB - BLOCK),
    *(("write", page, BLOCK) for page in PAGES),
    ("write", SIZE - MIB, MIB),
]
WIPE: Final = [FIRST, FLUSH, *OTHERS, FLUSH]
COMMIT: Final = [*OTHERS, FLUSH, FIRST, FLUSH]


def first_of_head(log: list[tuple[str, int, int]]) -> int:
    """The number of the write with which the head, wiped at first, comes back."""
    return next(n for n, (kind, offset, _) in enumerate(log) if n >= len(WIPE) and kind == "write" and offset < MIB)


async def log_of_a_restore(folder: Path, read_back: bool = True) -> list[tuple[str, int, int]]:
    bench = Bench(folder)
    bench.progress.read_back_wanted = read_back
    await bench.restore(IMAGE)
    return bench.device.log


async def cancelled_at(bench: Bench, number: int, reads: int = -1) -> bool:
    """Cancels while the device is in operation ``number``, or in so many-th read; answers whether that was heard."""
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(bench.restore(IMAGE))
    count = 0

    def cancel(acts: int) -> None:
        nonlocal count
        count += acts == -1
        if (acts == number and acts >= 0) or (acts == -1 and count == reads):
            asked = threading.Event()
            loop.call_soon_threadsafe(task.cancel)
            loop.call_soon_threadsafe(asked.set)
            assert asked.wait(300)

    bench.device.before = cancel
    try:
        await task
    except asyncio.CancelledError:
        return True
    return False
