"""Work on a disk that may never answer: it is waited for as long as that makes sense, and then left behind."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from ogagent.system.daemon_thread import DaemonThread

T = TypeVar("T")

_GRACE_S: Final = 0.5


async def aside(
    patience_s: float,
    work: Callable[[], T],
    *,
    interrupt: Callable[[], None] = lambda: None,
    late: Callable[[T], object] = lambda _: None,
    grace_s: float = _GRACE_S,
    thread: DaemonThread | None = None,
) -> T:
    """Runs ``work`` in ``thread``, None being one of its own. Raises TimeoutError after ``patience_s``.

    Then, and after a cancel, ``interrupt`` makes the work end soon; when it has not ended ``grace_s`` later it is
    left behind, for nobody can end a thread that the kernel keeps. ``late`` gets what it comes to in the end. The work
    must not depend on anything that whoever has asked takes away.
    """
    context = contextvars.copy_context()  # whose job it is, for the log
    future = (thread or DaemonThread("aside", idle_s=0)).submit(context.run, work)
    ended = asyncio.wrap_future(future)
    ended.add_done_callback(warn_of_nothing)
    try:
        await asyncio.wait([ended], timeout=patience_s)
    except asyncio.CancelledError:
        await _leave(future, interrupt, late, grace_s)
        raise
    if not ended.done():
        await _leave(future, interrupt, late, grace_s)
        raise TimeoutError
    return ended.result()


async def _leave(future: Future[T], interrupt: Callable[[], None], late: Callable[[T], object], grace_s: float) -> None:
    interrupt()
    handed_over: Future[None] = Future()

    def hand_over(done: Future[T]) -> None:
        try:
            if done.exception() is None:
                late(done.result())
        finally:
            handed_over.set_result(None)

    future.add_done_callback(hand_over)
    # Not for the work alone: whoever comes back from here finds that ``late`` has had what came in time.
    await asyncio.wait([asyncio.wrap_future(handed_over)], timeout=grace_s)


def warn_of_nothing(future: asyncio.Future[Any]) -> None:
    """Called when it is done: what it has failed with is nobody's concern, when nobody has waited for it."""
    if not future.cancelled():  # as it is when the loop ends first
        future.exception()
