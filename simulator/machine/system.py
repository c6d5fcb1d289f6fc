"""The system on a partition of a disk that is a file, as far as it would boot."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from simulator.errors import LabError
from simulator.ext4 import read_file
from simulator.machine.table import read_disk

_BEGINNING: Final = 128 << 10
"""Bytes that hold the boot sector and the superblock of whatever boots. Further on a partition may say who wiped it."""
_OS_RELEASE: Final = "/usr/lib/os-release"


def installed_system(disk: Path, partition: int) -> str:
    """The name of the system that would boot. Raises LabError when none would."""
    with disk.open("rb") as file:
        row = read_disk(file.fileno()).row(partition)
        if row is None:
            raise LabError(f"{disk} has no partition {partition}")
        file.seek(row.start)
        if not any(file.read(_BEGINNING)):
            raise LabError(f"partition {partition} of {disk} does not boot: its beginning is empty")
    text = read_file(disk, _OS_RELEASE, offset=row.start)
    name = re.search(r'^PRETTY_NAME="?([^"\n]+)', text, re.MULTILINE)
    if not name:
        raise LabError(f"partition {partition} of {disk} does not boot: it holds no {_OS_RELEASE}")
    return name[1]
