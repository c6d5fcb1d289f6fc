"""When to try again, and the time by which that is measured."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

FIRST_DELAY_S: Final = 0.5
LAST_DELAY_S: Final = 60.0
LAST_DELAY_UNKNOWN_S: Final = 300.0
"""Where ogCore does not know this agent, or somebody else answers for it: that takes people, or an upgrade's time."""

Random = Callable[[], float]
"""From 0 to 1."""


def delay_s(attempt: int, after_s: float, random: Random, last_s: float = LAST_DELAY_S) -> float:
    """The wait after failed attempt number ``attempt``, from 1; never shorter than ``after_s``, which the server wants.

    It doubles up to ``last_s``. The jitter keeps the clients of a whole room from coming back in step.
    """
    backoff = min(FIRST_DELAY_S * 2.0 ** min(attempt - 1, 10), last_s)
    return max(backoff * (0.5 + 0.5 * random()), after_s * (1.0 + 0.1 * random()))


class Clock(Protocol):
    def now(self) -> float:
        """Seconds that never go back."""

    async def wait(self, event: asyncio.Event, seconds: float | None) -> None:
        """Returns when ``event`` is set or, unless None, ``seconds`` have passed."""


class MonotonicClock:
    def now(self) -> float:
        return time.monotonic()

    async def wait(self, event: asyncio.Event, seconds: float | None) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()
