"""A node for a part of a disk, where the kernel has none: tools take the name of a device, and no place in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from ogagent.errors import DeviceBusy, ToolFailed, ToolMissing
from ogagent.system import process
from ogagent.system.patience import wait_out

_LOOP_S: Final = 20.0


@asynccontextmanager
async def loop_over(device: str, start: int, size: int, sector_size: int) -> AsyncIterator[str]:
    """What is written to it is written to ``device``. Bytes. Raises DeviceBusy when there is none to be had."""
    attach = ["losetup", "--find", "--show", "--sector-size", str(sector_size)]
    try:
        said = await process.run([*attach, "--offset", str(start), "--sizelimit", str(size), device], timeout_s=_LOOP_S)
    except (ToolFailed, ToolMissing) as error:
        raise DeviceBusy(f"there is no loop device for a part of {device}: {error.message}", hint=error.hint) from error
    loop = said.decode().strip()
    try:
        yield loop
    finally:
        detached = asyncio.create_task(process.run(["losetup", "--detach", loop], timeout_s=_LOOP_S))
        await wait_out([detached])
