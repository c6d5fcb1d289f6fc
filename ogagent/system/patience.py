"""Waiting for threads that must not be left behind."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from concurrent.futures import Executor
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def wait_out(futures: Iterable[asyncio.Future[Any]], hurry: Callable[[], None] = lambda: None) -> None:
    """Returns when all are done, however they ended. A cancel, and a second one, calls ``hurry`` and waits on;
    only then is it passed on. A device must not be closed, nor called free, under a write.
    """
    cancelled: asyncio.CancelledError | None = None
    while pending := [future for future in futures if not future.done()]:
        try:
            await asyncio.wait(pending)
        except asyncio.CancelledError as error:
            cancelled = error
            hurry()
    if cancelled is not None:
        raise cancelled


async def in_thread(
    executor: Executor | None, hurry: Callable[[], None], work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Runs ``work`` in a thread, None being one of the loop's own; ``hurry`` makes it end soon."""
    known = contextvars.copy_context()  # whose job it is, for the log
    future = asyncio.get_running_loop().run_in_executor(executor, lambda: known.run(work, *args, **kwargs))
    try:
        await wait_out([future], hurry)
    finally:
        failure = future.exception()  # looked at, so that nobody warns when being cancelled is what counts
    if failure is not None:
        raise failure
    return future.result()


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
