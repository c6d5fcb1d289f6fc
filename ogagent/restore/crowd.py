"""The image as the others of a crowd give it, and the repository for whatever they do not."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Final, Protocol

from ogagent.crowd.arrivals import Arrivals, Need, Storage
from ogagent.errors import AgentError, MulticastFailed
from ogagent.model.method import Session
from ogagent.model.units import MIB
from ogagent.restore.progress import Progress
from ogagent.source.ranges import Ranges
from ogagent.source.source import Source

_log: Final = logging.getLogger(__name__)

_ENOUGH_TO_TELL: Final = 64 * MIB
"""When of so much not even half has proven to be right, it is another image that comes, or nearly nothing."""

_NOT_THIS_IMAGE: Final = MulticastFailed("some of what has come is not this image")

Join = Callable[[Need], Awaitable[Arrivals]]


class Crowding(Protocol):
    """How this machine takes part in a crowd."""

    @property
    def fallback(self) -> bool:
        """Whether the repository is asked for what a crowd that fails has not brought."""

    @property
    def spread_s(self) -> float:
        """Within so many seconds each of its PCs begins to ask, at a time of its own."""

    async def join(self, session: Session, repository: str, image: str, need: Need) -> Arrivals:
        """``image`` by its canonical name; ``repository`` is on the way to the others. Nobody has heard of this PC yet:
        that comes with the first stretch. Raises CrowdError.
        """


class CrowdSource:
    """Implements ``ogagent.source.source.Source``. ``origin`` is the repository.

    A crowd that fails costs time and a warning, where there is a fallback; otherwise it fails the job.
    """

    def __init__(self, origin: Source, crowding: Crowding, join: Join, progress: Progress) -> None:
        """``join``: that of ``crowding``, for one session."""
        self.spread_s = crowding.spread_s
        self._origin = origin
        self._join = join
        self._progress = progress
        self._fallback = crowding.fallback
        self._arrivals: Arrivals | None = None
        self._given = Ranges()
        """What was read of the arrivals last, and not found to be wrong."""
        self._read = 0
        self._wrong = 0
        self._listening = False
        self._fell_back = False
        self.storage: Storage | None = None
        """The CACHE's file of the image, when it is kept there."""
        self.streams = False
        """Whether ``chunks`` joins: what comes so is proven by nobody before all of it is there."""
        self.sidecar = origin.sidecar
        self.dry = asyncio.Event()
        """The rest is to be fetched from the repository; it may come all the same."""
        self._began = 0.0

    @property
    def size(self) -> int | None:
        return self._origin.size

    @property
    def takes_ranges(self) -> bool:
        return self._origin.takes_ranges

    async def arriving(self, wanted: Ranges) -> AsyncGenerator[tuple[int, int], None]:
        """Joins, and tells what has come, where it starts and stops; ends when nothing more will.

        Raises AgentError when there is no falling back.
        """
        self._listening, self._began = True, self._progress.clock()
        try:
            need = Need(wanted, self.size or sys.maxsize, self.sidecar, self.storage, self._dried_up)
            self._arrivals = await self._join(need)
            async with aclosing(self._arrivals.stretches()) as stretches:
                async for stretch in stretches:
                    yield stretch
                    if self._read >= _ENOUGH_TO_TELL and 2 * self._wrong > self._read:
                        raise MulticastFailed("what comes is not this image", hint="is another session on this port?")
        except AgentError as error:  # also of a CACHE without room, and of a program that is not there
            self._dried_up(error)
        finally:
            self._listening = False

    def _dried_up(self, error: AgentError) -> None:
        self.fall_back(error)
        if not self.dry.is_set():
            after_s = self._progress.clock() - self._began
            self._progress.left_crowd = f"after {after_s:.0f} s: {error.message}"
            self.dry.set()

    def fall_back(self, error: AgentError) -> None:
        """Because of it the repository is asked for something that the others should have given.

        Raises it when there is no falling back. What follows the first is its consequence.
        """
        if not self._fallback:
            raise error
        _log.warning("%s; the repository gives what is missing", error.message)
        if not self._fell_back:
            self._progress.warnings.append(error.der)
            self._fell_back = True

    def ended(self, missing: int) -> None:
        """Nothing more comes, and so many bytes are missing. Raises MulticastFailed when there is no falling back."""
        if not self.dry.is_set():
            self._dried_up(MulticastFailed(f"the session has ended without {missing} bytes of what was wanted of it"))

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """What comes in order, and the rest from the repository. Nothing of it proves itself."""
        position, end = 0, self.size or sys.maxsize
        if self.streams:
            self._progress.crowd_unproven = True
            async with aclosing(self._stream()) as stream:
                async for chunk in stream:
                    yield chunk
                    position += len(chunk)
                    if position >= end:
                        return
            if self.size is not None:
                self.ended(self.size - position)
        rest = self._origin.part(position, end) if position else self._origin.chunks()
        async with aclosing(rest) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _stream(self) -> AsyncGenerator[bytes, None]:
        """Whoever reads it may be slow: what comes is taken in beside it, so that nobody else has to wait."""
        come: asyncio.Queue[tuple[int, int] | None] = asyncio.Queue()

        async def take_in() -> None:
            try:
                async with aclosing(self.arriving(Ranges(0, sys.maxsize))) as arriving:
                    async for stretch in arriving:
                        come.put_nowait(stretch)
            finally:
                come.put_nowait(None)

        taking_in = asyncio.create_task(take_in())
        try:
            while (stretch := await come.get()) is not None:
                async with aclosing(self.part(*stretch)) as chunks:
                    async for chunk in chunks:
                        yield chunk
            await taking_in
        finally:
            taking_in.cancel()
            await asyncio.wait([taking_in])

    @property
    def gives(self) -> bool:
        return self._arrivals is not None and self._arrivals.gives

    @property
    def comes_again(self) -> bool:
        """What was lost, or is wrong, may."""
        return self._arrivals is not None and self._arrivals.repeats and self._listening

    def at_hand(self, start: int, stop: int) -> bool:
        return self._arrivals is not None and self._arrivals.covers(start, stop)

    async def part(self, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        if self._arrivals is not None and self._arrivals.covers(start, stop):
            chunk = await self._arrivals.read(start, stop)
            self._given.add(start, stop)
            self._read += len(chunk)
            self._progress.came_from(self._arrivals.givers, len(chunk))
            yield chunk
            return
        async with aclosing(self._origin.part(start, stop)) as chunks:
            async for chunk in chunks:
                yield chunk

    def doubt(self, start: int, stop: int) -> bool:
        """What others gave is not damage. Raises MulticastFailed when only they may give it."""
        if not self._refuted(start, stop):
            return self._origin.doubt(start, stop)
        self.fall_back(_NOT_THIS_IMAGE)
        return True

    def not_yet(self, start: int, stop: int) -> bool:
        """What does not prove may still come: then nobody need ask the repository for it. Raises MulticastFailed when
        nobody may.
        """
        if self._arrivals is None:
            return False
        comes_again = self.comes_again
        if self.storage is None or not self.storage.wrong(start, stop):
            return comes_again and self._refuted(start, stop)
        if comes_again:
            self._arrivals.wrong(start, stop)
        else:
            self.fall_back(_NOT_THIS_IMAGE)
        return comes_again

    def _refuted(self, start: int, stop: int) -> bool:
        """False for what others have not given."""
        if self._arrivals is None or not self._given.remove(start, stop):
            return False
        self._wrong += stop - start
        self._arrivals.wrong(start, stop)
        return True
