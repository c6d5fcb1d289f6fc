"""What is still wanted of an image, in the order in which it is fetched."""

from __future__ import annotations

import asyncio
import random
import time
from bisect import bisect_left, insort
from collections.abc import Iterable
from contextlib import aclosing
from typing import Final, Protocol

from ogagent.image.index import ImageIndex
from ogagent.restore.crowd import CrowdSource
from ogagent.restore.survey import Stretch, stretches
from ogagent.source.ranges import Ranges
from ogagent.source.source import Source

_IN_A_ROW: Final = 4
"""Stretches, of 2 MiB: pieces have 4 at most, where they are OpenGnsys' own."""


class Wanted(Protocol):
    """``put`` by whoever finds out what is missing, ``get`` by those who fetch it. ``waited_s`` is how long these have
    waited for a crowd, all together.
    """

    @property
    def waited_s(self) -> float: ...

    async def put(self, stretch: Stretch) -> None: ...

    async def complete(self) -> None:
        """That was all."""

    async def get(self) -> Stretch | None:
        """None, to each who asks, when nothing more is to be fetched."""

    async def leave(self) -> None:
        """Nobody else need be given anything any more. To be called in any case."""

    def written(self, count: int) -> None:
        """So many frames are where they belong."""

    def not_yet(self, place: int) -> bool:
        """A frame that has come is not right. True: it is fetched again later."""


class InOrder:
    """A short queue: what is known to be missing is fetched while the rest is looked for."""

    waited_s: Final = 0.0

    def __init__(self, fetchers: int) -> None:
        self._fetchers = fetchers
        self._queue: asyncio.Queue[Stretch | None] = asyncio.Queue(fetchers)
        self.put = self._queue.put
        self.get = self._queue.get

    async def complete(self) -> None:
        for _ in range(self._fetchers):
            await self.put(None)

    async def leave(self) -> None: ...

    def written(self, count: int) -> None: ...

    def not_yet(self, place: int) -> bool:  # noqa: ARG002 - what is wrong is asked for again at once
        return False


class AsItComes:
    """All is known first, then the crowd is joined, if anything is missing at all; what has come is fetched first, and
    the rest when no more will come, or so little that the repository is asked as well.
    """

    def __init__(self, fetchers: int, index: ImageIndex, source: Source, crowd: CrowdSource) -> None:
        """``source`` is where the parts are fetched, which asks ``crowd`` for what it has not itself."""
        self._fetchers = fetchers
        self._index = index
        self._source = source
        self._crowd = crowd
        self._pending: list[Stretch] = []
        self._ready: asyncio.Queue[Stretch | None] = asyncio.Queue()
        self._missing = 0
        self._over = False
        self._asking = False
        """The repository, for what is pending."""
        self._position = self._in_a_row = 0
        """Where in the file the last stretch of that ended, and how many more shall follow it."""
        self._all_laid = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None
        self.waited_s = 0.0

    async def put(self, stretch: Stretch) -> None:
        """What is at hand of it is fetched at once; nobody else is asked for that."""
        looked = [(place, self._is_at_hand(place)) for place in stretch.places]
        length = stretch.stop - stretch.start
        self._pending += stretches(looked, self._index.frame, length)
        self._hand_out(stretches([(place, not held) for place, held in looked], self._index.frame, length))
        self._missing += len(stretch.places)

    async def complete(self) -> None:
        if self._pending:
            await self._listen()
        self._over = True
        if self._pending:
            self._crowd.ended(sum(stretch.stop - stretch.start for stretch in self._pending))
            await asyncio.sleep(random.uniform(0, self._crowd.spread_s))  # noqa: S311 - so that not all ask at once
        self._ask()
        if self._missing:
            await self._all_laid.wait()
        for _ in range(self._fetchers):
            self._ready.put_nowait(None)

    async def get(self) -> Stretch | None:
        if self._asking and self._pending and self._ready.empty():
            return self._next()
        began = time.monotonic()
        while (stretch := await self._ready.get()) and self._is_gone(stretch):
            insort(self._pending, stretch)
        if self._listening is not None:
            self.waited_s += time.monotonic() - began
        return stretch

    def written(self, count: int) -> None:
        self._missing -= count
        if not self._missing:
            self._all_laid.set()

    def not_yet(self, place: int) -> bool:
        start, length = self._index.frame(place)
        if not self._crowd.not_yet(start, start + length) or self._over:
            return False
        insort(self._pending, Stretch(start, start + length, [place]))
        return True

    async def leave(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)  # all has come: what it says is of no use

    async def _listen(self) -> None:
        """Until nothing more comes, or little; or until nothing more is missing: who gives to others stays then."""
        self._listening = asyncio.create_task(self._take_in())
        ends = [asyncio.create_task(event.wait()) for event in (self._all_laid, self._crowd.dry)]
        try:
            await asyncio.wait([self._listening, *ends], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
        if self._listening.done():
            self._listening.result()
        elif self._all_laid.is_set() and not self._crowd.gives:
            await self.leave()

    async def _take_in(self) -> None:
        wanted = Ranges()
        for stretch in self._pending:
            wanted.add(stretch.start, stretch.stop)
        async with aclosing(self._crowd.arriving(wanted)) as arriving:
            async for start, stop in arriving:
                self._look(start, stop)

    def _look(self, start: int, stop: int) -> None:
        """Which of what is pending lies there at least in part, and is there now."""
        first = bisect_left(self._pending, start, key=lambda stretch: stretch.stop - 1)
        last = bisect_left(self._pending, stop, key=lambda stretch: stretch.start)
        some = self._pending[first:last]
        here = [stretch for stretch in some if self._source.at_hand(stretch.start, stretch.stop)]
        if here:
            self._pending[first:last] = [stretch for stretch in some if stretch not in here]
            self._hand_out(here)

    def _ask(self) -> None:
        """From here on each fetcher takes what is pending, as soon as it has nothing else to do."""
        self._asking = True
        self._hand_out([self._next() for _ in range(min(self._fetchers, len(self._pending)))])

    def _next(self) -> Stretch:
        """In the order of the file. Where others listen as well, each PC takes some that follow each other, of which
        pieces become whole, and then some at another place: what one has fetched the others need not.
        """
        place = bisect_left(self._pending, self._position, key=lambda stretch: stretch.start) % len(self._pending)
        if self._listening is not None and not self._listening.done():
            self._in_a_row -= 1
            if self._in_a_row < 0 or self._pending[place].start != self._position:
                place, self._in_a_row = random.randrange(len(self._pending)), _IN_A_ROW - 1  # noqa: S311 - as above
        stretch = self._pending.pop(place)
        self._position = stretch.stop
        return stretch

    def _is_gone(self, stretch: Stretch) -> bool:
        """A receiver has begun the file anew, in which it was: it comes with all the rest."""
        return self._crowd.comes_again and not self._asking and not self._source.at_hand(stretch.start, stretch.stop)

    def _is_at_hand(self, place: int) -> bool:
        start, length = self._index.frame(place)
        return self._source.at_hand(start, start + length)

    def _hand_out(self, some: Iterable[Stretch]) -> None:
        for stretch in some:
            self._ready.put_nowait(stretch)
