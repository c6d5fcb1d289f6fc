"""What is written is what is read, whatever it is."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ogagent.finish.reg_text import BINARY, DWORD, SZ, Change, Value, parse, render, text_value

latin = st.characters(max_codepoint=255, exclude_characters="\n\r")
unhurried = settings(suppress_health_check=[HealthCheck.too_slow])
values = st.builds(Value, st.integers(0, 0xFFFFFFFF), st.binary(max_size=40))


@unhurried
@given(name=st.text(latin, max_size=20), value=values)
def test_round_trip(name: str, value: Value) -> None:
    found = dict(parse(render([Change(r"\A\B", name, value)])))
    assert found == {r"\A\B": {name.lower(): value}}


@unhurried
@given(text=st.text(max_size=30))
def test_a_text_of_any_characters_is_hexadecimal(text: str) -> None:
    try:
        value = text_value(text)
    except UnicodeEncodeError:
        return
    line = render([Change(r"\A", "x", value)]).splitlines()[3]
    assert re.fullmatch(rb'"x"=hex\(1\):[0-9a-f,]+', line)
    assert value.text == text.partition("\0")[0]


def test_what_hivexregedit_prints() -> None:
    head = b"Windows Registry Editor Version 5.00\n\n[\\]\n\n"
    printed = head + b'[\\A]\n@=hex(1):\n"a\\"b\\\\c"=dword:0000ff00\n"\xe9"=hex(3):01,02\n\n'
    assert dict(parse(printed)) == {
        "\\": {},
        r"\A": {"": Value(SZ, b""), 'a"b\\c': Value(DWORD, b"\0\xff\0\0"), "é": Value(BINARY, b"\1\2")},
    }


def test_nothing_is_printed_of_nothing() -> None:
    assert list(parse(b"Windows Registry Editor Version 5.00\n\n")) == []


@pytest.mark.parametrize("line", [b'"x"="text"', b'"x"=dword:1', b'"x"=hex(3):0', b"x", b'"x"y"=hex(3):00'])
def test_what_is_not_understood(line: bytes) -> None:
    with pytest.raises(ValueError, match="not understood"):
        list(parse(b"[\\A]\n" + line + b"\n"))


def test_a_value_without_a_key_is_not_understood() -> None:
    with pytest.raises(ValueError, match="not understood"):
        list(parse(b'"x"=hex(3):00\n'))


@pytest.mark.parametrize(
    ("key", "name"),
    [(r"\A", "x\n[\\B]"), (r"\A", "x\r"), (r"\A]", "x"), ("A", "x"), ("\\A\n", "x"), ("\\", "x"), (r"\A", "€")],
)
def test_what_cannot_be_written(key: str, name: str) -> None:
    with pytest.raises(ValueError, match=r"no name to write|can't encode"):
        render([Change(key, name, None)])
