"""Members of a call: of each one rule, from which its check and its JSON schema are both made."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct

from ogagent.errors import InvalidField, MissingField
from ogagent.model.repository import HOST_NAME, is_host
from ogagent.model.text import LONGEST, SEEN, is_printable

Form = Mapping[str, Any]

_LARGEST_INTEGER: Final = 2**53 - 1  # what every reader of JSON understands alike: RFC 8259, 6
_LONGEST: Final = 253  # a host's name


class Rule(Struct, frozen=True, kw_only=True):
    """``forms`` are the schemas of which a value meets one; ``fits`` says the same of the value as text.

    ``lines``: it may hold more than one, and what else a text file does. ``longest`` in characters.
    """

    what: str
    expected: str
    fits: Callable[[str], object]
    forms: tuple[Form, ...]
    required: bool = False
    longest: int = _LONGEST
    lines: bool = False

    @property
    def schema(self) -> Form:
        absent: tuple[Form, ...] = () if self.required else ({"type": "null"},)
        return {"description": self.what, "anyOf": [*self.forms, *absent]}


def integers(least: int = -_LARGEST_INTEGER, most: int = _LARGEST_INTEGER) -> Form:
    return {"type": "integer", "minimum": least, "maximum": most}


def string(pattern: re.Pattern[str]) -> Form:
    return {"type": "string", "pattern": f"^({pattern.pattern})$"}


def rule(what: str, expected: str, pattern: re.Pattern[str], *also: Form, required: bool = False) -> Rule:
    forms = (string(pattern), *also)
    return Rule(what=what, expected=expected, fits=pattern.fullmatch, forms=forms, required=required)


def number(what: str) -> Rule:
    return rule(what, "a number from 1", re.compile("[1-9][0-9]{0,2}"), integers(1, 999), required=True)


def text(what: str, *, required: bool = False) -> Rule:
    pattern = re.compile(f"{SEEN}{{{int(required)},{LONGEST}}}")
    return rule(what, f"a text of at most {LONGEST} characters", pattern, integers(), required=required)


def function_name(name: str) -> Rule:
    return rule("function name", name, re.compile(name))


DISK: Final = number("disk number, from 1")
PARTITION: Final = number("partition number, from 1")
IDENTITY: Final = text("the disk that is meant, as the inventory names it; when it is another one, the job fails")
TRACE: Final = text("id of the trace in ogCore; 0: it keeps none")

# No part begins with a dot, no two dots follow each other: nothing leads out of the repository.
_PART: Final = r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?"
IMAGE_NAME: Final = rule(
    "the image's canonical name, without extension",
    f"1-{LONGEST} letters, digits, '.', '_', '-', at most one '/' inside, and no '..'",
    *(re.compile(f"/?(?=.{{1,{LONGEST}}}$){_PART}(/{_PART})?"), integers()),
    required=True,
)
REPOSITORY: Final = Rule(
    what="repository, an IP address or a host name",
    expected="the IP address of the repository, or its host name as RFC 1123 has it",
    fits=is_host,
    forms=(
        {"type": "string", "format": "ipv4", "pattern": r"^[0-9]+(\.[0-9]+){3}$"},
        {"type": "string", "format": "ipv6", "pattern": "^[0-9A-Fa-f:.]+$"},
        string(HOST_NAME),
    ),
    required=True,
)


def schema(rules: Mapping[str, Rule]) -> Form:
    """Of the whole body."""
    return {
        "type": "object",
        "description": "As ogCore sends it. An integer counts as its digits, null as absent; others are ignored.",
        "required": [name for name, each in rules.items() if each.required],
        "properties": {name: each.schema for name, each in rules.items()},
    }


def checked(rules: Mapping[str, Rule], members: Mapping[str, Any]) -> dict[str, str]:
    """All that there are rules for, as texts; empty when absent. Raises MissingField or InvalidField."""
    return {name: checked_member(name, each, members.get(name)) for name, each in rules.items()}


def checked_member(name: str, rule: Rule, value: object) -> str:
    """As text; empty when it is absent. Raises MissingField or InvalidField."""
    if value is None or (rule.required and value == ""):
        if rule.required:
            raise MissingField(f"{name} is missing", field=name)
        return ""
    text = _as_text(name, value)
    if len(text) > rule.longest:
        raise InvalidField(f"{name} is longer than {rule.longest} characters", field=name)
    if not rule.lines and not is_printable(text):
        raise InvalidField(f"{name} holds a character that cannot be printed", field=name)
    if not rule.fits(text):
        raise InvalidField(f"{name} is {text!r}, expected {rule.expected}", field=name)
    return text


def _as_text(name: str, value: object) -> str:
    """To JSON 1 and 1.0 are the same integer."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _LARGEST_INTEGER:
        return str(value)
    if not isinstance(value, str):
        raise InvalidField(f"{name} must be a string, or an integer up to {_LARGEST_INTEGER}", field=name)
    return value
