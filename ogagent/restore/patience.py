"""Waiting for threads that must not be left behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any


async def wait_out(futures: Sequence[asyncio.Future[Any]], hurry: Callable[[], None] = lambda: None) -> None:
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
