"""What ogCore looks after again and again, as long as it runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

_log: Final = logging.getLogger(__name__)
_EVERY_S: Final = 0.5
_PAUSE_S: Final = 5.0


async def kept_up(
    what: str, look: Callable[[], Awaitable[None]], every_s: float = _EVERY_S, pause_s: float = _PAUSE_S
) -> None:
    """Runs until cancelled. A look that fails is told in the log, and the next one comes ``pause_s`` later."""
    while True:
        try:
            await look()
        except Exception:  # noqa: BLE001 - whatever it is: nobody sees from outside that ogCore looks no more
            _log.exception("%s has failed, and goes on", what)
            await asyncio.sleep(pause_s)
        await asyncio.sleep(every_s)
