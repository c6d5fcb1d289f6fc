"""Tasks that do one thing: none of their failures is missed, whenever it comes."""

from __future__ import annotations

import asyncio

import pytest

from ogagent.restore.patience import Together


@pytest.mark.parametrize("turns", range(12))
async def test_a_failure_in_the_last_moment_is_not_missed(turns: int) -> None:
    """One that another task has started, and that fails at each turn of the loop around the end of the first."""
    together = Together()

    async def late() -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        raise ValueError("late")

    async def first() -> None:
        together.start(late())
        for _ in range(5):
            await asyncio.sleep(0)

    together.start(first())
    with pytest.raises(ValueError, match="late"):
        await together.ended()


async def test_all_have_ended_when_it_says_so() -> None:
    together = Together()
    done: list[int] = []

    async def nested(depth: int) -> None:
        await asyncio.sleep(0)
        if depth:
            together.start(nested(depth - 1))
        done.append(depth)

    together.start(nested(20))
    await together.ended()
    assert done == list(range(20, -1, -1))
