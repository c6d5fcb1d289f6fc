"""Which system lies on a partition, read without mounting it."""

from __future__ import annotations

import logging
import shlex
from typing import Final

from ogagent.disk.text import printable
from ogagent.errors import AgentError
from ogagent.model.filesystem import EXTFS, by_blkid
from ogagent.model.units import KIB
from ogagent.system import process

_log: Final = logging.getLogger(__name__)
_FILES: Final = ("/etc/os-release", "/usr/lib/os-release")  # os-release(5): the first is usually a link to the second
_TIMEOUT_S: Final = 3
_MAX_LENGTH: Final = 64
_MOST_OUTPUT: Final = 64 * KIB


async def operating_system(device: str, offset: int, filesystem: str) -> str:
    """``Ubuntu 24.04``, or empty when that cannot be told. ``offset`` in bytes, for a partition inside a file."""
    known = by_blkid(filesystem)
    if known is None or known.partclone != EXTFS:
        return ""
    place = f"{device}?offset={offset}" if offset else device
    for file in _FILES:
        try:
            # -c: catastrophic mode, which reads no bitmaps, so that a large file system costs nothing
            command = ["debugfs", "-c", "-R", f"cat {file}", place]
            text = await process.run(command, timeout_s=_TIMEOUT_S, max_output=_MOST_OUTPUT)
        except AgentError as error:
            _log.debug("the system on %s cannot be told: %s", device, error.message)
            return ""
        if name := parse_os_release(text.decode("utf-8", "replace")):
            return name
    return ""


def parse_os_release(text: str) -> str:
    """NAME and VERSION_ID of os-release(5); empty without a name."""
    members = dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    name, version = (_unquoted(members.get(key, "")) for key in ("NAME", "VERSION_ID"))
    return printable(f"{name} {version}")[:_MAX_LENGTH].strip() if name else ""


def _unquoted(value: str) -> str:
    try:
        return " ".join(shlex.split(value))
    except ValueError:
        return ""
