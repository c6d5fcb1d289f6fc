"""Work in a view of the machine's mounts of its own.

What is mounted in there nobody else sees, and the kernel takes it away with the last process in it: also when the agent
is killed, nothing stays mounted for the next start to find. A thread may have such a view for itself (unshare(2)), and
programs that it starts have it, too; so the work runs in a thread with an event loop of its own.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from ogagent.system.kernel_calls import own_mounts
from ogagent.system.patience import wait_out

T = TypeVar("T")


async def in_private_view(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """What ``work`` returns or raises. It may block: nobody else is on its loop. A cancel is passed on to it, once, and
    its end is waited for. Raises OSError when there is no such view to be had.
    """
    ended: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()
    cancelling = _Cancelling()

    def live() -> None:
        try:
            own_mounts()
            result = asyncio.run(cancelling.run(work))
        except BaseException as error:  # noqa: BLE001 - whoever waits is told
            failure = error if isinstance(error, Exception) else asyncio.CancelledError()
            loop.call_soon_threadsafe(_fail, ended, failure)
        else:
            loop.call_soon_threadsafe(_succeed, ended, result)

    context = contextvars.copy_context()  # whose job it is, for the log
    threading.Thread(target=context.run, args=(live,), name="private view", daemon=True).start()
    try:
        await wait_out([ended], cancelling.cancel)
    finally:
        if ended.done() and not ended.cancelled():
            ended.exception()  # looked at, so that nobody warns when being cancelled is what counts
    return ended.result()


def _fail(ended: asyncio.Future[Any], failure: BaseException) -> None:
    if isinstance(failure, asyncio.CancelledError):
        ended.cancel()
    else:
        ended.set_exception(failure)


def _succeed(ended: asyncio.Future[T], result: T) -> None:
    ended.set_result(result)


class _Cancelling:
    """A cancel that comes from another thread, perhaps before there is anything to be cancelled."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._wanted = False

    async def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        task = asyncio.create_task(work())
        with self._lock:
            self._loop, self._task = asyncio.get_running_loop(), task
            if self._wanted:
                task.cancel()
        try:
            return await task
        finally:
            with self._lock:
                self._loop = None

    def cancel(self) -> None:
        with self._lock:
            if not self._wanted and self._loop is not None and self._task is not None:
                self._loop.call_soon_threadsafe(self._task.cancel)
            self._wanted = True
