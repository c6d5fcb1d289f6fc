"""Work shared out among the threads of a restore, and the memory that they do it in."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest

from ogagent.restore.patience import share_out
from ogagent.restore.threads import Buffers, thread_count

THREADS: Final = 4
WAIT_S: Final = 300
MIB: Final = 1 << 20


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(THREADS) as pool:
        yield pool


def nothing() -> None: ...


async def test_answers_in_the_order_of_the_items(executor: ThreadPoolExecutor) -> None:
    """However long each of them took: the first ends last."""
    later = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            later.wait(WAIT_S)
        elif item == 49:
            later.set()
        return item * item

    assert await share_out(executor, THREADS, nothing, work, iter(range(50))) == [item * item for item in range(50)]
    assert await share_out(executor, 1, nothing, work, range(1, 9)) == [item * item for item in range(1, 9)]
    assert await share_out(executor, THREADS, nothing, work, []) == []


async def test_as_many_threads_as_were_asked_for(executor: ThreadPoolExecutor) -> None:
    together = threading.Barrier(THREADS)
    await share_out(executor, THREADS, nothing, lambda _: together.wait(WAIT_S), range(THREADS))


async def test_items_are_begun_in_order(executor: ThreadPoolExecutor) -> None:
    begun: list[int] = []
    lock = threading.Lock()

    def items() -> Iterator[int]:
        for item in range(500):
            with lock:
                begun.append(item)
            yield item

    await share_out(executor, THREADS, nothing, lambda _: None, items())
    assert begun == list(range(500))


@pytest.mark.parametrize("first", [0, 1])
async def test_the_first_failure_in_time_is_raised_and_nothing_is_begun_after_it(first: int) -> None:
    """Whichever item it is: its thread is free again before the other one fails."""
    both, free = threading.Barrier(2), threading.Event()
    begun = []

    def work(item: int) -> None:
        begun.append(item)
        both.wait(WAIT_S)
        if item == first:
            pair.submit(free.set)
        else:
            free.wait(WAIT_S)
        raise ValueError(f"item {item}")

    with ThreadPoolExecutor(2) as pair, pytest.raises(ValueError, match=f"item {first}"):
        await share_out(pair, 2, nothing, work, range(10))
    assert sorted(begun) == [0, 1]


async def test_items_that_fail(executor: ThreadPoolExecutor) -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        await share_out(executor, THREADS, nothing, lambda item: item, items())


async def test_a_cancel_hurries_and_waits_for_what_has_begun(executor: ThreadPoolExecutor) -> None:
    begun, hurried, ended = threading.Event(), threading.Event(), threading.Event()

    def work(item: int) -> None:
        begun.set()
        hurried.wait(WAIT_S)
        ended.set()

    shared = asyncio.ensure_future(share_out(executor, 1, hurried.set, work, range(1000)))
    await asyncio.to_thread(begun.wait, WAIT_S)
    shared.cancel()
    with pytest.raises(asyncio.CancelledError):
        await shared
    assert ended.is_set()


def test_threads_follow_the_cores_that_may_be_used() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert thread_count() == 3
    finally:
        os.sched_setaffinity(0, before)
    assert thread_count() == max(3, min(len(before), 16))


def test_memory_is_used_again() -> None:
    buffers = Buffers()
    with buffers.one(8192) as first, buffers.one(8192) as second:
        first[:], second[:] = b"1" * 8192, b"2" * 8192
    with buffers.one(4096) as third, buffers.one(8192) as fourth:
        assert {bytes(third[:1]), bytes(fourth[:1])} == {b"1", b"2"}
        assert (len(third), len(fourth)) == (4096, 8192)
    with buffers.one(3 * MIB) as larger:
        assert len(larger) == 3 * MIB
    with buffers.one(0) as empty:
        assert len(empty) == 0


async def test_no_more_memory_than_there_is_room_for(executor: ThreadPoolExecutor) -> None:
    """Four threads want 20 MiB each; two may have them at once."""
    buffers = Buffers()
    lock = threading.Lock()
    at_once = most = 0

    def work(_: int) -> None:
        nonlocal at_once, most
        with buffers.one(20 * MIB):
            with lock:
                at_once += 1
                most = max(most, at_once)
            with lock:
                at_once -= 1

    await share_out(executor, THREADS, nothing, work, range(200))
    assert most <= 2


def test_whoever_is_alone_gets_what_he_needs() -> None:
    with Buffers().one(100 * MIB) as buffer:
        assert len(buffer) == 100 * MIB
