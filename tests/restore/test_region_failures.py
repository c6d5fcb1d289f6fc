"""Regions are fetched and laid down in any order: of several failures the first in time is the one that is told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Final

import pytest

from ogagent.errors import ImageCorrupt, RepositoryUnreachable, WriteFailed
from ogagent.image.indexed import IndexedImage, open_indexed
from ogagent.restore.edges import Edges
from ogagent.restore.indexed import RegionDelivery
from ogagent.restore.progress import Progress
from ogagent.restore.writer import PartitionWriter
from tests.faults.framed import REGION, framed, over
from tests.faults.images import BEFORE, MIB, SIZE

WAIT_S: Final = 300
THREADS: Final = 8
"""Enough for writes that wait to hold up nothing else."""
FRAMED: Final = framed("crc32")
GAPS: Final = 4
"""Every fourth region is there already, so that there are many stretches to fetch."""
INNER: Final = 4
"""The first stretch with something that is not of the edge, which is written last."""


def image() -> IndexedImage:
    prefix = FRAMED.index.prefix
    return open_indexed(FRAMED.index, FRAMED.data[prefix.offset : prefix.offset + prefix.length])


def half_right() -> bytearray:
    content, right = bytearray(BEFORE), over(BEFORE, "crc32")
    for start in range(0, SIZE, GAPS * REGION):
        content[start : start + REGION] = right[start : start + REGION]
    return content


class Disk:
    """Implements ``ogagent.disk.machine.Device``. ``at_write`` may fail for a write between the edges."""

    size = SIZE

    def __init__(self, at_write: Callable[[], None] = lambda: None) -> None:
        self.content = half_right()
        self._at_write = at_write

    def write(self, offset: int, data: memoryview) -> None:
        if MIB <= offset < SIZE - MIB:
            self._at_write()
        self.content[offset : offset + len(data)] = data

    def zero(self, offset: int, length: int) -> None:
        self.write(offset, memoryview(bytes(length)))

    def flush(self) -> None: ...

    def read_back(self, offset: int, into: memoryview) -> None:
        into[:] = self.content[offset : offset + len(into)]


Deed = Callable[[], Awaitable[None]]


class Repository:
    """Implements ``ogagent.source.source.Source``. ``deeds`` says what happens before the n-th part is sent."""

    takes_ranges = True
    size = len(FRAMED.data)

    def __init__(self, deeds: dict[int, Deed], *, damaged: bool = False) -> None:
        self._deeds = deeds
        self._damaged = damaged
        self._asked = 0
        self.waiting = 0

    def chunks(self) -> AsyncGenerator[bytes, None]:
        return self.part(0, self.size)

    async def part(self, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        number, self._asked = self._asked, self._asked + 1
        if deed := self._deeds.get(number):
            self.waiting += 1
            await deed()
        frame = FRAMED.data[start:stop]
        yield bytes(len(frame)) if self._damaged else frame

    def at_hand(self, start: int, stop: int) -> bool:  # noqa: ARG002 - as Source has it
        return False

    def doubt(self, start: int, stop: int) -> bool:  # noqa: ARG002 - as Source has it
        return False

    async def sidecar(self, suffix: str, limit: int) -> bytes | None:  # noqa: ARG002 - likewise
        return None


class Delivery(RegionDelivery):
    """``stopped`` is set once others have been told to end."""

    def __init__(self, repository: Repository, progress: Progress) -> None:
        super().__init__(image(), repository, progress)
        self.stopped = threading.Event()

    def stop(self) -> None:
        super().stop()
        self.stopped.set()


async def deliver(repository: Repository, disk: Disk, delivery: Delivery | None = None) -> None:
    progress = Progress()
    delivery = delivery or Delivery(repository, progress)
    with ThreadPoolExecutor(THREADS) as executor:
        writer = PartitionWriter(disk, progress)
        delivery.look(disk, writer)
        async with asyncio.timeout(WAIT_S):
            await delivery.run(writer, executor)


async def forever() -> None:
    await asyncio.Event().wait()


def failing(text: str) -> Deed:
    async def fail() -> None:
        raise RepositoryUnreachable(text)

    return fail


def failing_when_told_to_end(text: str, others: int, repository: Callable[[], Repository], told: asyncio.Event) -> Deed:
    """Sets ``told`` when all ``others`` wait like this one."""

    async def fail() -> None:
        if repository().waiting == others:
            told.set()
        try:
            await forever()
        except asyncio.CancelledError:
            raise RepositoryUnreachable(text) from None

    return fail


async def test_all_goes_well() -> None:
    disk, meant = Disk(), over(BEFORE, "crc32")
    await deliver(Repository({}), disk)
    for inner in Edges(disk).between(0, SIZE):
        assert disk.content[inner.start : inner.stop] == meant[inner.start : inner.stop]


@pytest.mark.parametrize("first", range(3))
async def test_of_several_requests_the_first_to_fail(first: int) -> None:
    """The other two fail as well, but only when they are told to end."""
    all_wait = asyncio.Event()

    async def fail_when_all_wait() -> None:
        if repository.waiting == 3:
            all_wait.set()
        await all_wait.wait()
        raise RepositoryUnreachable(f"request {first}")

    deeds: dict[int, Deed] = {
        number: failing_when_told_to_end(f"request {number}", 3, lambda: repository, all_wait) for number in range(3)
    }
    repository = Repository(deeds | {first: fail_when_all_wait})
    with pytest.raises(RepositoryUnreachable, match=f"request {first}"):
        await deliver(repository, Disk())


def broken_disk() -> None:
    raise WriteFailed("the disk is broken")


@pytest.mark.parametrize("stalled", range(INNER + 1, INNER + 4))
async def test_a_broken_disk_is_told_at_once_though_the_repository_says_nothing_any_more(stalled: int) -> None:
    told = asyncio.Event()
    deeds = {
        number: failing_when_told_to_end("too late", 0, lambda: repository, told) for number in range(stalled, 100)
    }
    repository = Repository(deeds)
    with pytest.raises(WriteFailed):
        await deliver(repository, Disk(broken_disk))


async def test_damage_is_told_at_once_though_the_repository_says_nothing_any_more() -> None:
    told = asyncio.Event()
    deeds = {
        number: failing_when_told_to_end("too late", 0, lambda: repository, told) for number in range(INNER + 1, 100)
    }
    repository = Repository(deeds, damaged=True)
    with pytest.raises(ImageCorrupt):
        await deliver(repository, Disk())


async def test_a_repository_that_fails_before_the_disk_does_is_told() -> None:
    writing = asyncio.Event()
    loop = asyncio.get_running_loop()

    def break_later() -> None:
        loop.call_soon_threadsafe(writing.set)
        assert delivery.stopped.wait(WAIT_S)
        raise WriteFailed("too late")

    async def fail_while_writing() -> None:
        await writing.wait()
        raise RepositoryUnreachable("it is gone")

    repository = Repository(dict.fromkeys(range(INNER + 1, 100), fail_while_writing))
    delivery = Delivery(repository, Progress())
    with pytest.raises(RepositoryUnreachable, match="it is gone"):
        await deliver(repository, Disk(break_later), delivery)


async def test_a_cancel_is_a_cancel_whatever_fails_afterwards() -> None:
    told = asyncio.Event()
    deeds = {number: failing_when_told_to_end("too late", 3, lambda: repository, told) for number in range(3)}
    repository = Repository(deeds)
    restore = asyncio.create_task(deliver(repository, Disk()))
    await told.wait()
    restore.cancel()
    await asyncio.wait([restore])
    assert restore.cancelled()


def test_many_stretches() -> None:
    """Otherwise the tests above would show nothing."""
    found, right = half_right(), over(BEFORE, "crc32")
    held = [found[at : at + REGION] == right[at : at + REGION] for at in range(0, SIZE, REGION)]
    assert sum(before and not here for before, here in pairwise(held)) > 10
