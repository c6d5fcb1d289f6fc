"""What has come of a stream is there once, whole, and no more than is wanted."""

from __future__ import annotations

import random
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from ogagent.crowd.window import Window
from ogagent.source.ranges import Ranges

DATA: Final = random.Random(1).randbytes(300)
BOUNDS: Final = (
    st.lists(st.integers(0, len(DATA)), max_size=8, unique=True).map(sorted).filter(lambda b: len(b) % 2 == 0)
)


@given(BOUNDS, st.lists(st.integers(1, 40), min_size=30, max_size=30), st.data())
def test_any_chunks(bounds: list[int], lengths: list[int], data: st.DataObject) -> None:
    wanted = Ranges(*bounds)
    window, position, come = Window(wanted), 0, Ranges()
    for length in lengths:
        chunk = DATA[position : position + length]
        for start, stop in window.add(position, chunk):
            come.add(start, stop)
        position += len(chunk)
        assert window.held == come.total
    assert list(come) == [(start, stop) for start, stop in _cut(wanted, position) if start < stop]
    for start, stop in data.draw(st.permutations(list(come))):
        middle = data.draw(st.integers(start, stop))
        for first, last in data.draw(st.permutations([(start, middle), (middle, stop)])):
            if first < last:
                assert window.covers(first, last)
                assert window.take(first, last) == DATA[first:last]
                assert not window.covers(first, last)
    assert window.held == 0


def _cut(wanted: Ranges, end: int) -> list[tuple[int, int]]:
    return [(start, min(stop, end)) for start, stop in wanted]


def test_nothing_that_has_not_come() -> None:
    window = Window(Ranges(10, 20))
    assert list(window.add(0, DATA[:15])) == [(10, 15)]
    assert not window.covers(10, 16)
    assert not window.covers(9, 15)
    assert window.covers(10, 15)
