"""What goes on as long as something else does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

_log: Final = logging.getLogger(__name__)
_PAUSE_S: Final = 1.0


@asynccontextmanager
async def beside(
    what: str, work: Callable[[], Coroutine[Any, Any, None]], pause_s: float = _PAUSE_S
) -> AsyncIterator[None]:
    """Runs ``work`` as long as the block lasts. When it dies, the log says so at once and it is begun anew."""
    task = asyncio.create_task(_kept_up(what, work, pause_s))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _kept_up(what: str, work: Callable[[], Coroutine[Any, Any, None]], pause_s: float) -> None:
    while True:
        try:
            return await work()
        except Exception:  # noqa: BLE001 - whatever it is: the agent is not whole without it
            _log.exception("%s has died and is begun anew", what)
            await asyncio.sleep(pause_s)
