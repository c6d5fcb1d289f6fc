"""What is to go on goes on: a part of the agent that dies says so at once, and is begun anew."""

from __future__ import annotations

import asyncio
import logging

import pytest

from ogagent.system.beside import beside


async def test_it_runs_as_long_as_the_block_lasts() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with beside("work", work):
        await asyncio.sleep(0)
        assert not ended.is_set()
    assert ended.is_set()


async def test_one_that_dies_is_begun_anew(caplog: pytest.LogCaptureFixture) -> None:
    begun, enough = 0, asyncio.Event()

    async def work() -> None:
        nonlocal begun
        begun += 1
        if begun < 3:
            raise ZeroDivisionError("a bug")
        enough.set()
        await asyncio.Event().wait()

    async with asyncio.timeout(300), beside("the heart", work, pause_s=0):
        await enough.wait()
        errors = [entry for entry in caplog.records if entry.levelno == logging.ERROR]
        assert [entry.getMessage() for entry in errors] == ["the heart has died and is begun anew"] * 2
        assert errors[0].exc_info
        assert errors[0].exc_info[0] is ZeroDivisionError


async def test_one_that_has_done_its_work_is_not(caplog: pytest.LogCaptureFixture) -> None:
    begun = 0

    async def work() -> None:
        nonlocal begun
        begun += 1

    async with beside("work", work, pause_s=0):
        for _ in range(20):
            await asyncio.sleep(0)
    assert begun == 1
    assert caplog.records == []


async def test_the_error_of_the_block_is_the_one_that_counts() -> None:
    async def work() -> None:
        raise ZeroDivisionError

    with pytest.raises(KeyError):  # noqa: PT012 - what is raised inside is what counts
        async with beside("work", work):
            await asyncio.sleep(0)
            raise KeyError


async def test_a_stop_does_not_wait_for_the_pause() -> None:
    async def work() -> None:
        raise ZeroDivisionError

    async with asyncio.timeout(300):
        async with beside("work", work, pause_s=3600):
            await asyncio.sleep(0.01)
