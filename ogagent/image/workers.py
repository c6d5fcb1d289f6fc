"""Independent pieces of work, done in threads and handed out in order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

T = TypeVar("T")
R = TypeVar("R")


_MOST: Final = 16


def cores() -> int:
    """That this process may use, within reason."""
    return min(len(os.sched_getaffinity(0)), _MOST)


def in_order(work: Callable[[T], R], items: Iterable[T], threads: int) -> Iterator[R]:
    """At most two items a thread are taken ahead, so that memory does not depend on how many there are.

    What fails takes its turn, ``items`` too: of several failures that of the earliest item is raised, however fast each
    thread was.
    """
    with ThreadPoolExecutor(threads, thread_name_prefix="image") as pool:
        under_way: deque[Future[R]] = deque()
        try:
            for future in _started(pool, work, items):
                under_way.append(future)
                if len(under_way) > 2 * threads:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            for future in under_way:
                future.cancel()


def _started(pool: ThreadPoolExecutor, work: Callable[[T], R], items: Iterable[T]) -> Iterator[Future[R]]:
    """Where ``items`` fail, the last one has failed."""
    try:
        for item in items:
            yield pool.submit(work, item)
    except Exception as error:  # noqa: BLE001 - it is raised again in its turn
        failed: Future[R] = Future()
        failed.set_exception(error)
        yield failed
