"""Crowds that do what a test has written: what comes, in which order, what of it is wrong, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Final

from msgspec import Struct

from ogagent.crowd.arrivals import Arrivals, Givers, Need
from ogagent.errors import AgentError, CrowdError
from ogagent.model.method import Session
from ogagent.source.ranges import Ranges


class Comes(Struct, frozen=True):
    """These bytes of the file, as ``data`` has them."""

    start: int
    stop: int


class DriesUp(Struct, frozen=True):
    """So little comes from here on that the repository is to be asked as well."""

    why: CrowdError


Event = Comes | DriesUp | AgentError | None
"""None: nothing more comes, and nobody says so."""


class Scripted:
    """Implements ``ogagent.restore.crowd.Crowding`` and ``ogagent.crowd.arrivals.Arrivals``. ``data`` is what it sends,
    the image or something else; an error in ``script`` ends it, as does its end. ``again``: what is wrong may come once
    more.
    """

    spread_s: Final = 0.0
    givers: Final[Givers] = "multicast"

    def __init__(
        self,
        data: bytes,
        script: Sequence[Event],
        *,
        fallback: bool = True,
        again: bool = False,
        gives: bool = False,
        joined: Callable[[], None] = lambda: None,
    ) -> None:
        self.fallback = fallback
        self.wanted: Ranges | None = None
        self._dried_up: Callable[[CrowdError], None]
        self.left = False
        self._data = data
        self._script = script
        self.repeats = again
        self.gives = gives
        self._joined = joined
        self._there = Ranges()

    async def join(self, session: Session, repository: str, image: str, need: Need) -> Arrivals:  # noqa: ARG002
        self.wanted, self._dried_up = need.wanted, need.dried_up
        self._joined()
        return self

    async def stretches(self) -> AsyncGenerator[tuple[int, int], None]:
        try:
            for each in self._script:
                if isinstance(each, AgentError):
                    raise each
                if isinstance(each, DriesUp):
                    self._dried_up(each.why)
                elif each is None:
                    await asyncio.Event().wait()
                else:
                    self._there.add(each.start, each.stop)
                    yield each.start, each.stop
                    await asyncio.sleep(0)
            if self.gives:
                await asyncio.Event().wait()
        finally:
            self.left = True

    def covers(self, start: int, stop: int) -> bool:
        return self._there.at(start, stop) == (True, stop)

    async def read(self, start: int, stop: int) -> bytes:
        assert self.covers(start, stop)
        await asyncio.sleep(0)
        return self._data[start:stop].ljust(stop - start, b"\0")

    def wrong(self, start: int, stop: int) -> None:
        self._there.remove(start, stop)
