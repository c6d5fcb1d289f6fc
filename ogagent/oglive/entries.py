"""What an image has that its files, unpacked by whoever is not wholly root, do not: other owners, and device nodes.

In the pseudo-file definitions of squashfs-tools, which unsquashfs prints of an image, and mksquashfs takes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ogagent.errors import NotAdded, ToolFailed
from ogagent.system import process

_LIST_S: Final = 600.0
_DATA: Final = b"# START OF DATA"
_LINE: Final = re.compile(r"((?:\\.|[^ \\])+) ([DRSICB]) \d+ ([0-7]+) (\d+) (\d+)(?: (.*))?")
"""Name, kind, time, mode, owner, group; of a device its numbers. A name has backslashes before what would end it."""


async def entries(image: Path) -> list[str]:
    """A line for each. Raises NotAdded and ToolMissing."""
    list_all = ["unsquashfs", "-no-progress", "-pf", "/dev/stdout", str(image)]
    try:
        said = await process.beginning(list_all, enough=_all_but_data, timeout_s=_LIST_S)
    except ToolFailed as error:
        raise NotAdded(f"what is in {image} cannot be listed: {error.message}") from error
    return os.fsdecode(said).splitlines()


def lost(listed: list[str], root: Path) -> Iterator[str]:
    """Definitions of what is not in ``root`` as it was in the image, for mksquashfs. What is gone stays gone."""
    for line in listed:
        if not (found := _LINE.fullmatch(line)):
            continue
        name, kind, mode, owner, group, rest = found.groups()
        place = root / re.sub(r"\\(.)", r"\1", name).lstrip("/")
        if kind in "CB" and not os.path.lexists(place):
            yield f"{name} {kind.lower()} {mode} {owner} {group} {rest}"
        elif (owner, group) != ("0", "0") and name != "/" and os.path.lexists(place):
            yield f"{name} m {mode} {owner} {group}"


def _all_but_data(said: bytearray) -> int:
    at = said.find(_DATA)
    return at if at >= 0 else len(said) + 1
