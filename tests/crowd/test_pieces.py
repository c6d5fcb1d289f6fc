"""Pieces of an image: whose they are, and how long more of them are waited for."""

from __future__ import annotations

import pytest

from ogagent.crowd.pieces import LEAST, Patience, Pieces
from ogagent.errors import SessionNotJoined
from ogagent.source.ranges import Ranges


def test_a_piece_is_whole_when_all_of_it_has_been_filled() -> None:
    pieces = Pieces(10, 35, Ranges(0, 12))
    assert pieces.filled(5, 19) == []
    assert pieces.filled(18, 31) == [1, 2]
    assert pieces.filled(18, 31) == [], "it is told once"
    assert pieces.filled(31, 35) == [3]
    assert pieces.span(3) == (30, 35)


def test_what_a_peer_has_given_is_not_filled() -> None:
    pieces = Pieces(10, 35, Ranges())
    assert pieces.came(1)
    assert pieces.filled(5, 25) == []
    assert pieces.filled(0, 10) == [0]
    assert not pieces.came(0)


def test_the_pieces_of_what_is_wanted() -> None:
    assert list(Pieces(10, 35, Ranges()).of(Ranges(5, 6, 19, 31))) == [0, 1, 2, 3]


@pytest.fixture
def patience() -> Patience:
    """It began at 100."""
    return Patience(120, 10, 3, 100)


def test_nobody_has_ever_given_anything(patience: Patience) -> None:
    patience.outlook(101, hopeful=False)
    assert patience.until == 220
    with pytest.raises(SessionNotJoined):
        patience.end()


def test_peers_give_in_turns(patience: Patience) -> None:
    patience.came(150, LEAST)
    assert patience.until == 180
    patience.outlook(160, hopeful=True)
    assert patience.until == 180
    assert "30 s" in patience.end().message
    assert patience.until is None


def test_next_to_nothing_is_as_good_as_nothing(patience: Patience) -> None:
    patience.came(150, 1)
    assert patience.until == 180
    for now in (155, 160, 165):
        patience.came(now, LEAST // 4)
        assert patience.until == 180
    assert "3 MiB in 30 s" in patience.end().message
    assert patience.until is None


def test_a_little_now_and_then_is_enough(patience: Patience) -> None:
    patience.came(150, 1)
    for now in range(155, 500, 5):
        patience.came(now, LEAST // 4)
    assert patience.until == 520


def test_nobody_has_it(patience: Patience) -> None:
    """From the moment on that it is known, unless something comes all the same."""
    patience.outlook(110, hopeful=False)
    patience.came(150, LEAST)
    assert patience.until == 160
    patience.outlook(152, hopeful=True)
    assert patience.until == 180
    patience.outlook(155, hopeful=False)
    assert patience.until == 165
    patience.came(164, LEAST)
    assert patience.until == 174
    assert "can be reached" in patience.end().message
