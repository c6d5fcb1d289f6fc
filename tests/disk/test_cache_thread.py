"""The thread of the CACHE: in order, waited for with a bound, and left behind without harm."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Iterator

import pytest

from ogagent.disk.cache_thread import CacheThread
from ogagent.errors import CacheError, CacheFull


class Gate:
    """What hangs in the kernel, until it is opened."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.open = threading.Event()

    def pass_through(self) -> str:
        self.reached.set()
        self.open.wait()
        return "passed"


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open.set()


async def test_one_thing_after_the_other() -> None:
    thread, seen = CacheThread(), list[int]()
    await asyncio.gather(*(thread.run(seen.append, number) for number in range(50)))
    assert seen == list(range(50))


async def test_it_starts_again_after_a_rest() -> None:
    thread = CacheThread()
    first = await thread.run(threading.current_thread)
    first.join(300)
    assert not first.is_alive()
    assert await thread.run(lambda: "done") == "done"


@pytest.mark.parametrize(
    ("number", "kind", "der"),
    [(errno.ENOSPC, CacheFull, 16), (errno.EDQUOT, CacheFull, 16), (errno.EFBIG, CacheFull, 16),
     (errno.EIO, CacheError, 31), (errno.EROFS, CacheError, 31)],
)  # fmt: skip
async def test_what_the_kernel_says_is_told(number: int, kind: type[CacheError], der: int) -> None:
    def fail() -> None:
        raise OSError(number, "no", "name")

    with pytest.raises(kind, match="name") as failure:
        await CacheThread().run(fail)
    assert failure.value.number == der


async def test_another_failure_stays_what_it_is() -> None:
    with pytest.raises(ZeroDivisionError):
        await CacheThread().run(lambda: 1 / 0)


async def test_who_does_not_answer_is_left_behind(gate: Gate) -> None:
    thread = CacheThread(patience_s=0.05)
    with pytest.raises(CacheError, match="does not answer"):
        await thread.run(gate.pass_through)
    assert thread.stuck
    with pytest.raises(CacheError, match="does not answer"):
        await thread.run(lambda: None)
    closed = thread.start(lambda: "closed")
    gate.open.set()
    await asyncio.wait_for(thread.come_back(), 300)
    assert closed.result(0) == "closed"
    assert not thread.stuck
    thread.patience_s = 300
    assert await thread.run(lambda: "again") == "again"


async def test_a_cancel_waits_for_what_ends_soon(gate: Gate) -> None:
    thread = CacheThread(grace_s=30)
    job = asyncio.create_task(thread.run(gate.pass_through))
    await asyncio.to_thread(gate.reached.wait)
    job.cancel()
    await asyncio.sleep(0)
    assert not job.done()
    gate.open.set()
    await asyncio.wait([job])
    assert job.cancelled()
    assert not thread.stuck


async def test_a_cancel_does_not_wait_for_what_hangs(gate: Gate) -> None:
    thread = CacheThread(grace_s=0.05)
    job = asyncio.create_task(thread.run(gate.pass_through))
    await asyncio.to_thread(gate.reached.wait)
    job.cancel()
    await asyncio.wait_for(asyncio.wait([job]), 300)
    assert job.cancelled()
    assert thread.stuck


async def test_after_a_cancel_nothing_is_given_up_but_the_wait(gate: Gate) -> None:
    thread = CacheThread(grace_s=0.05)
    thread.start(gate.pass_through)
    closing = thread.start(lambda: "closed")
    with pytest.raises(CacheError):
        await thread.wait(closing, cancelled=True)
    gate.open.set()
    assert await asyncio.to_thread(closing.result, 30) == "closed"


async def test_the_loop_goes_on_meanwhile(gate: Gate) -> None:
    thread = CacheThread()
    job = asyncio.create_task(thread.run(gate.pass_through))
    await asyncio.to_thread(gate.reached.wait)
    others = [asyncio.create_task(thread.run(lambda: None)) for _ in range(5)]
    for _ in range(100):
        await asyncio.sleep(0)
    assert not job.done()
    gate.open.set()
    assert await job == "passed"
    await asyncio.gather(*others)


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSPC])
async def test_a_name_that_is_no_text_is_told_as_one_that_is(number: int) -> None:
    """A system that has the CACHE to itself may give its files any name."""

    def fail() -> None:
        raise OSError(number, "no", os.fsdecode(b"\xff\n\x1b[2J" + b"x" * 200 + b".img"))

    with pytest.raises(CacheError, match=r"\?\?\?\[2Jx") as failure:
        await CacheThread().run(fail)
    assert failure.value.der.isprintable()
