"""The PC of OpenGnsys' demonstration: EFI, a system, data, and the CACHE at the end of its one disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from simulator.machine.gpt import Entry
from simulator.machine.making import gpt_entries
from simulator.machine.making import make_disk as make_any_disk
from simulator.machine.profile import known_profile
from simulator.tree import MIB

_DISK: Final = known_profile("classroom").disks[0]
EFI, SYSTEM, DATA, CACHE = gpt_entries(_DISK)
DISK_SIZE: Final = _DISK.size


def make_disk(path: Path) -> None:
    """A new disk, with an old system where an image will go. The data partition holds no file system, but noise."""
    make_any_disk(path, _DISK)


def outside(path: Path, partition: Entry) -> Iterator[bytes]:
    """Everything on the disk but this partition, tables included."""
    with path.open("rb") as file:
        for start, stop in ((0, partition.start), (partition.start + partition.size, DISK_SIZE)):
            file.seek(start)
            for offset in range(start, stop, MIB):
                yield file.read(min(MIB, stop - offset))
