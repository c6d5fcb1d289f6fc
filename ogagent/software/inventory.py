"""Which system lies on a partition, or runs here, and what is installed in it. Nothing is changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ogagent.model.software import Software
from ogagent.software.linux import read_linux
from ogagent.software.windows import open_software_hive, read_windows
from ogagent.system.mounts import read_only
from ogagent.system.reading import read_tree

_NO_SYSTEM: Final = Software(notes=("no system was found",))


async def software_on(
    device: str, filesystem: str, place: Path, compare: Callable[[int], None] = lambda _: None
) -> Software:
    """What a partition holds; the arguments, and what is raised, as for ``mounts.read_only``; ToolFailed, too."""
    async with read_only(device, filesystem, place, compare) as root:
        return await software_below(root, device)


async def software_here(root: Path = Path("/")) -> Software:
    """What this system holds."""
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return await software_below(fd, str(root))
    finally:
        os.close(fd)


async def software_below(root: int, name: str) -> Software:
    """``root``: a descriptor of the root directory; ``name`` of it, for people. Without a system it is only a note.

    Raises PartitionNotReadable, ToolMissing, ToolFailed.
    """
    linux = await read_tree(root, name, read_linux)
    if linux is not None:
        return linux
    hive = await read_tree(root, name, open_software_hive, lambda late: None if late is None else os.close(late))
    if hive is None:
        return _NO_SYSTEM
    try:
        return await read_windows(hive)
    finally:
        os.close(hive)
