"""Stretches of a file that are there, against a set of its bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ogagent.source.ranges import Ranges

SIZE = 40
STRETCH = st.tuples(st.integers(0, SIZE), st.integers(0, SIZE)).map(sorted).map(tuple)
CHANGES = st.lists(st.tuples(st.booleans(), STRETCH), max_size=12)


def built(changes: list[tuple[bool, tuple[int, int]]]) -> tuple[Ranges, set[int]]:
    ranges, there = Ranges(), set[int]()
    for add, (start, stop) in changes:
        stretch = set(range(start, stop))
        if add:
            ranges.add(start, stop)
            there |= stretch
        else:
            assert ranges.remove(start, stop) == bool(there & stretch)
            there -= stretch
    return ranges, there


def bytes_of(ranges: Ranges) -> set[int]:
    return {byte for start, stop in ranges for byte in range(start, stop)}


@given(CHANGES)
def test_what_was_added_and_not_removed_is_there(changes: list[tuple[bool, tuple[int, int]]]) -> None:
    ranges, there = built(changes)
    assert bytes_of(ranges) == there
    assert ranges.total == len(there)
    assert bytes_of(ranges.missing(SIZE)) == set(range(SIZE)) - there
    bounds = [bound for stretch in ranges for bound in stretch]
    assert bounds == sorted(set(bounds)), "stretches touch each other"


@given(CHANGES, st.integers(0, SIZE - 1))
def test_how_far_it_goes_on(changes: list[tuple[bool, tuple[int, int]]], position: int) -> None:
    ranges, there = built(changes)
    is_there, end = ranges.at(position, SIZE)
    assert is_there == (position in there)
    assert all((byte in there) == is_there for byte in range(position, end))
    assert position < end <= SIZE
    assert end == SIZE or (end in there) != is_there


@given(CHANGES)
def test_a_copy_goes_its_own_way(changes: list[tuple[bool, tuple[int, int]]]) -> None:
    ranges, there = built(changes)
    ranges.copy().remove(0, SIZE)
    assert bytes_of(ranges) == there


@given(CHANGES)
def test_it_is_read_as_it_was_written(changes: list[tuple[bool, tuple[int, int]]]) -> None:
    ranges, there = built(changes)
    data = ranges.encode()
    assert bytes_of(Ranges.decode(data, SIZE)) == there
    assert len(data) <= Ranges.longest(len(list(ranges)))


@given(CHANGES, st.data())
def test_what_was_not_written_so_is_nothing(changes: list[tuple[bool, tuple[int, int]]], data: st.DataObject) -> None:
    """Cut, changed, or of a longer file."""
    ranges, there = built(changes)
    encoded = ranges.encode()
    place = data.draw(st.integers(0, len(encoded) - 1))
    changed = encoded[:place] + bytes((encoded[place] ^ 1,)) + encoded[place + 1 :]
    assert not list(Ranges.decode(changed, SIZE))
    assert not list(Ranges.decode(encoded[:place], SIZE))
    if there:
        assert not list(Ranges.decode(encoded, max(there)))


def test_bounds_that_do_not_rise() -> None:
    for bounds in ((5, 3), (0, 2, 2, 4), (0, 4, 3, 9), (7, 7)):
        assert not list(Ranges.decode(Ranges(*bounds).encode(), SIZE))
