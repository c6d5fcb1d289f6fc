"""Which parts of an image's file are asked for at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ogagent.restore.survey import Stretch, stretches


def frame(place: int) -> tuple[int, int]:
    """Frames of 10 bytes, and a gap before the fifth."""
    return 100 + 10 * place + (place >= 5), 10


def found(held: str, longest: int = 100) -> list[Stretch]:
    """``held`` has an x for each region that is there already."""
    return list(stretches(((place, mark == "x") for place, mark in enumerate(held)), frame, longest))


def test_neighbours_come_in_one() -> None:
    assert found("...") == [Stretch(100, 130, [0, 1, 2])]
    assert found("x..x.") == [Stretch(110, 130, [1, 2]), Stretch(140, 150, [4])]
    assert found("xxx") == found("") == []


def test_what_lies_between_frames_is_not_asked_for() -> None:
    assert found("......") == [Stretch(100, 150, [0, 1, 2, 3, 4]), Stretch(151, 161, [5])]


@pytest.mark.parametrize(("longest", "lengths"), [(30, [3, 2]), (29, [2, 2, 1]), (5, [1] * 5)])
def test_a_stretch_has_an_end(longest: int, lengths: list[int]) -> None:
    """One frame is always asked for, however long it is."""
    assert [len(each.places) for each in found(".....", longest)] == lengths


def test_each_is_known_as_soon_as_it_ends() -> None:
    asked: list[int] = []

    def looked(place: int) -> tuple[int, bool]:
        asked.append(place)
        return place, place != 1

    assert next(stretches(map(looked, range(5)), frame, 100)) == Stretch(110, 120, [1])
    assert asked == [0, 1, 2]


@given(st.text(alphabet=".x", max_size=40), st.integers(1, 100))
def test_all_that_is_missing_and_nothing_else(held: str, longest: int) -> None:
    places = [place for stretch in found(held, longest) for place in stretch.places]
    assert places == [place for place, mark in enumerate(held) if mark == "."]
    for start, stop, inside in found(held, longest):
        assert start == frame(inside[0])[0]
        assert stop == sum(frame(inside[-1]))
        assert stop - start == 10 * len(inside) <= max(longest, 10)
