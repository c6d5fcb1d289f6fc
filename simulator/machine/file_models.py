"""Images made of PCs whose disks are files. Only ext file systems are known, as e2fsprogs tell of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path

from ogagent.errors import CannotReduce, FilesystemNotSupported, ModelNotRead
from ogagent.model.filesystem import EXTFS, by_blkid
from ogagent.model.plan import Target
from ogagent.system.process import Piped
from simulator.errors import ToolFailed
from simulator.ext4 import used_blocks
from simulator.partclone_writer import partclone_image

_HEADER_AND_BITMAP = 2


class FileModels:
    """Implements ``ogagent.capture.machine.ModelMachine``."""

    def place(self, target: Target) -> tuple[str, int]:
        return target.disk_device, target.start

    async def beginning(self, target: Target, filesystem: str) -> bytes:
        known = by_blkid(filesystem)
        if known is None or known.partclone != EXTFS:
            raise FilesystemNotSupported(
                f"{target.device} holds {filesystem or 'what nobody knows'}, and is only a file", field="par"
            )
        return await asyncio.to_thread(_beginning, Path(target.disk_device), target.start)

    @asynccontextmanager
    async def stream(self, target: Target, filesystem: str) -> AsyncIterator[Piped]:
        raise ModelNotRead(f"{target.device} is only a place in a file: no tool makes an image of {filesystem} there")
        yield Piped(-1, lambda: None)

    @asynccontextmanager
    async def node(self, target: Target) -> AsyncIterator[str]:
        raise CannotReduce(f"{target.device} is only a place in a file: no tool can make it smaller")
        yield ""


def _beginning(disk: Path, offset: int) -> bytes:
    try:
        blocks = used_blocks(disk, offset=offset)
    except ToolFailed as error:
        raise ModelNotRead(f"{disk}: {error.message}") from error
    with disk.open("rb") as source:
        return b"".join(islice(partclone_image(source, blocks, EXTFS), _HEADER_AND_BITMAP))
