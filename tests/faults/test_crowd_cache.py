"""Crowds that fill the CACHE's own file: whatever they write into it, and however it ends."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace

from ogagent.crowd.arrivals import Arrivals, Givers, Need
from ogagent.errors import AgentError, MulticastFailed, SessionNotJoined
from ogagent.model.method import Session
from ogagent.source.ranges import Ranges
from tests.faults.bench import Ending, Matrix
from tests.faults.classroom import Classroom, indexed
from tests.faults.crowds import Comes
from tests.faults.framed import framed

IMAGE: Final = framed("crc32")
DATA: Final = IMAGE.data
LENGTH: Final = len(DATA)
PREFIX: Final = IMAGE.index.prefix.length
GARBAGE: Final = random.Random(7).randbytes(LENGTH)
FRAMES: Final = sum(IMAGE.index.frame(place)[1] for place in range(IMAGE.index.count))
GONE: Final = MulticastFailed("the peer has ended")
ALL: Final = [Comes(at, min(at + 300_000, LENGTH)) for at in range(0, LENGTH, 300_000)]


class Filling:
    """Implements ``ogagent.restore.crowd.Crowding`` and ``ogagent.crowd.arrivals.Arrivals``. ``data`` is what it
    writes; ``spoil`` gets the file's descriptor at the end.
    """

    fallback: bool = True
    spread_s: Final = 0.0
    givers: Givers = "peers"
    repeats: bool = False
    gives: bool = False

    def __init__(
        self,
        script: Sequence[Comes | AgentError],
        data: bytes = DATA,
        spoil: Callable[[int], object] = lambda _: None,
        *,
        afresh: bool = False,
    ) -> None:
        self._script = script
        self._data = data
        self._spoil = spoil
        self._afresh = afresh
        self.need: Need | None = None

    async def join(self, session: Session, repository: str, image: str, need: Need) -> Arrivals:  # noqa: ARG002
        self.need = need
        return self

    async def stretches(self) -> AsyncGenerator[tuple[int, int], None]:
        assert self.need is not None
        storage = self.need.storage
        if storage is None:
            raise SessionNotJoined("there is no CACHE")
        async with storage.lent("image", os.geteuid(), os.getegid(), afresh=self._afresh) as folder:
            file = os.open("image", os.O_RDWR, dir_fd=folder)
            try:
                for each in self._script:
                    if isinstance(each, AgentError):
                        raise each
                    os.pwrite(file, self._data[each.start : each.stop], each.start)
                    storage.came(each.start, each.stop, self.givers)
                    yield each.start, each.stop
                self._spoil(file)
            finally:
                os.close(file)

    def covers(self, start: int, stop: int) -> bool:  # noqa: ARG002 - the storage has it
        return False

    async def read(self, start: int, stop: int) -> bytes:
        raise NotImplementedError

    def wrong(self, start: int, stop: int) -> None: ...


class Mending(Filling):
    """A sender whose first pass loses something of everything, and whose second one mends it."""

    givers: Givers = "multicast"
    repeats: bool = True

    def __init__(self) -> None:
        super().__init__(ALL)
        self._refuted = Ranges()
        self._all_refuted = asyncio.Event()

    async def stretches(self) -> AsyncGenerator[tuple[int, int], None]:
        self._data = GARBAGE
        async with aclosing(super().stretches()) as stretches:
            async for stretch in stretches:
                yield stretch
        await self._all_refuted.wait()
        self._data = DATA
        async with aclosing(super().stretches()) as stretches:
            async for stretch in stretches:
                yield stretch

    def wrong(self, start: int, stop: int) -> None:
        self._refuted.add(start, stop)
        if self._refuted.total >= FRAMES:
            self._all_refuted.set()


class BrokenOff(Filling):
    """A sender that is gone after its first pass, of which nothing was whole; of the rest there is not even a file."""

    givers: Givers = "multicast"

    def __init__(self, *, repeats: bool) -> None:
        super().__init__([*ALL[: len(ALL) // 2], GONE], GARBAGE, afresh=True)
        self.repeats = repeats

    async def stretches(self) -> AsyncGenerator[tuple[int, int], None]:
        assert self.need is not None
        assert self.need.storage is not None
        try:
            async with aclosing(super().stretches()) as stretches:
                async for stretch in stretches:
                    yield stretch
        except MulticastFailed:
            self.need.storage.came(0, LENGTH, self.givers)
            yield 0, LENGTH
            raise


@pytest.fixture
def room(matrix: Matrix, tmp_path: Path) -> Classroom:
    return Classroom(matrix, tmp_path)


async def deployed(room: Classroom, crowd: Filling, before: str = "foreign") -> Ending:
    return await room.deploy(indexed(before), crowding=crowd)


async def test_all_of_it(room: Classroom) -> None:
    """Nothing but the header comes from the repository, and the next one finds the image in the CACHE."""
    ending = await deployed(room, Filling(ALL))
    sources = room.bench.progress.sources
    assert (ending.warnings, sources.repository, sources.cache) == ((), PREFIX, 0)
    assert sources.peers >= LENGTH - 2000
    assert room.kept.read_bytes() == DATA
    assert room.files == ["x.img", "x.img.index"]
    again = Filling(ALL)
    await deployed(room, again)
    assert again.need is None
    assert room.bench.progress.sources.cache >= LENGTH - 2000


async def test_only_what_is_missing(room: Classroom) -> None:
    crowd = Filling(ALL)
    await deployed(room, crowd, "used once")
    assert crowd.need is not None
    assert 0 < crowd.need.wanted.total < LENGTH // 4


@pytest.mark.parametrize("count", [0, 1, len(ALL) // 2, len(ALL)])
@pytest.mark.parametrize("order", [1, -1])
async def test_it_ends(room: Classroom, count: int, order: int) -> None:
    ending = await deployed(room, Filling([*ALL[::order][:count], GONE]))
    assert ending.warnings == (GONE.der,)
    assert room.kept.read_bytes() == DATA


@pytest.mark.parametrize("fallback", [True, False])
async def test_it_ends_well_and_some_of_it_is_wrong(room: Classroom, *, fallback: bool) -> None:
    """That is told, and where nobody else may give it the job fails."""
    crowd = Filling(ALL, DATA[: LENGTH // 2] + GARBAGE[LENGTH // 2 :])
    crowd.fallback = fallback
    cell = indexed() if fallback else replace(indexed(), ends=(57,))
    ending = await room.deploy(cell, crowding=crowd)
    assert (ending.number, [warning[:4] for warning in ending.warnings]) == ((0, ["057-"]) if fallback else (57, []))


async def test_what_is_there_is_not_asked_of_anybody(room: Classroom) -> None:
    await deployed(room, Filling([]), "half of it")
    crowd = Filling(ALL)
    await deployed(room, crowd)
    assert crowd.need is not None
    assert crowd.need.wanted.total < LENGTH * 2 // 3
    assert room.bench.progress.sources.cache > LENGTH // 3


async def test_a_receiver_that_begins_anew(room: Classroom) -> None:
    """What earlier jobs have kept of the image is gone then."""
    await deployed(room, Filling([]), "half of it")
    await deployed(room, Filling(ALL, afresh=True))
    assert room.kept.read_bytes() == DATA


async def test_what_a_later_pass_mends(room: Classroom) -> None:
    """Nobody asks the repository for it, and it counts once, as what it is."""
    ending = await deployed(room, Mending())
    sources = room.bench.progress.sources
    assert (ending.warnings, sources.repository, sources.peers, sources.cache) == ((), PREFIX, 0, 0)
    assert FRAMES <= sources.multicast <= LENGTH
    assert room.kept.read_bytes() == DATA


@pytest.mark.parametrize("repeats", [True, False])
async def test_what_is_said_to_be_there_and_is_not(room: Classroom, *, repeats: bool) -> None:
    """One reader finds the file's end, another what is wrong: to both the repository gives what is right."""
    ending = await deployed(room, BrokenOff(repeats=repeats))
    assert ending.warnings == (GONE.der,)
    assert room.bench.progress.sources.multicast == 0
    assert room.kept.read_bytes() == DATA


async def test_garbage(room: Classroom) -> None:
    ending = await deployed(room, Filling(ALL, GARBAGE))
    assert ending.counts.received >= LENGTH - 2000
    assert room.bench.progress.sources.peers <= LENGTH - FRAMES
    assert room.kept.read_bytes() == DATA


@pytest.mark.parametrize(
    "spoil",
    [
        lambda file: os.ftruncate(file, 10),
        lambda file: os.pwrite(file, GARBAGE, 0),
        lambda file: os.ftruncate(file, 10 * LENGTH),
        lambda file: os.fchmod(file, 0),
    ],
    ids=["cut off", "overwritten", "made longer", "made unreadable"],
)
@pytest.mark.parametrize("count", [len(ALL) // 2, len(ALL)])
async def test_the_file_is_spoilt_afterwards(room: Classroom, count: int, spoil: Callable[[int], object]) -> None:
    """Some of it has been laid by then, and some has not; nobody believes the CACHE anything later, either."""
    await deployed(room, Filling(ALL[:count], spoil=spoil))
    await deployed(room, Filling(ALL))
    assert room.kept.read_bytes() == DATA


async def test_a_cache_that_cannot_be_used(room: Classroom) -> None:
    room.cache.broken = True
    ending = await deployed(room, Filling(ALL))
    assert [warning[:3] for warning in ending.warnings] == ["031", "060"]
