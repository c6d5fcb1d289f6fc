"""Waiting for tasks and threads that must not be left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Executor
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
    future = asyncio.get_running_loop().run_in_executor(executor, lambda: work(*args, **kwargs))
    try:
        await wait_out([future], hurry)
    finally:
        failure = future.exception()  # looked at, so that nobody warns when being cancelled is what counts
    if failure is not None:
        raise failure
    return future.result()


class Together:
    """Tasks that do one thing. The first of them to fail, in time, ends all; its failure is the cause of whatever the
    others say on their way out, which is not heard.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Also for a task of them, while it runs."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._note)
        return task

    async def ended(self) -> None:
        """Returns when all have ended, raises what failed first. A cancel ends them as well, and is passed on whatever
        they then say.
        """
        await wait_out(self._tasks, self._end)
        for task in list(self._tasks):
            self._note(task)  # it is done, and what it has to say has not been called yet
        if self._failure is not None:
            raise self._failure

    def _note(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        failure = None if task.cancelled() else task.exception()
        if failure is not None and self._failure is None:
            self._failure = failure
            self._end()

    def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
