"""Images of the CACHE for other PCs, as long as this one has nothing else to do. It is in nobody's way."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from msgspec import Struct

from ogagent.crowd.gifts import MOST, Gift, close_gifts, open_gifts
from ogagent.crowd.order import Gave, Share, Torrent, Word
from ogagent.crowd.station import Station
from ogagent.crowd.swarm import heard, taking_part
from ogagent.disk.machine import CacheStore, Inventoried
from ogagent.errors import AgentError
from ogagent.model.plan import cache_place
from ogagent.system.text import printable

_log: Final = logging.getLogger(__name__)

_QUIET_S: Final = 10.0
"""Calls often come one after the other: so long nothing begins after the last."""
_AGAIN_S: Final = 300.0
"""After it could not be done."""
_LET_GO_S: Final = 15.0
"""So long a job waits at most. An engine is killed after half a second; all else is a disk that hangs."""

SESSION: Final = "session"
IDLE: Final = "idle"


class _Promise(Struct, frozen=True):
    repository: str
    until: float


class Seeding:
    """Lives on the event loop. The CACHE is mounted to be read, and only while something of it is given.

    ``given``: bytes, since the agent began, for the seconds that a call has asked for and beyond them. ``images``:
    what others can have now.
    """

    def __init__(
        self, machine: Inventoried, store: CacheStore, station: Station, *, idle: bool, quiet_s: float = _QUIET_S
    ) -> None:
        """``idle``: also what no call has asked for."""
        self._machine = machine
        self._store = store
        self._station = station
        self._idle = idle
        self._quiet_s = quiet_s
        self._promises: dict[str, _Promise] = {}
        self._interrupters = 0
        self._called, self._free, self._let_go = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._free.set()
        self._let_go.set()
        self.given = {SESSION: 0, IDLE: 0}
        self.images: tuple[str, ...] = ()

    def promise(self, image: str, repository: str, seconds: int) -> None:
        """From now on others can have it for so long, whenever nothing else is to be done; ``image`` by its canonical
        name, ``repository`` is the host that knows who they are.
        """
        self._promises.pop(image, None)
        if seconds:
            self._promises[image] = _Promise(repository, asyncio.get_running_loop().time() + seconds)
        while len(self._promises) > MOST:
            del self._promises[next(iter(self._promises))]

    @asynccontextmanager
    async def interrupted(self) -> AsyncIterator[None]:
        """Implements ``ogagent.jobs.idle.Idling``."""
        self._interrupters += 1
        self._called.set()
        self._free.clear()
        try:
            await self._stopped()
            yield
        finally:
            self._interrupters -= 1
            if not self._interrupters:
                self._called.clear()
                self._free.set()

    async def _stopped(self) -> None:
        try:
            async with asyncio.timeout(_LET_GO_S):
                await self._let_go.wait()
        except TimeoutError:
            _log.error("the CACHE, of which something was given to others, does not become free")

    async def run(self) -> None:
        """As long as the agent runs."""
        while True:
            await self._free.wait()
            if await self._is_called_within(0 if self._promised() else self._quiet_s):
                continue
            self._let_go.clear()
            giving, called = asyncio.create_task(self._give()), asyncio.create_task(self._called.wait())
            try:
                await asyncio.wait([giving, called], return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (giving, called):
                    task.cancel()
                await asyncio.wait([giving])
                self._let_go.set()
            if not giving.cancelled():
                await self._is_called_within(giving.result())

    async def _is_called_within(self, seconds: float | None) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._called.wait(), seconds)
        return self._called.is_set()

    def _promised(self) -> dict[str, _Promise]:
        now = asyncio.get_running_loop().time()
        self._promises = {name: each for name, each in self._promises.items() if each.until > now}
        return self._promises

    async def _give(self) -> float | None:
        """Answers after how many seconds there may be something to give; None: not before the next job."""
        while self._promised() or self._idle:
            until = None if self._idle else min(each.until for each in self._promises.values())
            try:
                async with asyncio.timeout_at(until) as seconds:
                    await self._give_some()
            except (AgentError, TimeoutError) as error:
                if seconds.expired():
                    continue
                _log.info("nothing is given to others for a while: %s", error)
                return _AGAIN_S
            else:
                break
        return None

    async def _give_some(self) -> None:
        """Returns when there is nothing. Raises AgentError."""
        place = cache_place(await self._machine.inventory(thorough=False))
        if place is None:
            return
        thread, gifts = self._store.thread, list[Gift]()
        async with self._store.mounted(place, repair=False) as root:
            try:
                await thread.run(open_gifts, root, tuple(self._promised()), gifts, others=self._idle)
                if gifts:
                    await self._seed(gifts)
            finally:
                await thread.wait(thread.start(close_gifts, gifts))

    async def _seed(self, gifts: list[Gift]) -> None:
        promised = self._promised()
        shares = [
            Share(
                torrent=base64.b64encode(gift.torrent).decode(),
                place=f"{gift.file}",
                tracker=promised[gift.name].repository if gift.name in promised else "",
                whole=True,
            )
            for gift in gifts
        ]
        async with taking_part(self._station.order(shares), *(gift.file for gift in gifts)) as flow:
            try:
                for gift in gifts:
                    self._offered(gift, await heard(flow))
                while True:
                    word = await heard(flow)
                    if isinstance(word, Gave) and word.share < len(gifts):
                        self.given[SESSION if gifts[word.share].name in self._promised() else IDLE] += word.count
            finally:
                self.images = ()

    def _offered(self, gift: Gift, word: Word) -> None:
        name = printable(gift.name)
        if isinstance(word, Torrent) and not word.problem:
            self.images += (name,)
            _log.info("others can have %s", name)
        else:
            _log.warning("%s is not given to others: %s", name, printable(getattr(word, "problem", "")))
