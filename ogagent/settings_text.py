"""The text of a configuration, changed as its administrator would: comments and all else stay."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

_ANY_SECTION: Final = re.compile(r"\s*\[")

Value = str | int


def rewritten(text: str, section: str, members: Mapping[str, Value]) -> str:
    """The same file with these members of that section."""
    own = re.compile(rf"\s*\[\s*{re.escape(section)}\s*\]\s*(?:#.*)?")
    lines, inside, left = list[str](), False, dict(members)
    for line in text.splitlines():
        if _ANY_SECTION.match(line):
            if inside:
                lines += _written(left.items())
                left = {}
            inside = own.fullmatch(line) is not None
        name = line.partition("=")[0].strip()
        if inside and name in members:
            if name in left:
                lines += _written([(name, left.pop(name))])
            continue
        lines.append(line)
    if inside:
        lines += _written(left.items())
    elif left == members:
        lines += ["", f"[{section}]", *_written(left.items())]
    return "\n".join(lines) + "\n"


def _written(members: Iterable[tuple[str, Value]]) -> list[str]:
    return [f"{name} = {_value(value)}" for name, value in members]


def _value(value: Value) -> str:
    """A text as a basic string: what is in it needs no more than JSON's escapes."""
    if isinstance(value, int):
        return str(value)
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
