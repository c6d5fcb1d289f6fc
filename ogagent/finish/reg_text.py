"""The text that hivexregedit reads and prints: keys, and the values in them.

Source: ``Win::Hivex::Regedit`` of hivex. Data goes as hexadecimal bytes, whatever they are; names are quoted, and what
cannot be quoted, a line's end, is not written. Names are bytes to that program, and Latin-1 here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Struct

SZ: Final = 1
BINARY: Final = 3
DWORD: Final = 4
"""REG_SZ, REG_BINARY and REG_DWORD of ``winnt.h``."""

_ENCODING: Final = "latin-1"
_HEAD: Final = "Windows Registry Editor Version 5.00\n\n"
_VALUE: Final = re.compile(
    r'(?:@|"(?P<name>(?:[^"\\]|\\.)*)")='
    r"(?:dword:(?P<number>[0-9a-f]{8})|hex\((?P<kind>[0-9a-f]{1,8})\):(?P<data>(?:[0-9a-f]{2}(?:,[0-9a-f]{2})*)?))"
)


class Value(Struct, frozen=True):
    """``kind`` is its type in the registry; texts are UTF-16 and end with a zero."""

    kind: int
    data: bytes

    @property
    def text(self) -> str:
        return self.data[: len(self.data) // 2 * 2].decode("utf-16-le", "replace").partition("\0")[0]


class Change(Struct, frozen=True):
    """The value ``name`` of ``key``, a path from the hive's root: ``value``, or None for no such value.

    A key that is not there comes into being, in one that is.
    """

    key: str
    name: str
    value: Value | None


Values = dict[str, Value]
"""Those of one key, by their names in small letters: the registry knows no case."""


def text_value(text: str) -> Value:
    return Value(SZ, f"{text}\0".encode("utf-16-le"))


def parse(printed: bytes) -> Iterator[tuple[str, Values]]:
    """Each key that was printed, by its path. Raises ValueError for what is not understood."""
    path, values = None, Values()
    for line in printed.removeprefix(_HEAD.encode()).split(b"\n"):
        spelled = line.decode(_ENCODING)
        if spelled.startswith("[") and spelled.endswith("]"):
            if path is not None:
                yield path, values
            path, values = spelled[1:-1], {}
        elif (found := _VALUE.fullmatch(spelled)) and path is not None:
            name = re.sub(r"\\(.)", r"\1", found["name"] or "")
            values[name.lower()] = _value(found)
        elif spelled:
            raise ValueError(f"a line of the registry is not understood: {spelled[:80]!r}")
    if path is not None:
        yield path, values


def render(changes: Iterable[Change]) -> bytes:
    """Raises ValueError for a name that cannot be written."""
    return (_HEAD + "".join(map(_lines, changes))).encode(_ENCODING)


def _lines(change: Change) -> str:
    if not re.fullmatch(r"(\\[^\\\]\r\n]+)+", change.key) or "\n" in change.name or "\r" in change.name:
        raise ValueError(f"no name to write to a registry: {change.key!r} {change.name!r}")
    return f"[{change.key}]\n{_quoted(change.name)}={_spelled(change.value)}\n\n"


def _quoted(name: str) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", name) + '"' if name else "@"


def _spelled(value: Value | None) -> str:
    return "-" if value is None else f"hex({value.kind:x}):{value.data.hex(',')}"


def _value(found: re.Match[str]) -> Value:
    if found["number"] is not None:
        return Value(DWORD, int(found["number"], 16).to_bytes(4, "little"))
    return Value(int(found["kind"], 16), bytes.fromhex(found["data"].replace(",", "")))
