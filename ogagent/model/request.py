"""The call ``RestaurarImagen``, decoded strictly: what is in a RestoreRequest has been checked.

One table says of each member what it may be; the check of a call and the JSON schema of its body are both made of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct

from ogagent.errors import InvalidField, MissingField
from ogagent.model.repository import HOST_NAME, is_host
from ogagent.model.text import LONGEST, SEEN, is_printable

FUNCTION: Final = "RestaurarImagen"

_Form = Mapping[str, Any]
_LARGEST_INTEGER: Final = 2**53 - 1  # what every reader of JSON understands alike: RFC 8259, 6
_LONGEST_OF_ALL: Final = 253  # a host's name
_METHOD: Final = re.compile(rf"(?=.{{1,{LONGEST}}}$) *[!-~]+( {SEEN}*)?")
_SYNONYMS: Final = {"unicast-cache": "unicast"}
# No part begins with a dot, no two dots follow each other: nothing leads out of the repository.
_PART: Final = r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?"
_NAME: Final = re.compile(f"/?(?=.{{1,{LONGEST}}}$){_PART}(/{_PART})?")
# OpenGnsys' table `tipospar` (ogAdmBD.sql) and `ogTypeToId` of its engine (Disk.lib): an MSDOS type byte, 0 to fd; the
# four digits of a GPT type, 0700 to ffff; and two of five digits, 10000 for LVM's and 10010 for ZFS' volumes.
_CODE: Final = re.compile("([0-9A-Fa-f]{1,4}|10000|10010)?")
_VOLUMES: Final[_Form] = {"enum": [10000, 10010]}


class _Rule(Struct, frozen=True, kw_only=True):
    """``forms`` are the schemas of which a value meets one; ``fits`` says the same of the value as text."""

    what: str
    expected: str
    fits: Callable[[str], object]
    forms: tuple[_Form, ...]
    required: bool

    @property
    def schema(self) -> _Form:
        absent: tuple[_Form, ...] = () if self.required else ({"type": "null"},)
        return {"description": self.what, "anyOf": [*self.forms, *absent]}


def _integers(least: int = -_LARGEST_INTEGER, most: int = _LARGEST_INTEGER) -> _Form:
    return {"type": "integer", "minimum": least, "maximum": most}


def _string(pattern: re.Pattern[str]) -> _Form:
    return {"type": "string", "pattern": f"^({pattern.pattern})$"}


def _rule(what: str, expected: str, pattern: re.Pattern[str], *integers: _Form, required: bool = False) -> _Rule:
    forms = (_string(pattern), *integers)
    return _Rule(what=what, expected=expected, fits=pattern.fullmatch, forms=forms, required=required)


def _number(what: str) -> _Rule:
    return _rule(what, "a number from 1", re.compile("[1-9][0-9]{0,2}"), _integers(1, 999), required=True)


def _text(what: str, *, required: bool = False) -> _Rule:
    pattern = re.compile(f"{SEEN}{{{int(required)},{LONGEST}}}")
    return _rule(what, f"a text of at most {LONGEST} characters", pattern, _integers(), required=required)


def _method(what: str) -> _Rule:
    return _rule(what, "a method, and its options after a space; leave it out for unicast", _METHOD, _integers())


_HOST_FORMS: Final[tuple[_Form, ...]] = (
    {"type": "string", "format": "ipv4", "pattern": r"^[0-9]+(\.[0-9]+){3}$"},
    {"type": "string", "format": "ipv6", "pattern": "^[0-9A-Fa-f:.]+$"},
    _string(HOST_NAME),
)
_RULES: Final[Mapping[str, _Rule]] = {
    "nfn": _rule("function name", FUNCTION, re.compile(FUNCTION)),
    "dsk": _number("disk number, from 1"),
    "par": _number("partition number, from 1"),
    "idi": _text("image id", required=True),
    "nci": _rule(
        "the image's canonical name, without extension",
        f"1-{LONGEST} letters, digits, '.', '_', '-', at most one '/' inside, and no '..'",
        *(_NAME, _integers()),
        required=True,
    ),
    "ipr": _Rule(
        what="repository, an IP address or a host name",
        expected="the IP address of the repository, or its host name as RFC 1123 has it",
        fits=is_host,
        forms=_HOST_FORMS,
        required=True,
    ),
    "cpt": _rule(
        "partition code of the image, hexadecimal; an integer counts as these digits",
        "a partition code of 1-4 hexadecimal digits, 10000 or 10010",
        *(_CODE, _integers(0, 9999), _VOLUMES),
    ),
    "ifs": _text("software profile id"),
    "method": _method("unicast, multicast, p2p or torrent; options after a space"),
    "ptc": _method("the same as method, which counts when both are there"),
    "identity": _text("the disk that is meant, as the inventory names it; when it is another one, the job fails"),
    "force": _rule(
        "1: members of volumes that are not active may be overwritten",
        *("0 or 1", re.compile("[01]?"), _integers(0, 1)),
    ),
    "ids": _text("id of the trace in ogCore; 0: it keeps none"),
}

RESTORE_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "description": "As ogCore sends it. An integer counts as its digits, null as absent; other members are ignored.",
    "required": [name for name, rule in _RULES.items() if rule.required],
    "properties": {name: rule.schema for name, rule in _RULES.items()},
}
"""JSON schema of the call's body."""


class RestoreRequest(Struct, frozen=True, kw_only=True):
    """Members carry the names that ogCore uses, and are empty when absent; ``nci`` begins with no slash; ``method`` is
    one word in lower case, its options apart, and ``unicast`` in all its spellings.
    """

    dsk: int
    par: int
    idi: str
    nci: str
    ipr: str
    cpt: str = ""
    ifs: str = ""
    ids: str = ""
    method: str = "unicast"
    method_options: str = ""
    identity: str = ""
    force: bool = False

    def echo(self) -> dict[str, str]:
        """The request in ogCore's own shape: strings only."""
        return {
            "nfn": FUNCTION,
            "dsk": str(self.dsk),
            "par": str(self.par),
            "cpt": self.cpt,
            "ifs": self.ifs,
            "idi": self.idi,
            "nci": self.nci,
            "ipr": self.ipr,
            "method": f"{self.method} {self.method_options}".strip(" "),
            "identity": self.identity,
            "force": "1" if self.force else "0",
            "ids": self.ids,
        }


def restore_request(members: Mapping[str, Any]) -> RestoreRequest:
    """Raises MissingField or InvalidField, each naming the member. Unknown members are ignored."""
    texts = {name: _checked(name, rule, members.get(name)) for name, rule in _RULES.items()}
    method, _, options = (texts["method"] or texts["ptc"] or "unicast").strip(" ").partition(" ")
    method = method.lower()
    return RestoreRequest(
        dsk=int(texts["dsk"]),
        par=int(texts["par"]),
        idi=texts["idi"],
        nci=texts["nci"].removeprefix("/"),
        ipr=texts["ipr"],
        cpt=texts["cpt"],
        ifs=texts["ifs"],
        ids=texts["ids"],
        method=_SYNONYMS.get(method, method),
        method_options=options.strip(" "),
        identity=texts["identity"],
        force=texts["force"] == "1",
    )


def _checked(name: str, rule: _Rule, value: object) -> str:
    """Empty when it is absent."""
    if value is None or (rule.required and value == ""):
        if rule.required:
            raise MissingField(f"{name} is missing", field=name)
        return ""
    text = _as_text(name, value)
    if len(text) > _LONGEST_OF_ALL:
        raise InvalidField(f"{name} is longer than {_LONGEST_OF_ALL} characters", field=name)
    if not is_printable(text):
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
