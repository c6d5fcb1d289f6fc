"""The call ``RestaurarImagen``, decoded strictly: what is in a RestoreRequest has been checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from ogagent.errors import InvalidField, MissingField

FUNCTION: Final = "RestaurarImagen"

_NUMBER: Final = re.compile(r"[1-9][0-9]{0,2}")
_CODE: Final = re.compile(r"[0-9A-Fa-f]{1,4}")
# No part begins with a dot, no two dots follow each other: nothing leads out of the repository.
_PART: Final = r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?"
_NAME: Final = re.compile(f"{_PART}(/{_PART})?")
_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252})|[0-9A-Fa-f:.]{2,45}")
_ECHOED_LENGTH: Final = 200
_NAME_LENGTH: Final = 200


def _schema(
    what: str,
    pattern: re.Pattern[str] | None = None,
    *,
    required: bool = False,
    integers: tuple[int, int] | None = None,
) -> dict[str, Any]:
    text: dict[str, Any] = {"type": "string", "minLength": int(required), "maxLength": _ECHOED_LENGTH}
    number: dict[str, Any] = {"type": "integer"}
    if pattern:
        text["pattern"] = f"^({pattern.pattern})$"
    if integers:
        number |= {"minimum": integers[0], "maximum": integers[1]}
    return {"description": what, "anyOf": [text, number] if required else [text, number, {"type": "null"}]}


RESTORE_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "description": "As ogCore sends it. An integer counts as its digits; other members are ignored.",
    "required": ["dsk", "par", "idi", "nci", "ipr"],
    "properties": {
        "nfn": {"description": "function name", "enum": [FUNCTION, None]},
        "dsk": _schema("disk number, from 1", _NUMBER, required=True, integers=(1, 999)),
        "par": _schema("partition number, from 1", _NUMBER, required=True, integers=(1, 999)),
        "cpt": _schema("partition code of the image", re.compile(f"({_CODE.pattern})?"), integers=(0, 9999)),
        "ifs": _schema("software profile id"),
        "idi": _schema("image id", required=True),
        "nci": _schema("the image's canonical name, without extension", _NAME, required=True, integers=(0, 10**15)),
        "ipr": _schema("repository, an IP address or a host name", _HOST, required=True, integers=(0, 10**15)),
        "method": _schema("unicast, multicast, p2p or torrent; options after a space", re.compile(r".*\S.*")),
        "ptc": _schema("the same as method, which counts when both are there", re.compile(r".*\S.*")),
        "ids": _schema("id of the trace in ogCore; 0: it keeps none"),
    },
}
"""JSON schema of the call's body."""


class RestoreRequest(Struct, frozen=True, kw_only=True):
    """Members carry the names that ogCore uses; ``method`` is one word in lower case, its options apart."""

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

    def echo(self) -> dict[str, str]:
        """The request in ogCore's own shape: strings only."""
        method = f"{self.method} {self.method_options}".strip()
        members = {
            "nfn": FUNCTION,
            "dsk": str(self.dsk),
            "par": str(self.par),
            "cpt": self.cpt,
            "ifs": self.ifs,
        }
        return members | {
            "idi": self.idi,
            "nci": self.nci,
            "ipr": self.ipr,
            "method": method,
            "ids": self.ids,
        }


def restore_request(members: Mapping[str, Any]) -> RestoreRequest:
    """Raises MissingField or InvalidField, each naming the member. Unknown members are ignored."""
    function = _text(members, "nfn", default=FUNCTION)
    if function != FUNCTION:
        raise InvalidField(f"nfn is {function!r}, this call is {FUNCTION}", field="nfn")
    method_field = "ptc" if "method" not in members and "ptc" in members else "method"
    method, _, options = _text(members, method_field, default="unicast").strip().partition(" ")
    if not method:
        raise InvalidField(f"{method_field} is empty", field=method_field, hint="leave it out for unicast")
    return RestoreRequest(
        dsk=_number(members, "dsk"),
        par=_number(members, "par"),
        idi=_text(members, "idi"),
        nci=_image_name(members),
        ipr=_matching(members, "ipr", _HOST, "the address or host name of the repository"),
        cpt=_matching(members, "cpt", _CODE, "a partition code of 1-4 hexadecimal digits")
        if _given(members, "cpt")
        else "",
        ifs=_text(members, "ifs", default=""),
        ids=_text(members, "ids", default=""),
        method=method.lower(),
        method_options=options.strip(),
    )


def _given(members: Mapping[str, Any], field: str) -> bool:
    return members.get(field) not in (None, "")


def _text(members: Mapping[str, Any], field: str, *, default: str | None = None) -> str:
    value = members.get(field)
    if value is None or (value == "" and default is None):
        if default is None:
            raise MissingField(f"{field} is missing", field=field)
        return default
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise InvalidField(f"{field} must be a string or an integer", field=field)
    # Python refuses to print integers of thousands of digits; such a number is wrong here anyway.
    text = str(value) if isinstance(value, str) or abs(value) < 10**30 else "9" * (_ECHOED_LENGTH + 1)
    if len(text) > _ECHOED_LENGTH:
        raise InvalidField(f"{field} is longer than {_ECHOED_LENGTH} characters", field=field)
    if not text.isprintable():
        raise InvalidField(f"{field} holds a character that cannot be printed", field=field)
    return text


def _matching(members: Mapping[str, Any], field: str, pattern: re.Pattern[str], what: str) -> str:
    value = _text(members, field)
    if not pattern.fullmatch(value):
        raise InvalidField(f"{field} is {value!r}, expected {what}", field=field)
    return value


def _number(members: Mapping[str, Any], field: str) -> int:
    return int(_matching(members, field, _NUMBER, "a number from 1"))


def _image_name(members: Mapping[str, Any]) -> str:
    return _matching(members, "nci", _NAME, "letters, digits, '.', '_', '-', at most one '/', and no '..'")
