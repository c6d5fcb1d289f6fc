"""The CACHE partition of this machine, mounted as long as somebody uses it."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from ogagent.disk.cache_thread import CacheThread
from ogagent.disk.occupancy import read_occupants
from ogagent.disk.real import compare
from ogagent.errors import CacheError, DiskChanged, ToolFailed, ToolMissing
from ogagent.model.plan import Target
from ogagent.system import process

_log: Final = logging.getLogger(__name__)

_CHECK_S: Final = 600.0
_CHECK_GRACE_S: Final = 20.0
"""e2fsck ends by itself when it is asked to, but not in the middle of something."""
_MOUNT_S: Final = 60.0
_UNMOUNT_S: Final = 10.0
_PAUSES_S: Final = (0.1, 0.2, 0.4)
_RETURN_S: Final = 10.0
_OPTIONS: Final = "nosuid,nodev,noexec,noatime"
_NO_LINKS: Final = ",nosymfollow"
"""From Linux 5.10 and util-linux 2.37 on. Nothing depends on it: see ``ogagent.system.beneath``."""
_SUPERBLOCK: Final = 1024
_MAGIC: Final = b"\x53\xef"
_VALID: Final = 1
_ERRORS: Final = 2
_NEEDS_RECOVERY: Final = 4
_CORRECTED: Final = (0, 1)  # e2fsck(8): no errors; errors corrected


class MountedCache:
    """Implements ``ogagent.disk.machine.CacheStore``. Who has it mounted already is not disturbed."""

    def __init__(self, mount_point: Path, thread: CacheThread | None = None) -> None:
        self.thread = thread or CacheThread()
        self._mount_point = mount_point
        self._turn = asyncio.Lock()
        self._users = 0
        self._writers = 0
        self._bound: tuple[str, int, int] | None = None
        self._place = mount_point
        self._ours = False
        self._writable = False
        self._options = ""
        self._repair: asyncio.Task[bytes] | None = None
        self._leaving: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def mounted(self, place: Target, *, repair: bool = True) -> AsyncIterator[Path]:
        await self._answering()
        async with self._turn:
            if not self._users:
                await self._mount(place, repair=repair)
                self._bound = _place_of(place)
            elif _place_of(place) != self._bound:
                raise CacheError(f"another partition than {place.device} is in use as the CACHE")
            self._users += 1
        try:
            yield self._place
        finally:
            self._users -= 1
            if self.thread.stuck:
                self._leaving.add(later := asyncio.create_task(self._leave_later()))
                later.add_done_callback(self._leaving.discard)
            else:
                await self.leave()

    @asynccontextmanager
    async def writable(self) -> AsyncIterator[None]:
        async with self._turn:
            if self._ours and not self._writable:
                try:
                    await self._remount("rw")
                except (ToolFailed, ToolMissing) as error:
                    raise CacheError(f"the CACHE on {self._place} cannot be written: {error.message}") from error
                self._writable = True
            self._writers += 1
        try:
            yield
        finally:
            self._writers -= 1

    async def _remount(self, how: str) -> None:
        command = ["mount", "-o", f"remount,{how},{self._options}", str(self._place)]
        await process.run(command, timeout_s=_MOUNT_S)

    async def _answering(self) -> None:
        if self.thread.stuck:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.thread.come_back(), min(_RETURN_S, self.thread.patience_s))
                return
            raise CacheError("the CACHE is not used: it has not answered an earlier job yet")

    async def _mount(self, place: Target, *, repair: bool) -> None:
        """The node stands for the place that was compared as long as it is open: the kernel gives up no partition, and
        no name of a disk, that somebody has open.
        """
        if place.problem:
            raise CacheError(f"the CACHE ({place.device}) is not used: {place.problem}")
        if self._repair is not None:
            await asyncio.wait([self._repair])
        async with self._opened(place) as fd:
            occupant = await self.thread.run(_occupant, fd)
            if occupant is None:
                await self._mount_here(place.device, fd, repair=repair)
            elif occupant.startswith("["):
                raise CacheError(f"the CACHE ({place.device}) is in use: {occupant}")
            elif not self._ours or occupant != str(self._mount_point):  # ours when it could not be unmounted before
                self._ours, self._place = False, Path(occupant)

    @asynccontextmanager
    async def _opened(self, place: Target) -> AsyncIterator[int]:
        opened: list[int] = []
        try:
            await self.thread.run(lambda: opened.append(_open(place)))
            yield opened[0]
        except DiskChanged as error:
            raise CacheError(f"the CACHE is not where it was: {error.message}", hint=error.hint) from error
        finally:
            self.thread.start(_close, opened)

    async def _mount_here(self, device: str, fd: int, *, repair: bool) -> None:
        """What is clean is not written to: neither by this mount, nor by a check, which it does not get."""
        if not repair and not await self.thread.run(_is_clean, fd):
            raise CacheError(f"the CACHE ({device}) has to be repaired first")
        self._ours, self._writable, self._place = True, False, self._mount_point
        try:
            if not await self.thread.run(_is_clean, fd):
                await self._repaired(device)
            await self.thread.run(self._mount_point.mkdir, parents=True, exist_ok=True)
            await self._mount_read_only(device)
            if await self.thread.run(_occupant, fd) != str(self._mount_point):
                raise CacheError(f"{self._mount_point} holds another file system than that of the CACHE ({device})")
        except (ToolFailed, ToolMissing) as error:
            raise CacheError(f"the CACHE ({device}) cannot be mounted: {error.message}") from error
        except asyncio.CancelledError:
            if await self.thread.run(_occupant, fd):
                await self._unmount()
            raise

    async def _repaired(self, device: str) -> None:
        """A repair is not broken off with the job that needed it: it goes on, and the next job waits for it."""
        check = process.run(["e2fsck", "-p", device], timeout_s=_CHECK_S, good=_CORRECTED, grace_s=_CHECK_GRACE_S)
        self._repair = asyncio.create_task(check)
        self._repair.add_done_callback(self._is_repaired)
        await asyncio.shield(self._repair)

    def _is_repaired(self, repair: asyncio.Task[bytes]) -> None:
        self._repair = None
        if not repair.cancelled() and (failure := repair.exception()):
            _log.warning("the CACHE could not be repaired: %s", failure)

    async def _mount_read_only(self, device: str) -> None:
        """Without nosymfollow where that is not known."""
        for options in (_OPTIONS + _NO_LINKS, _OPTIONS):
            self._options = options
            try:
                await process.run(["mount", "-o", f"ro,{options}", device, str(self._place)], timeout_s=_MOUNT_S)
            except ToolFailed:
                if options == _OPTIONS:
                    raise
            else:
                break
        if self._options == _OPTIONS:
            _log.info("the CACHE is mounted without nosymfollow, which this machine does not know")

    async def leave(self) -> None:
        """Unmounts what nobody uses, also when that could not be done before; not what somebody else has mounted. What
        is only read is not to be written to any more.
        """
        async with self._turn:
            if self._ours and not self._users:
                await self._unmount()
            elif self._ours and self._writable and not self._writers:
                try:
                    await self._remount("ro")
                    self._writable = False
                except (ToolFailed, ToolMissing) as error:
                    _log.warning("the CACHE on %s can still be written to: %s", self._place, error.message)

    async def _leave_later(self) -> None:
        await self.thread.come_back()
        await self.leave()

    async def _unmount(self) -> None:
        """Tries again for a moment: whoever asks how full a file system is, holds it that long."""
        for pause_s in (*_PAUSES_S, None):
            try:
                await process.run(["umount", str(self._place)], timeout_s=_UNMOUNT_S)
            except (ToolFailed, ToolMissing) as error:
                if pause_s is None or "busy" not in error.message:
                    _log.error("the CACHE stays mounted on %s: %s", self._place, error.message)
                    return
                await asyncio.sleep(pause_s)
            else:
                self._ours = False
                return


def _place_of(target: Target) -> tuple[str, int, int]:
    """Without its number, which may change when a disk comes or goes."""
    return target.identity, target.start, target.size


def _open(place: Target) -> int:
    fd = os.open(place.device, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        compare(fd, 0, place)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _close(opened: list[int]) -> None:
    for fd in opened:
        os.close(fd)


def _is_clean(fd: int) -> bool:
    """What ext2, 3 and 4 say of themselves (linux/fs/ext4/ext4.h, struct ext4_super_block); others have no say."""
    superblock = os.pread(fd, _SUPERBLOCK, _SUPERBLOCK)
    state = int.from_bytes(superblock[58:60], "little")
    features = int.from_bytes(superblock[96:100], "little")
    clean = state & (_VALID | _ERRORS) == _VALID and not features & _NEEDS_RECOVERY
    return superblock[56:58] != _MAGIC or clean


def _occupant(fd: int) -> str | None:
    return read_occupants().get(os.fstat(fd).st_rdev)
