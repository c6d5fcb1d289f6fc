"""Which system lies on a partition, read without mounting it."""

from __future__ import annotations

import logging
from typing import Final

from ogagent.errors import AgentError
from ogagent.model.filesystem import EXTFS, by_blkid
from ogagent.model.units import KIB
from ogagent.system import os_release, process
from ogagent.system.text import printable

_log: Final = logging.getLogger(__name__)
_TIMEOUT_S: Final = 3
_MAX_LENGTH: Final = 64
_MOST_OUTPUT: Final = 64 * KIB


async def operating_system(device: str, offset: int, filesystem: str) -> str:
    """``Ubuntu 24.04``, or empty when that cannot be told. ``offset`` in bytes, for a partition inside a file."""
    known = by_blkid(filesystem)
    if known is None or known.partclone != EXTFS:
        return ""
    place = f"{device}?offset={offset}" if offset else device
    for file in os_release.PLACES:
        try:
            # -c: catastrophic mode, which reads no bitmaps, so that a large file system costs nothing
            command = ["debugfs", "-c", "-R", f"cat /{file}", place]
            text = await process.run(command, timeout_s=_TIMEOUT_S, max_output=_MOST_OUTPUT)
        except AgentError as error:
            _log.debug("the system on %s cannot be told: %s", device, error.message)
            return ""
        if name := parse_os_release(text.decode("utf-8", "replace")):
            return name
    return ""


def parse_os_release(text: str) -> str:
    """NAME and VERSION_ID of os-release(5); empty without a name."""
    members = os_release.members(text)
    name, version = members.get("NAME", ""), members.get("VERSION_ID", "")
    return printable(f"{name} {version}")[:_MAX_LENGTH].strip() if name else ""
