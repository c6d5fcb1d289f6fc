"""The agent says that it is there, again and again, and how it may be called; and that it goes."""

from __future__ import annotations

import asyncio
import logging
import random
import uuid
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from ogagent import __version__
from ogagent.ogcore.address import LocalAddress
from ogagent.ogcore.retry import LAST_DELAY_S, LAST_DELAY_UNKNOWN_S, Clock, MonotonicClock, Random, delay_s
from ogagent.ogcore.webhook import Again, Delivered, Outcome, Refused, Report, Webhook
from ogagent.system.os_release import system_name

_log: Final = logging.getLogger(__name__)

BOOT_S: Final = 300.0
"""An agent that starts so soon after its machine is one of a room that has just been switched on."""
EVERY_S: Final = 900.0
"""How often an agent registers anew, give or take a quarter."""
OGLIVE: Final = "oglive"
_SPREAD_S: Final = 5.0
_LEAST_S: Final = 5.0
"""Between two registrations, however many reports ask for one."""


def spread_s(uptime_s: float, jitter: Random = random.random) -> float:
    """How long to wait before the first registration, so that a room which boots together does not call together."""
    return jitter() * _SPREAD_S if uptime_s < BOOT_S else 0.0


class Registration:
    def __init__(
        self,
        started: Webhook,
        stopped: Webhook,
        address: Callable[[], Awaitable[LocalAddress]],
        secret: str,
        fingerprint: str,
        spread_s: float = 0.0,
        ostype: str = OGLIVE,
        osversion: str = "",
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Random = random.random,
        clock: Clock | None = None,
    ) -> None:
        """``address`` raises OSError while there is no way to ogCore. ``fingerprint`` is that of our certificate.
        ``ostype`` tells ogCore what may be asked of this agent; ``osversion`` empty: that of the running system.
        """
        self._started = started
        self._stopped = stopped
        self._address = address
        self._system = {"ostype": ostype, "osversion": osversion or system_name(), "agent_version": __version__}
        self._going = False
        self._told = False
        self._credentials = {"secret": secret, "fingerprint": fingerprint}
        self._spread_s = spread_s
        self._sleep = sleep
        self._jitter = jitter
        self._clock = clock or MonotonicClock()
        self._wanted = asyncio.Event()

    def renew(self) -> None:
        """ogCore has answered as one who does not know this agent."""
        self._wanted.set()

    def stay(self) -> None:
        """ogCore has been told too early that this agent goes."""
        self._going = self._told = False
        self._wanted.set()

    async def run(self, registered: asyncio.Event) -> None:
        """Runs until cancelled. ``registered`` is set once ogCore has answered: reports need not wait any longer.

        An ogCore that was restored from a backup does not know that there is something that it does not know: it is
        told every so often, whether it asks or not.
        """
        if self._spread_s:
            await self._sleep(self._spread_s)
        while True:
            wanted = self._wanted.is_set()
            self._wanted.clear()
            if not self._going:
                await self.start(registered, logging.INFO if wanted or not registered.is_set() else logging.DEBUG)
            await self._sleep(_LEAST_S)
            await self._clock.wait(self._wanted, EVERY_S * (0.75 + 0.5 * self._jitter()))

    async def start(self, registered: asyncio.Event, level: int = logging.INFO) -> None:
        """Returns when ogCore has accepted, which is logged at ``level``, or refused; until then it is asked again."""
        event_id = str(uuid.uuid4())
        attempt, last_reason = 1, ""
        while isinstance(outcome := await self._say(self._started, event_id, self._credentials), Again):
            last_s = LAST_DELAY_UNKNOWN_S if outcome.unknown else LAST_DELAY_S
            wait = delay_s(attempt, outcome.after_s, self._jitter, last_s)
            old = outcome.reason == last_reason
            _log.log(
                logging.DEBUG if old else logging.WARNING,
                "ogCore does not take the registration, again in %.1f s: %s", wait, outcome.said,
            )  # fmt: skip
            last_reason = outcome.reason
            if outcome.unknown:  # an ogCore that has no such call may take reports all the same
                registered.set()
            await self._sleep(wait)
            if self._going:
                return
            attempt += 1
        if isinstance(outcome, Refused):
            _log.error("ogCore refuses to register this agent, which will ask again later: %s", outcome.reason)
        else:
            _log.log(level, "registered with ogCore")
        registered.set()

    async def stop(self) -> None:
        """One attempt, as long as a report may take; none when ogCore has been told before. From now on this agent
        registers no more.
        """
        self._going = True
        if self._told:
            return
        outcome = await self._say(self._stopped, str(uuid.uuid4()), {})
        if isinstance(outcome, Delivered):
            self._told = True
        else:
            _log.warning("ogCore could not be told that this agent stops: %s", outcome.said)

    async def _say(self, webhook: Webhook, event_id: str, more: Report) -> Outcome:
        try:
            address = msgspec.structs.asdict(await self._address())
        except OSError as error:
            return Again(f"there is no way to ogCore: {error}")
        return await webhook.post(event_id, {**address, **self._system, **more})


class NoRegistration:
    """For an agent that tells nobody that it is there."""

    def renew(self) -> None: ...

    def stay(self) -> None: ...

    async def run(self, registered: asyncio.Event) -> None:
        registered.set()

    async def stop(self) -> None: ...
