"""Waiting for threads and operations that must not be left behind: a device is not closed, nor called free, under a
write. Those that may never come back are left behind: see ``ogagent.system.aside``.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from concurrent.futures import Executor
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any, Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_log: Final = logging.getLogger(__name__)


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs ``work`` in a thread. A cancel is passed on when it has ended."""
    return await interruptible(None, _nothing, work, *args, **kwargs)


async def interruptible(
    executor: Executor | None, interrupt: Callable[[], None], work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Runs ``work`` in a thread, None being one of the loop's own. A cancel calls ``interrupt``, which makes the work
    end soon, and is passed on when it has.
    """
    context = contextvars.copy_context()  # whose job it is, for the log
    future = asyncio.get_running_loop().run_in_executor(executor, lambda: context.run(work, *args, **kwargs))
    try:
        await wait_out([future], interrupt)
    finally:
        failure = future.exception()  # looked at, so that nobody warns when being cancelled is what counts
    if failure is not None:
        raise failure
    return future.result()


async def to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """A cancel is passed on when the work has ended; what that failed with is in the log then."""
    task = asyncio.ensure_future(work)
    try:
        await wait_out([task])
    except asyncio.CancelledError:
        if not task.cancelled() and (failure := task.exception()):
            _log.error("%s", failure)
        raise
    return task.result()


async def wait_out(futures: Iterable[asyncio.Future[Any]], interrupt: Callable[[], None] = lambda: None) -> None:
    """Returns when all are done, however they ended. A cancel, and a second one, calls ``interrupt`` and waits on;
    only then is it passed on.
    """
    cancelled: asyncio.CancelledError | None = None
    while pending := [future for future in futures if not future.done()]:
        try:
            await asyncio.wait(pending)
        except asyncio.CancelledError as error:
            cancelled = error
            interrupt()
    if cancelled is not None:
        raise cancelled


async def cancellable_until(done: asyncio.Event, work: Coroutine[Any, Any, T]) -> T:
    """A cancel ends ``work``; none does once it is ``done``, whatever has to follow: what is then true counts."""
    task = asyncio.ensure_future(work)
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            if not done.is_set():
                task.cancel()
    return task.result()


@asynccontextmanager
async def entered(context: AbstractContextManager[T], executor: Executor | None = None) -> AsyncIterator[T]:
    """Enters and leaves ``context`` in a thread. What was entered is left, also when a cancel came meanwhile."""
    loop = asyncio.get_running_loop()
    entering = loop.run_in_executor(executor, context.__enter__)
    try:
        await wait_out([entering])
        yield entering.result()
    finally:
        if entering.exception() is None:
            await wait_out([loop.run_in_executor(executor, context.__exit__, None, None, None)])


def _nothing() -> None: ...
