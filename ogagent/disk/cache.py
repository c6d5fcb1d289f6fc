"""The CACHE partition of this machine, mounted as long as somebody uses it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from ogagent.disk.occupancy import block_device_number, read_occupants
from ogagent.errors import CacheError, ToolFailed, ToolMissing
from ogagent.model.disk import Partition
from ogagent.system import process

_log: Final = logging.getLogger(__name__)

_CHECK_S: Final = 600
_MOUNT_S: Final = 60
_OPTIONS: Final = "nosuid,nodev,noexec,nosymfollow,noatime"
"""nosymfollow: whoever could write into the CACHE must not lead root to other places."""
_SUPERBLOCK: Final = 1024
_VALID: Final = 1
_ERRORS: Final = 2
_NEEDS_RECOVERY: Final = 4
_CORRECTED: Final = (0, 1)  # e2fsck(8): no errors; errors corrected


class MountedCache:
    """Implements ``ogagent.disk.machine.CacheStore``. Who has it mounted already is not disturbed."""

    def __init__(self, mount_point: Path) -> None:
        self._mount_point = mount_point
        self._turn = asyncio.Lock()
        self._users = 0
        self._place = mount_point
        self._ours = False
        self._writable = False

    @asynccontextmanager
    async def mounted(self, partition: Partition) -> AsyncIterator[Path]:
        async with self._turn:
            if not self._users:
                await self._mount(partition)
            self._users += 1
        try:
            yield self._place
        finally:
            async with self._turn:
                self._users -= 1
                if not self._users and self._ours:
                    await self._unmount()

    async def make_writable(self) -> None:
        async with self._turn:
            if not self._ours or self._writable:
                return
            try:
                await process.run(["mount", "-o", f"remount,rw,{_OPTIONS}", str(self._place)], timeout_s=_MOUNT_S)
            except (ToolFailed, ToolMissing) as error:
                raise CacheError(f"the CACHE on {self._place} cannot be written: {error.message}") from error
            self._writable = True

    async def _mount(self, partition: Partition) -> None:
        """What is clean is not written to: neither by this mount, nor by a check, which it does not get."""
        self._writable = False
        if partition.problem:
            raise CacheError(f"the CACHE ({partition.device}) is not used: {partition.problem}")
        occupant = await asyncio.to_thread(_occupant, partition.device)
        self._ours = occupant is None
        if occupant is not None:
            if occupant.startswith("["):
                raise CacheError(f"the CACHE ({partition.device}) is in use: {occupant}")
            self._place = Path(occupant)
            return
        self._place = self._mount_point
        try:
            if partition.filesystem.startswith("ext") and not await asyncio.to_thread(_is_clean, partition.device):
                await process.run(["e2fsck", "-p", partition.device], timeout_s=_CHECK_S, good=_CORRECTED)
            await asyncio.to_thread(self._mount_point.mkdir, parents=True, exist_ok=True)
            await process.run(["mount", "-o", f"ro,{_OPTIONS}", partition.device, str(self._place)], timeout_s=_MOUNT_S)
        except (ToolFailed, ToolMissing) as error:
            raise CacheError(f"the CACHE ({partition.device}) cannot be mounted: {error.message}") from error
        except OSError as error:
            raise CacheError(f"{self._mount_point} cannot be made: {error.strerror}") from error
        except asyncio.CancelledError:
            if await asyncio.to_thread(_occupant, partition.device):
                await self._unmount()
            raise

    async def _unmount(self) -> None:
        try:
            await process.run(["umount", str(self._place)], timeout_s=_MOUNT_S)
        except (ToolFailed, ToolMissing) as error:
            _log.error("the CACHE stays mounted on %s: %s", self._place, error.message)


def _is_clean(device: str) -> bool:
    """What ext2, 3 and 4 say of themselves: linux/fs/ext4/ext4.h, struct ext4_super_block."""
    with open(device, "rb") as file:
        file.seek(_SUPERBLOCK)
        superblock = file.read(_SUPERBLOCK)
    state = int.from_bytes(superblock[58:60], "little")
    features = int.from_bytes(superblock[96:100], "little")
    return state & (_VALID | _ERRORS) == _VALID and not features & _NEEDS_RECOVERY


def _occupant(device: str) -> str | None:
    number = block_device_number(device)
    return None if number is None else read_occupants().get(number)
