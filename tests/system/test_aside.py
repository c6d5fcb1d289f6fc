"""Work that may never come back is left behind, with what it holds."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from ogagent.system.aside import aside

FAR_S = 300.0


async def test_a_result_and_an_error() -> None:
    assert await aside(FAR_S, lambda: 1) == 1
    with pytest.raises(ZeroDivisionError):
        await aside(FAR_S, lambda: 1 // 0)


async def test_what_does_not_answer_is_left_behind() -> None:
    go, late = threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    got: list[int] = []

    def take(result: int) -> None:
        got.append(result)
        loop.call_soon_threadsafe(late.set)

    with pytest.raises(TimeoutError):
        await aside(0.01, lambda: go.wait(FAR_S) + 1, late=take)
    assert got == []
    go.set()
    await late.wait()
    assert got == [2]


async def test_what_can_be_interrupted_is_not_left_behind() -> None:
    stop = threading.Event()
    ended: list[bool] = []
    with pytest.raises(TimeoutError):
        await aside(0.01, lambda: ended.append(stop.wait(FAR_S)), interrupt=stop.set, grace_s=FAR_S)
    assert ended == [True]


async def test_a_cancel() -> None:
    stop, inside = threading.Event(), threading.Event()
    got: list[bool] = []

    def work() -> bool:
        inside.set()
        return stop.wait(FAR_S)

    def take(result: bool) -> None:
        time.sleep(0.05)  # whoever has cancelled must not be faster than this
        got.append(result)

    task = asyncio.create_task(aside(FAR_S, work, interrupt=stop.set, late=take, grace_s=FAR_S))
    await asyncio.to_thread(inside.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert got == [True]


async def test_an_error_that_comes_late_disturbs_nobody() -> None:
    go, gone = threading.Event(), threading.Event()

    def work() -> None:
        go.wait(FAR_S)
        gone.set()
        raise OSError("too late")

    with pytest.raises(TimeoutError):
        await aside(0.01, work)
    go.set()
    await asyncio.to_thread(gone.wait)
