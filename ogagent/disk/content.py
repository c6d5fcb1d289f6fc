"""What a partition holds, read from the device itself."""

from __future__ import annotations

from msgspec import Struct

from ogagent.disk import blkid, record
from ogagent.disk.hibernation import is_hibernated
from ogagent.disk.members import is_member
from ogagent.disk.usage import used_percent
from ogagent.disk.volume import Volume
from ogagent.system.text import printable


class Content(Struct, frozen=True):
    """``filesystem`` is libblkid's name, empty for nothing it knows or for signatures that contradict each other.

    ``used`` is a percentage, None where it cannot be known. ``member``: of a volume that has other parts, too.
    ``hibernated``: a system sleeps in it. ``incomplete``: it says itself that a restore of it has not finished. What
    has a file system was made since, whatever is left of the record.
    """

    filesystem: str = ""
    label: str = ""
    used: int | None = None
    member: bool = False
    hibernated: bool = False
    incomplete: bool = False


def probe(fd: int, offset: int, size: int, *, used: bool = True) -> Content:
    """``offset`` and ``size`` in bytes; ``fd`` may be a partition, a disk, or a file. ``used``: measure that. Blocking.

    Raises OSError when the device cannot be read, ToolMissing without libblkid.
    """
    if size <= 0:  # libblkid would take 0 for all the rest of the device
        return Content()
    found = blkid.superblock(fd, offset, size)
    filesystem = found.get("TYPE", "")
    volume = Volume(fd, offset, size)
    return Content(
        filesystem=filesystem,
        label=printable(found.get("LABEL", "")),
        used=used_percent(volume, filesystem) if used else None,
        member=is_member(volume, filesystem),
        hibernated=is_hibernated(volume, filesystem),
        incomplete=not filesystem and record.read(volume) is not None,
    )
