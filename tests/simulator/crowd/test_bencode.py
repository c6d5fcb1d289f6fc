"""Bencoding, against that of libtorrent."""

from __future__ import annotations

from typing import Any

import libtorrent as lt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.repository.crowd.bencode import Garbled, decode, encode

VALUES = st.recursive(
    st.integers(-(1 << 62), 1 << 62) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.binary(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_it_is_written_as_libtorrent_writes_it(value: Any) -> None:
    assert encode(value) == lt.bencode(value)
    assert decode(encode(value)) == value


@given(st.binary(max_size=40) | st.text("0123456789ilde:-a", max_size=40).map(str.encode))
def test_what_is_read_is_written_the_same_again(data: bytes) -> None:
    try:
        value = decode(data)
    except Garbled:
        return
    assert encode(value) == data


@pytest.mark.parametrize(
    "data",
    [
        b"", b"i", b"ie", b"i-0e", b"i01e", b"i1", b"01:a", b"2:a", b"-1:a", b"l", b"li1e", b"d", b"di1ei1ee", b"d1:ae",
        b"d1:bi1e1:ai1ee", b"d1:ai1e1:ai1ee", b"i1ei1e", b"i" + b"9" * 99 + b"e", b"l" * 99 + b"e" * 99, b"x",
    ],
)  # fmt: skip
def test_what_is_none(data: bytes) -> None:
    with pytest.raises(Garbled):
        decode(data)
