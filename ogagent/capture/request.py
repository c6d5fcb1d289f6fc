"""The call ``CrearImagen``, decoded strictly; and what it becomes."""

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
    Rule,
    checked,
    function_name,
    integers,
    rule,
    schema,
    text,
)
from ogagent.model.plan import Target

FUNCTION: Final = "CrearImagen"

_RULES: Final[Mapping[str, Rule]] = {
    "nfn": function_name(FUNCTION),
    "dsk": DISK,
    "par": PARTITION,
    "idi": text("image id", required=True),
    "nci": IMAGE_NAME,
    "ipr": REPOSITORY,
    "cpt": rule(
        "partition code of the image, hexadecimal; when it is there, a file system that nobody knows is taken whole",
        "a partition code of 1-4 hexadecimal digits",
        *(re.compile("[0-9A-Fa-f]{0,4}"), integers(0, 9999)),
    ),
    "identity": IDENTITY,
    "ids": TRACE,
}

CAPTURE_SCHEMA: Final = schema(_RULES)


class CaptureRequest(Struct, frozen=True, kw_only=True):
    """Members carry the names that ogCore uses, and are empty when absent; ``nci`` begins with no slash."""

    dsk: int
    par: int
    idi: str
    nci: str
    ipr: str
    cpt: str = ""
    identity: str = ""
    ids: str = ""

    def echo(self) -> dict[str, str]:
        """The request in ogCore's own shape: strings only."""
        return {
            "nfn": FUNCTION,
            "dsk": str(self.dsk),
            "par": str(self.par),
            "idi": self.idi,
            "nci": self.nci,
            "ipr": self.ipr,
            "cpt": self.cpt,
            "identity": self.identity,
            "ids": self.ids,
        }


def capture_request(members: Mapping[str, Any]) -> CaptureRequest:
    """Raises MissingField or InvalidField, each naming the member. Unknown members are ignored."""
    texts = checked(_RULES, members)
    return CaptureRequest(
        dsk=int(texts["dsk"]),
        par=int(texts["par"]),
        idi=texts["idi"],
        nci=texts["nci"].removeprefix("/"),
        ipr=texts["ipr"],
        cpt=texts["cpt"],
        identity=texts["identity"],
        ids=texts["ids"],
    )


class CapturePlan(Struct, frozen=True, kw_only=True):
    """``filesystem`` as libblkid names it, ``destination`` the URL that the image will have. ``whole``: all of the
    partition is taken, since nobody knows which of its blocks are in use. ``reduce``: the file system is shrunk before,
    and grown back after.
    """

    request: CaptureRequest
    target: Target
    filesystem: str
    destination: str
    whole: bool = False
    reduce: bool = False
