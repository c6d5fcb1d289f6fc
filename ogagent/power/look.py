"""A look into a partition from which the machine may start."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from ogagent.disk.real import compare
from ogagent.errors import PartitionNotReadable
from ogagent.model.plan import Target
from ogagent.system.mounts import read_only
from ogagent.system.reading import read_device

Look = Callable[[Target, str], AbstractAsyncContextManager[int]]
"""A partition and its file system; gives a descriptor of its root directory."""


def looking_from(place: Path) -> Look:
    """``place``: a directory of the agent's own, where a program may mount for a moment."""

    def look(target: Target, filesystem: str) -> AbstractAsyncContextManager[int]:
        return read_only(target.device, filesystem, place, lambda fd: compare(fd, 0, target))

    return look


async def probed(device: str, probe: Callable[[int], str]) -> str:
    """What libblkid says of a partition. Raises PartitionNotReadable, ToolMissing."""

    def work() -> str:
        fd = os.open(device, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return probe(fd)
        finally:
            os.close(fd)

    try:
        return await read_device(device, work)
    except OSError as error:
        raise PartitionNotReadable(f"{device} cannot be read: {error.strerror}") from error
