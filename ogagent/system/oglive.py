"""Whether this is an ogLive. Nothing else may be done to the disks of a PC than what is done from there."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

INIT: Final = Path("/scripts/oginit")
"""The first program of an ogLive. By this file OpenGnsys' own agents, ogAgent and ogClient, tell it."""
_WORDS: Final = {"boot=oginit", "boot=oglive"}
_NAMES: Final = {"oglivedir", "ogactiveadmin", "og2nd"}
"""What OpenGnsys' boot menus put on the kernel command line of an ogLive, and of nothing else."""
_ON_DISK: Final = ("partition", "dm", "md")
"""What sysfs says of a partition, and of a volume that is built on some."""


def is_oglive(kernel_command_line: str, init: Path = INIT) -> bool:
    words = kernel_command_line.split()
    return any(word in _WORDS or word.partition("=")[0] in _NAMES for word in words) or init.exists()


def lies_on_a_disk(mounts: Path = Path("/proc/self/mountinfo"), sysfs: Path = Path("/sys/dev/block")) -> bool:
    """Whether the root of the running system is on a partition, or in a volume built on some: that of a live system
    is in memory, or comes over the network.

    ``mounts`` as proc(5) has them: the third field is the device, unless the file system has none of its own (btrfs);
    then its source says it.
    """
    lines = (line.split() for line in mounts.read_text("utf-8", "replace").splitlines())
    roots = [fields for fields in lines if fields[4] == "/" and "-" in fields]
    if not roots:
        return False
    number, source = roots[-1][2], roots[-1][roots[-1].index("-") + 2]
    with suppress(OSError):
        device = os.stat(source).st_rdev if source.startswith("/dev/") else 0  # noqa: PTH116 - as of any path there
        number = f"{os.major(device)}:{os.minor(device)}" if device else number
    return any((sysfs / number / kind).exists() for kind in _ON_DISK)
