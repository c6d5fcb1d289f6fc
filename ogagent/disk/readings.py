"""When disks are read, by whom, and for how long: one that does not answer costs its own row and nothing else."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor, Future
from typing import Final, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from ogagent.disk.codes import mark_cache
from ogagent.errors import InternalError
from ogagent.model.disk import UNREADABLE, Disk, Inventory
from ogagent.system.aside import warn_of_nothing
from ogagent.system.daemon_thread import DaemonThread

T = TypeVar("T")

_log: Final = logging.getLogger(__name__)

_LIMIT_S: Final = 10.0
_AT_ONCE: Final = 8
_FINDING: Final = "the list of disks"


class Reading(Struct, frozen=True):
    """How a disk is read: what blocks does so in threads of ``executor``, or of the loop's own when it is None.

    Unless ``thorough``, nobody asks which systems there are and how full file systems are.
    """

    executor: Executor | None = None
    thorough: bool = True


THOROUGH: Final = Reading()


class Unread(Struct, frozen=True):
    """``row`` is what is known of a disk before it is read."""

    row: Disk
    read: Callable[[Reading], Awaitable[Disk]]


Find = Callable[[], Sequence[Unread]]
"""The disks in the order of their numbers. Blocking."""
Limit = Callable[[str], asyncio.Timeout]
"""How long a disk, by its device, is waited for."""


def ten_seconds(_: str) -> asyncio.Timeout:
    return asyncio.timeout(_LIMIT_S)


class Readings:
    """Lives on the event loop. Disks are read side by side, each in a thread of its own.

    A disk that has not been read within the limit has its tools killed and its thread left behind; until that has come
    back the disk is not read again. Nobody waits for it when the agent ends.
    """

    def __init__(self, find: Find, limit: Limit = ten_seconds) -> None:
        self._find = find
        self._limit = limit
        self._threads: dict[str, DaemonThread] = {}
        self._left: dict[str, Future[None]] = {}
        self._now: asyncio.Task[Inventory] | None = None
        self._next: asyncio.Task[Inventory] | None = None
        self._thorough = False

    async def inventory(self, *, thorough: bool = True) -> Inventory:
        """Nothing in it is older than the question: who comes while disks are being read waits for the next reading,
        and shares that with all who come until it begins. It is thorough when one of them wants it so.

        Raises AgentError.
        """
        self._thorough |= thorough
        if self._next is None:
            self._next = asyncio.create_task(self._after(self._now))
            self._next.add_done_callback(warn_of_nothing)
        return await asyncio.shield(self._next)

    async def _after(self, earlier: asyncio.Task[Inventory] | None) -> Inventory:
        if earlier is not None and not earlier.done():
            await asyncio.wait([earlier])
        thorough, self._thorough = self._thorough, False
        self._now, self._next = self._next, None
        return await self._read(thorough=thorough)

    async def _read(self, *, thorough: bool) -> Inventory:
        try:
            found = await self._within_limit(_FINDING, self._found)
        except TimeoutError:
            raise InternalError(
                "the kernel does not say which disks there are", hint="look at the kernel log (dmesg)"
            ) from None
        room = asyncio.Semaphore(_AT_ONCE)
        rows = await asyncio.gather(*(self._row(each, room, thorough) for each in found), return_exceptions=True)
        return Inventory(disks=mark_cache([_or_raised(row) for row in rows]))

    async def _found(self, executor: Executor) -> Sequence[Unread]:
        return await asyncio.get_running_loop().run_in_executor(executor, self._find)

    async def _row(self, disk: Unread, room: asyncio.Semaphore, thorough: bool) -> Disk:
        try:
            async with room:
                return await self._within_limit(
                    disk.row.device, lambda executor: disk.read(Reading(executor, thorough))
                )
        except TimeoutError:
            return replace(disk.row, problem=f"{UNREADABLE}: it does not answer")

    async def _within_limit(self, name: str, work: Callable[[Executor], Awaitable[T]]) -> T:
        """Raises TimeoutError, and at once while the thread is still at what it was left with."""
        if name in self._left and not self._left[name].done():
            raise TimeoutError
        thread = self._threads.setdefault(name, DaemonThread(f"read {name}"))
        try:
            async with self._limit(name):
                return await work(thread)
        except TimeoutError:
            _log.error("%s does not answer: it is not waited for any longer", name)
            self._left[name] = thread.submit(lambda: None)
            raise


def _or_raised(row: Disk | BaseException) -> Disk:
    if isinstance(row, BaseException):
        raise row
    return row
