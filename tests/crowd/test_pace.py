"""Who gets less than others, by what they say of themselves."""

from __future__ import annotations

import random

import pytest

from ogagent.crowd.pace import Pace

SECOND = 2600
"""Packets of a session at 30 Mbit/s."""


def told(pace: Pace, other: str, share: float, *, start: int = 0, seconds: int = 3) -> None:
    """``other`` gets all, this PC a ``share`` of it, and some of its words are lost."""
    rest = random.Random(1)
    for quarter in range(4 * start, 4 * (start + seconds) + 1):
        theirs = 10**6 + quarter * SECOND // 4
        if quarter in (4 * start, 4 * (start + seconds)) or rest.random() < 0.3:
            pace.heard(other, theirs, 500 + round(quarter * SECOND // 4 * share), quarter / 4)


def test_of_nobody_nothing_is_known() -> None:
    assert Pace().share is None


def test_of_who_has_spoken_once_nothing_is_known() -> None:
    pace = Pace()
    pace.heard("one", 10**9, 5, 1.0)
    assert pace.share is None


def test_little_says_nothing() -> None:
    """As long as all wait for the session, they hear but each other."""
    pace = Pace()
    for second in range(100):
        pace.heard("one", 8 * second, 0, float(second))
    assert pace.share is None


def test_a_moment_says_nothing() -> None:
    pace = Pace()
    for place in range(10):
        pace.heard("one", 10_000 * place, 0, 1 + place / 100)
    assert pace.share is None


@pytest.mark.parametrize("share", [0.0, 0.25, 0.75, 1.0, 1.5])
def test_what_this_pc_gets(share: float) -> None:
    pace = Pace()
    told(pace, "one", share)
    assert pace.share == pytest.approx(share, abs=0.01)


def test_half_of_them_may_lie() -> None:
    pace = Pace()
    for name, share in (("one", 1.0), ("two", 0.99), ("three", 0.0), ("four", 0.01)):
        told(pace, name, share)
    assert pace.share == pytest.approx(0.99, abs=0.01)


def test_a_second_without_processor_is_not_taken_for_a_slow_link() -> None:
    """Between the other's look at its count and its word: what has come here since is compared with it."""
    pace = Pace()
    for quarter in (*range(8), *range(12, 40)):
        theirs = 8 if quarter == 12 else quarter
        pace.heard("one", theirs * SECOND // 4, quarter * SECOND // 4, quarter / 4)
        assert pace.share is None or pace.share > 0.99


def test_who_becomes_slow_is_found_though_it_was_not() -> None:
    pace = Pace()
    told(pace, "one", 1.0, seconds=600)
    for quarter in range(14):
        at = 600 + quarter / 4
        pace.heard("one", 10**6 + round(at * SECOND), 500 + 600 * SECOND + quarter * SECOND // 16, at)
        assert pace.share is not None
        assert pace.share < 0.75 or quarter < 8
    assert pace.share == pytest.approx(0.25, abs=0.02)


def test_who_begins_anew_is_counted_anew() -> None:
    pace = Pace()
    told(pace, "one", 1.0)
    pace.heard("one", 0, 10**6, 10.0)
    assert pace.share is None


def test_not_more_of_them_are_kept_than_a_room_has() -> None:
    pace = Pace()
    told(pace, "one", 0.5)
    for number in range(1000):
        pace.heard(f"stranger {number}", 1, 1, 4.0)
    assert pace.share is None
