"""What a partition holds, read from the device itself."""

from __future__ import annotations

from msgspec import Struct

from ogagent.disk import blkid
from ogagent.disk.text import printable
from ogagent.disk.usage import used_percent
from ogagent.disk.volume import Volume


class Content(Struct, frozen=True):
    """``filesystem`` is libblkid's name, empty for nothing it knows or for signatures that contradict each other.

    ``used`` is a percentage, None where it cannot be known.
    """

    filesystem: str = ""
    label: str = ""
    used: int | None = None


def probe(fd: int, offset: int, size: int) -> Content:
    """``offset`` and ``size`` in bytes; ``fd`` may be a partition, a disk, or a file. Blocking.

    Raises OSError when the device cannot be read, ToolMissing without libblkid.
    """
    if size <= 0:  # libblkid would take 0 for all the rest of the device
        return Content()
    found = blkid.superblock(fd, offset, size)
    filesystem = found.get("TYPE", "")
    used = used_percent(Volume(fd, offset, size), filesystem)
    return Content(filesystem=filesystem, label=printable(found.get("LABEL", "")), used=used)
