"""Work in several threads that comes out in order, failures too."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Final

import pytest

from ogagent.image.workers import in_order

WAIT_S: Final = 300


class Failure(Exception):
    """Its text is the item that failed."""


class Race:
    """Items 3 and 4 fail, in two threads at once; the one that shall be the later waits until the other has failed."""

    def __init__(self, first: int) -> None:
        self._first = first
        self._failed = threading.Event()

    def work(self, item: int) -> int:
        if item < 3:
            return item
        if item != self._first:
            assert self._failed.wait(WAIT_S)
        self._failed.set()
        raise Failure(str(item))


@pytest.mark.parametrize("first_in_time", [3, 4])
def test_the_failure_of_the_earliest_item_is_raised_whichever_came_first(first_in_time: int) -> None:
    found: list[int] = []
    with pytest.raises(Failure, match="3"):
        found.extend(in_order(Race(first_in_time).work, range(3, 5), 2))
    assert found == []


def test_what_stands_before_a_failure_comes_out() -> None:
    results = in_order(Race(3).work, range(4), 2)
    assert [next(results), next(results), next(results)] == [0, 1, 2]
    with pytest.raises(Failure):
        next(results)


def ending(*items: int) -> Iterator[int]:
    yield from items
    raise Failure("the items")


@pytest.mark.parametrize(("items", "told"), [((0, 3), "3"), ((0, 1), "the items")])
def test_items_that_end_with_a_failure_fail_in_their_turn(items: tuple[int, ...], told: str) -> None:
    found: list[int] = []
    with pytest.raises(Failure, match=told):
        found.extend(in_order(Race(3).work, ending(*items), 4))
    assert found == [item for item in items if item < 3]


def test_only_a_few_items_are_taken_ahead() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(100):
            taken.append(item)
            yield item

    results = in_order(lambda item: item, items(), 2)
    next(results)
    assert len(taken) == 5
    assert list(results) == list(range(1, 100))
