"""Work on a disk that may never answer: it is waited for as long as that makes sense, and then left behind."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, TypeVar

T = TypeVar("T")

_HURRY_S: Final = 0.5


async def aside(
    patience_s: float,
    work: Callable[[], T],
    *,
    hurry: Callable[[], None] = lambda: None,
    late: Callable[[T], object] = lambda _: None,
) -> T:
    """Runs ``work`` in a thread of its own. Raises TimeoutError after ``patience_s``.

    Then, and after a cancel, ``hurry`` makes the work end soon; when it has not ended in a moment it is left behind,
    for nobody can end a thread that the kernel keeps. ``late`` gets what it comes to in the end. The work must not
    depend on anything that whoever has asked takes away.
    """
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()
    known = contextvars.copy_context()  # whose job it is, for the log
    threading.Thread(target=known.run, args=(_do, future, work), name="aside", daemon=True).start()
    ended = asyncio.wrap_future(future)
    ended.add_done_callback(_looked_at)
    try:
        await asyncio.wait([ended], timeout=patience_s)
    except asyncio.CancelledError:
        await _leave(future, hurry, late)
        raise
    if not ended.done():
        await _leave(future, hurry, late)
        raise TimeoutError
    return ended.result()


async def _leave(future: Future[T], hurry: Callable[[], None], late: Callable[[T], object]) -> None:
    hurry()
    handed_over: Future[None] = Future()

    def hand_over(done: Future[T]) -> None:
        try:
            if done.exception() is None:
                late(done.result())
        finally:
            handed_over.set_result(None)

    future.add_done_callback(hand_over)
    # Not for the work alone: whoever comes back from here finds that ``late`` has had what came in time.
    await asyncio.wait([asyncio.wrap_future(handed_over)], timeout=_HURRY_S)


def _do(future: Future[T], work: Callable[[], T]) -> None:
    try:
        future.set_result(work())
    except BaseException as error:  # noqa: BLE001 - whoever waits is told
        future.set_exception(error)


def _looked_at(ended: asyncio.Future[T]) -> None:
    """So that nobody warns of what an operation that was left behind ended with."""
    if not ended.cancelled():
        ended.exception()
