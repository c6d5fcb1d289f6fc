"""Bencoding (BEP 3), and no more of it than what has one way to be written: what is read is written the same again."""

from __future__ import annotations

import re
from typing import Final, TypeAlias

Value: TypeAlias = "int | bytes | list[Value] | dict[bytes, Value]"

_INTEGER: Final = re.compile(rb"i(0|-?[1-9]\d{0,18})e")
_LENGTH: Final = re.compile(rb"(0|[1-9]\d{0,9}):")
_DEEPEST: Final = 16


class Garbled(ValueError):
    """What is no bencoding, or not the one that there is."""


def encode(value: Value) -> bytes:
    match value:
        case int():
            return b"i%de" % value
        case bytes():
            return b"%d:%b" % (len(value), value)
        case list():
            return b"l%be" % b"".join(map(encode, value))
        case dict():
            return b"d%be" % b"".join(encode(key) + encode(value[key]) for key in sorted(value))


def decode(data: bytes) -> Value:
    """Raises Garbled."""
    value, end = _read(data, 0, _DEEPEST)
    if end != len(data):
        raise Garbled("something follows")
    return value


def _read(data: bytes, at: int, deep: int) -> tuple[Value, int]:
    if deep == 0:
        raise Garbled("nested too deeply")
    match data[at : at + 1]:
        case b"i":
            if found := _INTEGER.match(data, at):
                return int(found[1]), found.end()
        case b"l":
            return _read_list(data, at + 1, deep - 1)
        case b"d":
            return _read_dictionary(data, at + 1, deep - 1)
        case _:
            found = _LENGTH.match(data, at)
            if found and found.end() + int(found[1]) <= len(data):
                end = found.end() + int(found[1])
                return data[found.end() : end], end
    raise Garbled(f"not understood from byte {at} on")


def _read_list(data: bytes, at: int, deep: int) -> tuple[Value, int]:
    values: list[Value] = []
    while data[at : at + 1] != b"e":
        value, at = _read(data, at, deep)
        values.append(value)
    return values, at + 1


def _read_dictionary(data: bytes, at: int, deep: int) -> tuple[Value, int]:
    members: dict[bytes, Value] = {}
    last: bytes | None = None
    while data[at : at + 1] != b"e":
        key, at = _read(data, at, deep)
        if not isinstance(key, bytes) or (last is not None and key <= last):
            raise Garbled(f"no key in its place before byte {at}")
        members[key], at = _read(data, at, deep)
        last = key
    return members, at + 1
