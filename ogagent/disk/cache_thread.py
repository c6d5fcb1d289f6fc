"""The thread in which everything is asked of the CACHE's disk, and which is left behind when that does not answer."""

from __future__ import annotations

import asyncio
import errno
import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, ParamSpec, TypeVar

from ogagent.errors import CacheError, CacheFull

P = ParamSpec("P")
T = TypeVar("T")

_log: Final = logging.getLogger(__name__)

_PATIENCE_S: Final = 60.0
_HURRY_S: Final = 0.5
_IDLE_S: Final = 1.0
"""The thread ends when nothing was asked for so long."""


class CacheThread:
    """Does one thing after the other, so that what is open in here is closed under nobody.

    What is asked is waited for ``patience_s``, after a cancel ``hurry_s``. A thread that the kernel keeps for longer is
    left behind with all that it holds; until it has come back it turns everything down but ``start``. Nobody waits for
    it when the agent ends.
    """

    def __init__(self, patience_s: float = _PATIENCE_S, hurry_s: float = _HURRY_S) -> None:
        self.patience_s = patience_s
        self._hurry_s = hurry_s
        self._asked: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self._alive = False
        self._left: Future[Any] | None = None

    @property
    def stuck(self) -> bool:
        return self._left is not None and not self._left.done()

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Raises CacheError, for an OSError of ``work`` as well, and CacheFull for a lack of room."""
        return await self.wait(self.start(work, *args, **kwargs))

    def start(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """For ``wait``, or for what shall be done in any case, however late."""
        future: Future[T] = Future()
        with self._changed:
            self._asked.append(lambda: _do(future, lambda: work(*args, **kwargs)))
            self._changed.notify()
            if not self._alive:
                self._alive = True
                threading.Thread(target=self._serve, name="cache", daemon=True).start()
        return future

    async def wait(self, future: Future[T], *, hurry: bool = False) -> T:
        """Raises as ``run`` does; with ``hurry`` as if a cancel had come."""
        loop = asyncio.get_running_loop()
        waiting = asyncio.wrap_future(future)
        waiting.add_done_callback(_looked_at)
        end = loop.time() + (0 if self.stuck else self._hurry_s if hurry else self.patience_s)
        cancelled: asyncio.CancelledError | None = None
        while not waiting.done() and (left := end - loop.time()) > 0:
            try:
                await asyncio.wait([waiting], timeout=left)
            except asyncio.CancelledError as error:
                cancelled, end = error, min(end, loop.time() + self._hurry_s)
        if not waiting.done():
            if not self.stuck:
                _log.error("the disk of the CACHE is not waited for any longer: it is not used until it has answered")
            self._left = future
        if cancelled is not None:
            raise cancelled
        if not waiting.done():
            raise CacheError(
                "the CACHE does not answer", hint="look at the kernel log (dmesg) and at the disk's health (smartctl)"
            )
        try:
            return waiting.result()
        except OSError as error:
            raise _told(error) from error

    async def come_back(self) -> None:
        """Returns when all has been done that was asked so far."""
        await asyncio.wrap_future(self.start(lambda: None))

    def _serve(self) -> None:
        while work := self._next():
            work()

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            if self._changed.wait_for(lambda: self._asked, _IDLE_S):
                return self._asked.popleft()
            self._alive = False
            return None


def _do(future: Future[T], work: Callable[[], T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(work())
    except BaseException as error:  # noqa: BLE001 - whoever waits is told
        future.set_exception(error)


def _looked_at(future: asyncio.Future[T]) -> None:
    """So that nobody warns of what an operation that was left behind ended with."""
    if not future.cancelled():  # as it is when the loop ends first
        future.exception()


def _told(error: OSError) -> CacheError:
    where = f": {error.filename}" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return CacheFull(f"the CACHE is full{where}", hint="make the CACHE larger, or remove images from it")
    return CacheError(f"the CACHE cannot be used{where}: {error.strerror or error}")
