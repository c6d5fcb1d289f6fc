"""What is entered in a thread is left again, whatever happens to who waits for it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ogagent.system.patience import entered


class Door:
    def __init__(self) -> None:
        self.knocked, self.opening = threading.Event(), threading.Event()
        self.open = 0

    @contextmanager
    def way(self) -> Iterator[int]:
        self.knocked.set()
        self.opening.wait()
        self.open += 1
        try:
            yield self.open
        finally:
            self.open -= 1


async def test_it_is_open_for_as_long_as_it_is_wanted() -> None:
    door = Door()
    door.opening.set()
    async with entered(door.way()) as inside:
        assert inside == door.open == 1
    assert door.open == 0


async def test_a_cancel_while_it_opens_leaves_it_shut() -> None:
    door = Door()

    async def go_in() -> None:
        async with entered(door.way()):
            raise AssertionError

    going = asyncio.create_task(go_in())
    await asyncio.to_thread(door.knocked.wait)
    going.cancel()
    await asyncio.sleep(0)
    door.opening.set()
    with pytest.raises(asyncio.CancelledError):
        await going
    assert door.open == 0


async def test_one_that_cannot_be_opened_says_why() -> None:
    @contextmanager
    def wall() -> Iterator[None]:
        raise OSError("a wall")
        yield

    with pytest.raises(OSError, match="a wall"):
        async with entered(wall()):
            raise AssertionError
