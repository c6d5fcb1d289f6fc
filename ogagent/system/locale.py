"""In which language this system speaks, and since when it runs."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Final

PLACES: Final = ("etc/locale.conf", "etc/default/locale")
"""locale.conf(5), and where Debian has the same. Who logs in may choose another one, which nobody else sees."""
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def language(root: Path = Path("/")) -> str:
    """``es_ES.UTF-8``; empty where nothing is said."""
    for place in PLACES:
        try:
            text = (root / place).read_text("utf-8", errors="replace")
            found = dict(word.split("=", 1) for word in shlex.split(text, comments=True) if "=" in word)
        except (OSError, ValueError):
            continue
        if said := found.get("LANG"):
            return said
    return ""


def boot_id() -> str:
    """Another one after each boot: random(4)."""
    return _BOOT_ID.read_text("ascii").strip()
