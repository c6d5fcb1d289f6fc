"""The call ``Configurar``, decoded strictly: what is in a ConfigureRequest has been checked.

``cfg`` says the same in OpenGnsys' own words, ``ttp=GPT*dis=1*che=1*tch=8388608!par=1*cpt=LINUX*sfi=EXT4*ope=1%``, and
as JSON: a list of objects, or one object with ``partitions``. Rows of an inventory count as well: that with ``par`` 0
names the kind of the table, and those of other disks are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from ogagent.errors import InvalidField, MissingField
from ogagent.model.disk import TableKind
from ogagent.model.members import DISK, IDENTITY, TRACE, Rule, checked_member, function_name, integers, rule
from ogagent.model.units import KIB
from ogagent.partition.kinds import PartitionKind, kind_of

FUNCTION: Final = "Configurar"

_LONGEST_CFG: Final = 32 * KIB
_MOST_ROWS: Final = 4096
"""An inventory of many disks may be sent back whole."""
_TABLES: Final[Mapping[str, TableKind | None]] = {"MSDOS": "msdos", "DOS": "msdos", "GPT": "gpt", "": None}
_INVENTORY_TABLES: Final = {"0": "", "1": "MSDOS", "2": "GPT"}
_DISK_MEMBERS: Final = ("ttp", "che", "tch", "dis")
_FLAG: Final = rule("0 or 1", "0 or 1", re.compile("[01]?"), integers(0, 1))
_SIZE: Final = rule("a size in KiB", "a size in KiB", re.compile("([0-9]{1,13})?"), integers(0))
_NUMBER: Final = rule("a number from 1", "a number from 1", re.compile("([1-9][0-9]{0,2})?"), integers(1, 999))
_RULES: Final[Mapping[str, Rule]] = {
    "nfn": function_name(FUNCTION),
    "dsk": DISK,
    "identity": IDENTITY,
    "ids": TRACE,
    "dis": _NUMBER,
    "disk": _NUMBER,
    "ttp": rule("kind of the table", "MSDOS or GPT", re.compile("([Mm][Ss][Dd][Oo][Ss]|[Dd][Oo][Ss]|[Gg][Pp][Tt])?")),
    "che": _FLAG,
    "tch": _SIZE,
    "par": rule("number of a partition", "a number from 1", re.compile("(0|[1-9][0-9]{0,2})?"), integers(0, 999)),
    "cpt": rule("kind of partition, or its code", "a kind or a code", re.compile("[A-Za-z0-9-]{0,20}"), integers(0)),
    "sfi": rule("file system", "a file system", re.compile("[A-Za-z0-9+-]{0,20}")),
    "tam": _SIZE,
    "ope": _FLAG,
}
_Members = Mapping[str, Any]

_PART_MEMBERS: Final = {
    name: _RULES[name].schema for name in (*_DISK_MEMBERS, "disk", "par", "cpt", "sfi", "tam", "ope")
}
_PART_SCHEMA: Final = {"type": "object", "properties": _PART_MEMBERS}
CONFIGURE_SCHEMA: Final[_Members] = {
    "type": "object",
    "description": "As ogCore sends it. An integer counts as its digits, null as absent; other members are ignored.",
    "required": ["dsk", "cfg"],
    "properties": {
        **{name: _RULES[name].schema for name in ("nfn", "dsk", "identity", "ids")},
        "cfg": {
            "description": "the table that is wanted, in OpenGnsys' own words or as JSON",
            "anyOf": [
                {"type": "string", "minLength": 1, "maxLength": _LONGEST_CFG},
                {"type": "array", "minItems": 1, "maxItems": _MOST_ROWS, "items": _PART_SCHEMA},
                {
                    "type": "object",
                    "properties": {**_PART_MEMBERS, "partitions": {"type": "array", "items": _PART_SCHEMA}},
                },
            ],
        },
    },
}
"""JSON schema of the call's body."""


class Row(Struct, frozen=True, kw_only=True):
    """One partition that is wanted. ``size`` in bytes, None for the rest; ``filesystem`` as it was named, or empty."""

    number: int
    kind: PartitionKind
    filesystem: str = ""
    size: int | None = None
    format: bool = False


class ConfigureRequest(Struct, frozen=True, kw_only=True):
    """``table`` is None where it is to stay of its kind; ``cache`` where nothing is said of the CACHE (``che``);
    ``cache_size`` in bytes (``tch``), None where it is not said.
    """

    dsk: int
    rows: tuple[Row, ...]
    table: TableKind | None = None
    cache: bool | None = None
    cache_size: int | None = None
    identity: str = ""
    ids: str = ""


def configure_request(members: _Members) -> ConfigureRequest:
    """Raises MissingField or InvalidField, each naming the member. Unknown members are ignored."""
    _value(members, "nfn")
    disk = int(_required(members, "dsk"))
    parts = list(_parts(members.get("cfg")))
    own = [part for part in parts if _value(part, "disk") in ("", str(disk))]
    if not own:
        raise MissingField(f"cfg says nothing of disk {disk}", field="cfg")
    head: dict[str, str] = {}
    for part in own:
        for name, value in _disk_members(part).items():
            if head.setdefault(name, value) != value:
                raise InvalidField(f"cfg says both {head[name]!r} and {value!r} for {name}", field=name)
    if head.get("dis", str(disk)) != str(disk):
        raise InvalidField(f"cfg is for disk {head['dis']}, dsk is {disk}", field="dis")
    return ConfigureRequest(
        dsk=disk,
        rows=tuple(_row(part) for part in own if _is_row(part)),
        table=_TABLES[head.get("ttp", "").upper()],
        cache={"0": False, "1": True}.get(head.get("che", "")),
        cache_size=int(head.get("tch", "0")) * KIB or None,
        identity=_value(members, "identity"),
        ids=_value(members, "ids"),
    )


def _is_row(part: _Members) -> bool:
    """Of a partition; what has ``par`` 0 is the disk's."""
    return _value(part, "par") != "0" and any(_value(part, name) for name in ("par", "cpt", "tam"))


def _disk_members(part: _Members) -> dict[str, str]:
    found = {name: value for name in _DISK_MEMBERS if (value := _value(part, name))}
    if _value(part, "par") == "0" and (kind := _value(part, "cpt")):
        if kind not in _INVENTORY_TABLES:
            raise InvalidField(f"par 0 is the disk itself, and {kind!r} no kind of table", field="par")
        found |= {"ttp": _INVENTORY_TABLES[kind]} if _INVENTORY_TABLES[kind] else {}
    return found


def _row(part: _Members) -> Row:
    number = int(_required(part, "par"))
    named = _required(part, "cpt")
    kind = kind_of(named)
    if kind is None:
        raise InvalidField(f"cpt is {named!r}, expected {_RULES['cpt'].expected}", field="cpt")
    return Row(
        number=number,
        kind=kind,
        filesystem=_value(part, "sfi").upper(),
        size=int(_value(part, "tam") or "0") * KIB or None,
        format=_value(part, "ope") == "1",
    )


def _parts(cfg: object) -> Iterator[_Members]:
    """Objects with members of the disk, of a partition, or of both."""
    if cfg is None or cfg == "":
        raise MissingField("cfg is missing", field="cfg")
    if isinstance(cfg, str):
        if len(cfg) > _LONGEST_CFG:
            raise InvalidField(f"cfg is longer than {_LONGEST_CFG} characters", field="cfg")
        cfg = _json(cfg) if cfg.lstrip()[:1] in ("{", "[") else list(_own_words(cfg))
    if isinstance(cfg, Mapping):
        yield cfg
        cfg = [] if cfg.get("partitions") is None else cfg["partitions"]
    if not isinstance(cfg, list):
        raise InvalidField("cfg is neither OpenGnsys' string nor a list of partitions", field="cfg")
    if len(cfg) > _MOST_ROWS:
        raise InvalidField(f"cfg has more than {_MOST_ROWS} rows", field="cfg")
    for part in cfg:
        if not isinstance(part, Mapping):
            raise InvalidField("a row of cfg is no object", field="cfg")
        yield part


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidField("cfg begins as JSON and is none", field="cfg") from None


def _own_words(text: str) -> Iterator[_Members]:
    disk, _, rows = text.partition("!")
    for part in (disk, *rows.split("%")):
        if not part.strip():
            continue
        members: dict[str, str] = {}
        for member in filter(None, part.strip().split("*")):
            name, equals, value = member.partition("=")
            if not equals or name in members:
                raise InvalidField("cfg holds what is no name=value, or a name twice in a row", field="cfg")
            members[name] = value
        yield members


def _required(members: _Members, name: str) -> str:
    value = _value(members, name)
    if not value:
        raise MissingField(f"{name} is missing", field=name)
    return value


def _value(members: _Members, name: str) -> str:
    """Empty when it is absent."""
    return checked_member(name, _RULES[name], members.get(name))
