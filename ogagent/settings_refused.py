"""What msgspec says of a configuration, as whoever wrote that wants to read it."""

from __future__ import annotations

import re
from typing import get_args, get_type_hints


def key_and_reason(message: str, settings: type) -> tuple[str, str]:
    """msgspec says ``Expected `int`, got `str` - at `$.server.port` ``, of an unknown key only where it lies, and of a
    value that is none of some only that.
    """
    reason, _, place = message.partition(" - at `$")
    key = place.rstrip("`").removeprefix(".")
    if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", reason, re.DOTALL):
        return f"{key}.{unknown[1]}".removeprefix("."), "unknown key"
    if reason.startswith("Invalid enum value"):
        return key, f"{reason}: it is {_choices(key, settings)}"
    return key, reason


def _choices(key: str, settings: type) -> str:
    kind = settings
    for name in key.split("."):
        kind = get_type_hints(kind)[name]
    return " or ".join(f'"{value}"' for value in get_args(kind))
