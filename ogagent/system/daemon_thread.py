"""A thread that can be left behind: what hangs in the kernel keeps it, and keeps nobody from going on."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_IDLE_S: Final = 1.0


class DaemonThread(Executor):
    """Does one thing after the other. Nobody waits for it when the agent ends, as for the threads of a pool. It ends
    when nothing was asked for ``idle_s``.
    """

    def __init__(self, name: str, idle_s: float = _IDLE_S) -> None:
        self._name = name
        self._idle_s = idle_s
        self._asked: deque[Callable[[], None]] = deque()
        self._changed = threading.Condition()
        self._alive = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        with self._changed:
            self._asked.append(lambda: _do(future, lambda: fn(*args, **kwargs)))
            self._changed.notify()
            if not self._alive:
                self._alive = True
                threading.Thread(target=self._serve, name=self._name, daemon=True).start()
        return future

    def _serve(self) -> None:
        while work := self._next():
            work()

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            if self._changed.wait_for(lambda: self._asked, self._idle_s):
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
