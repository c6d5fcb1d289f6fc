"""Work that several threads share, and tasks that end together."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Executor
from typing import Any, Generic, TypeVar

from ogagent.system.patience import wait_out

R = TypeVar("R")
T = TypeVar("T")


async def share_out(
    executor: Executor, threads: int, interrupt: Callable[[], None], work: Callable[[T], R], items: Iterable[T]
) -> list[R]:
    """Runs ``work`` on each of ``items`` and answers what came of each. Of that many threads each takes the next item,
    so items are begun in order, and what is worked on at the same time lies close together.

    The first failure, in time, is raised; no item is begun after it. The loop is woken once, at the end.
    """
    over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    sharing = _Sharing(work, items, threads, over)
    for _ in range(threads):
        executor.submit(sharing.take)

    def end() -> None:
        sharing.ended = True
        interrupt()

    await wait_out([over], end)
    if sharing.failure is not None:
        raise sharing.failure
    return [answer for _, answer in sorted(sharing.answers.items())]


class _Sharing(Generic[T, R]):
    def __init__(self, work: Callable[[T], R], items: Iterable[T], threads: int, over: asyncio.Future[None]) -> None:
        self._work = work
        self._items = enumerate(items)
        self._at_work = threads
        self._over = over
        self._lock = threading.Lock()
        self.answers: dict[int, R] = {}
        self.failure: BaseException | None = None
        self.ended = False

    def take(self) -> None:
        """For each thread."""
        try:
            while (item := self._next()) is not None:
                self.answers[item[0]] = self._work(item[1])
        except BaseException as error:  # noqa: BLE001 - whoever shares out raises it
            with self._lock:
                self.ended, self.failure = True, self.failure or error
        with self._lock:
            self._at_work -= 1
            if not self._at_work:
                self._over.get_loop().call_soon_threadsafe(self._over.set_result, None)

    def _next(self) -> tuple[int, T] | None:
        with self._lock:
            return None if self.ended else next(self._items, None)


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
