"""The thread in which everything is asked of the CACHE's disk, and which is left behind when that does not answer."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, ParamSpec, TypeVar

from ogagent.errors import CacheError, CacheFull
from ogagent.system.aside import warn_of_nothing
from ogagent.system.daemon_thread import DaemonThread
from ogagent.system.text import printable

P = ParamSpec("P")
T = TypeVar("T")

_log: Final = logging.getLogger(__name__)

_PATIENCE_S: Final = 60.0
_GRACE_S: Final = 0.5


class CacheThread:
    """Does one thing after the other, so that what is open in here is closed under nobody.

    What is asked is waited for ``patience_s``, after a cancel ``grace_s``. A thread that the kernel keeps for longer is
    left behind with all that it holds; until it has come back it turns everything down but ``start``. Nobody waits for
    it when the agent ends.
    """

    def __init__(self, patience_s: float = _PATIENCE_S, grace_s: float = _GRACE_S) -> None:
        self.patience_s = patience_s
        self._grace_s = grace_s
        self._thread = DaemonThread("cache")
        self._left: Future[Any] | None = None

    @property
    def stuck(self) -> bool:
        return self._left is not None and not self._left.done()

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Raises CacheError, for an OSError of ``work`` as well, and CacheFull for a lack of room."""
        return await self.wait(self.start(work, *args, **kwargs))

    def start(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """For ``wait``, or for what shall be done in any case, however late."""
        return self._thread.submit(work, *args, **kwargs)

    async def wait(self, future: Future[T], *, cancelled: bool = False) -> T:
        """Raises as ``run`` does; with ``cancelled`` as if a cancel had come."""
        loop = asyncio.get_running_loop()
        waiting = asyncio.wrap_future(future)
        waiting.add_done_callback(warn_of_nothing)
        end = loop.time() + (0 if self.stuck else self._grace_s if cancelled else self.patience_s)
        cancel: asyncio.CancelledError | None = None
        while not waiting.done() and (left := end - loop.time()) > 0:
            try:
                await asyncio.wait([waiting], timeout=left)
            except asyncio.CancelledError as error:
                cancel, end = error, min(end, loop.time() + self._grace_s)
        if not waiting.done():
            if not self.stuck:
                _log.error("the disk of the CACHE is not waited for any longer: it is not used until it has answered")
            self._left = future
        if cancel is not None:
            raise cancel
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


def _told(error: OSError) -> CacheError:
    where = f": {printable(str(error.filename))}" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return CacheFull(f"the CACHE is full{where}", hint="make the CACHE larger, or remove images from it")
    return CacheError(f"the CACHE cannot be used{where}: {error.strerror or error}")
