"""The call ``RestaurarImagen``, decoded strictly: what is in a RestoreRequest has been checked; and what
it is bound to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from ogagent.model.members import (
    DISK,
    IDENTITY,
    IMAGE_NAME,
    PARTITION,
    REPOSITORY,
    TRACE,
    Form,
    Rule,
    checked,
    function_name,
    integers,
    rule,
    schema,
    text,
)
from ogagent.model.method import UNICAST, Session, way_of
from ogagent.model.plan import Target
from ogagent.model.text import LONGEST, SEEN

FUNCTION: Final = "RestaurarImagen"

_METHOD: Final = re.compile(rf"(?=.{{1,{LONGEST}}}$) *[!-~]+( {SEEN}*)?")
_PLAIN: Final = "-cache"
"""Through the CACHE, as every method is that does not say otherwise."""
# OpenGnsys' table `tipospar` (ogAdmBD.sql) and `ogTypeToId` of its engine (Disk.lib): an MSDOS type byte, 0 to fd; the
# four digits of a GPT type, 0700 to ffff; and two of five digits, 10000 for LVM's and 10010 for ZFS' volumes.
_CODE: Final = re.compile("([0-9A-Fa-f]{1,4}|10000|10010)?")
_VOLUMES: Final[Form] = {"enum": [10000, 10010]}


def _method(what: str) -> Rule:
    return rule(what, "a method, and its options after a space; leave it out for unicast", _METHOD, integers())


_RULES: Final[Mapping[str, Rule]] = {
    "nfn": function_name(FUNCTION),
    "dsk": DISK,
    "par": PARTITION,
    "idi": text("image id", required=True),
    "nci": IMAGE_NAME,
    "ipr": REPOSITORY,
    "cpt": rule(
        "partition code of the image, hexadecimal; an integer counts as these digits",
        "a partition code of 1-4 hexadecimal digits, 10000 or 10010",
        *(_CODE, integers(0, 9999), _VOLUMES),
    ),
    "ifs": text("software profile id"),
    "method": _method("unicast, multicast, uftp, p2p or torrent, or one with -direct; options after a space"),
    "ptc": _method("the same as method, which counts when both are there"),
    "identity": IDENTITY,
    "force": rule(
        "1: members of volumes that are not active may be overwritten",
        *("0 or 1", re.compile("[01]?"), integers(0, 1)),
    ),
    "ids": TRACE,
}

RESTORE_SCHEMA: Final = schema(_RULES)


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
    method: str = UNICAST
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
    texts = checked(_RULES, members)
    method, _, options = (texts["method"] or texts["ptc"] or UNICAST).strip(" ").partition(" ")
    method = method.lower().removesuffix(_PLAIN)
    way_of(method, options.strip(" "))
    return RestoreRequest(
        dsk=int(texts["dsk"]),
        par=int(texts["par"]),
        idi=texts["idi"],
        nci=texts["nci"].removeprefix("/"),
        ipr=texts["ipr"],
        cpt=texts["cpt"],
        ifs=texts["ifs"],
        ids=texts["ids"],
        method=method,
        method_options=options.strip(" "),
        identity=texts["identity"],
        force=texts["force"] == "1",
    )


class RestorePlan(Struct, frozen=True, kw_only=True):
    request: RestoreRequest
    target: Target
    source: str
    """URL of the image."""
    cache: Target | None = None
    """The CACHE, when the image goes through it."""
    session: Session | None = None
    """That of a crowd which takes the image together."""
    remarks: tuple[str, ...] = ()
    """Warnings, as the job will have them."""
    suspended: tuple[Target, ...] = ()
    """Swap space in which a Linux sleeps that must not wake again."""
    sleeping: tuple[Target, ...] = ()
    """Where a Windows sleeps of which people must be told."""
