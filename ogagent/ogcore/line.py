"""Notices to ogCore that wait in line: each until ogCore has it, and none before those that came earlier."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Final, Protocol

from msgspec import Struct

from ogagent.ogcore.address import LocalAddress
from ogagent.ogcore.retry import LAST_DELAY_S, LAST_DELAY_UNKNOWN_S, Clock, MonotonicClock, Random, delay_s
from ogagent.ogcore.webhook import Again, Outcome, Refused, Webhook

_log: Final = logging.getLogger(__name__)


class Notice(Struct, frozen=True, kw_only=True):
    """``what`` names the path that it is posted to."""

    event_id: str
    what: str
    members: Mapping[str, str]


class Notices(Protocol):
    """Those that wait; they outlive the agent."""

    @property
    def come(self) -> asyncio.Event:
        """Set whenever there is a new one."""

    @property
    def first(self) -> Notice | None: ...

    async def drop(self, notice: Notice) -> None:
        """ogCore has it, or never will."""


class Line:
    """Nothing is sent before ``registered`` is set; ``forgotten`` is called when ogCore does not know this agent."""

    def __init__(
        self,
        paths: Mapping[str, Webhook],
        address: Callable[[], Awaitable[LocalAddress]],
        notices: Notices,
        registered: asyncio.Event,
        forgotten: Callable[[], None] = lambda: None,
        clock: Clock | None = None,
        jitter: Random = random.random,
    ) -> None:
        """``address`` raises OSError while there is no way to ogCore."""
        self._paths = paths
        self._address = address
        self._notices = notices
        self._registered = registered
        self._forgotten = forgotten
        self._clock = clock or MonotonicClock()
        self._jitter = jitter
        self._turn = asyncio.Lock()
        self._open = asyncio.Event()
        self._open.set()
        self._attempts = 0
        self._last_reason = ""

    async def run(self) -> None:
        """Runs until cancelled."""
        await self._registered.wait()
        while True:
            await self._open.wait()
            self._notices.come.clear()
            outcome = await self._send_first()
            if isinstance(outcome, Again):
                await self._clock.wait(asyncio.Event(), self._pause_s(outcome))
            elif outcome is None:
                await self._clock.wait(self._notices.come, None)

    def reopen(self) -> None:
        """After ``close``."""
        self._open.set()

    async def close(self, grace_s: float) -> None:
        """A last attempt at each, at once, until one is not taken: what stays, and what comes, waits for the next
        start.
        """
        if not self._registered.is_set() or not self._open.is_set():
            return
        self._open.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                while not isinstance(await self._send_first(), Again | None):
                    pass

    async def _send_first(self) -> Outcome | None:
        """None: there is nothing to send."""
        async with self._turn:
            notice = self._notices.first
            if notice is None:
                return None
            outcome = await self._outcome(notice)
            if not isinstance(outcome, Again):
                self._attempts, self._last_reason = 0, ""
                await self._notices.drop(notice)
            if isinstance(outcome, Refused):
                _log.error("ogCore refuses to be told that somebody has %s: %s", notice.what, outcome.reason)
            return outcome

    async def _outcome(self, notice: Notice) -> Outcome:
        try:
            ip = (await self._address()).ip
        except OSError as error:
            return Again(f"there is no way to ogCore: {error}")
        return await self._paths[notice.what].post(notice.event_id, {"ip": ip, **notice.members})

    def _pause_s(self, outcome: Again) -> float:
        self._attempts += 1
        if outcome.unknown:
            self._forgotten()
        last_s = LAST_DELAY_UNKNOWN_S if outcome.unknown else LAST_DELAY_S
        pause_s = delay_s(self._attempts, outcome.after_s, self._jitter, last_s)
        level = logging.DEBUG if outcome.reason == self._last_reason else logging.WARNING
        self._last_reason = outcome.reason
        _log.log(level, "ogCore does not take who is logged in, again in %.1f s: %s", pause_s, outcome.said)
        return pause_s
