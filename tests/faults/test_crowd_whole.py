"""Images without an index that others fill the CACHE's file with: only the sum of all of it tells what they are."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace

from ogagent.crowd.arrivals import Givers
from ogagent.disk.cache_thread import CacheThread
from ogagent.errors import AgentError, CacheError, MulticastFailed
from ogagent.model.job import Sources
from tests.faults.bench import Bench, Cell, Ending, Matrix, no_thread_left
from tests.faults.classroom import Classroom, Stepping, streamed
from tests.faults.crowds import Comes
from tests.faults.test_crowd_cache import Filling

CELL: Final = replace(streamed(), local=False)
DATA: Final = CELL.data
LENGTH: Final = len(DATA)
GARBAGE: Final = random.Random(7).randbytes(LENGTH)
GONE: Final = MulticastFailed("the peer has ended")
ALL: Final = [Comes(at, min(at + 300_000, LENGTH)) for at in range(0, LENGTH, 300_000)]


class Crowd(Filling):
    """Of ``givers``, with ``data`` in place of the image's."""

    def __init__(
        self,
        script: Sequence[Comes | AgentError],
        data: bytes = DATA,
        givers: Givers = "peers",
        *,
        fallback: bool = True,
        gives: bool = False,
    ) -> None:
        super().__init__(script, data)
        self.givers, self.fallback, self.gives = givers, fallback, gives


@pytest.fixture
def room(matrix: Matrix, tmp_path: Path) -> Classroom:
    return Classroom(matrix, tmp_path)


async def deployed(room: Classroom, crowd: Crowd, *ends: int) -> tuple[Ending, Sources]:
    ending = await room.deploy(replace(CELL, ends=ends) if ends else CELL, crowding=crowd, engine="p2p")
    return ending, room.bench.progress.sources


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("gives", [False, True])
async def test_all_of_it(room: Classroom, order: int, *, gives: bool) -> None:
    """In any order. The next one finds it in the CACHE, and asks nobody."""
    ending, sources = await deployed(room, Crowd(ALL[::order], gives=gives))
    assert (ending.warnings, sources.peers, sources.cache) == ((), LENGTH, 0)
    assert room.kept.read_bytes() == DATA
    assert room.files == ["x.img", "x.img.full.sum"]
    again = Crowd(ALL)
    _, sources = await deployed(room, again)
    assert (again.need, sources.cache) == (None, LENGTH)


@pytest.mark.parametrize("count", [0, 1, len(ALL) // 2, len(ALL) - 1])
async def test_it_ends(room: Classroom, count: int) -> None:
    """What peers gave is theirs: pieces prove themselves. The repository gives the rest."""
    ending, sources = await deployed(room, Crowd([*ALL[::-1][:count], GONE]))
    come = sum(each.stop - each.start for each in ALL[::-1][:count])
    assert (ending.warnings, sources.peers) == ((GONE.der,), come)
    assert LENGTH - come <= sources.repository <= 2 * LENGTH - come
    assert room.kept.read_bytes() == DATA


async def test_it_ends_well_and_has_not_brought_it(room: Classroom) -> None:
    ending, _ = await deployed(room, Crowd(ALL[1:]))
    assert [warning[:4] for warning in ending.warnings] == ["057-"]
    assert room.kept.read_bytes() == DATA


async def test_of_a_sender_that_is_gone_nothing_is_believed(room: Classroom) -> None:
    """What it has lost by then nobody can tell."""
    holes = DATA[:1000] + bytes(1000) + DATA[2000:]
    ending, sources = await deployed(room, Crowd([*ALL, GONE], holes, "multicast"))
    assert ending.warnings == (GONE.der,)
    assert sources.repository >= LENGTH
    assert room.kept.read_bytes() == DATA


async def test_another_image(room: Classroom) -> None:
    """All of it has to come before that is seen; then it is taken from the repository."""
    ending, sources = await deployed(room, Crowd(ALL, GARBAGE))
    assert [warning[:4] for warning in ending.warnings] == ["057-"]
    assert sources.repository >= LENGTH
    assert room.kept.read_bytes() == DATA


@pytest.mark.parametrize(("script", "number"), [([GONE], 57), (ALL[1:], 57)])
async def test_nobody_else_may_give_it(room: Classroom, script: list[Comes | AgentError], number: int) -> None:
    ending, _ = await deployed(room, Crowd(script, fallback=False), number)
    assert ending.number == number


@pytest.mark.parametrize("cell", [CELL, replace(CELL, sidecars={})])
async def test_where_it_cannot_be_kept_nobody_is_asked(matrix: Matrix, tmp_path: Path, cell: Cell) -> None:
    with matrix.cell("crowd", "no CACHE"):
        crowd, bench = Crowd(ALL), Bench(tmp_path, cell)
        ending = await bench.run(crowding=crowd, engine="uftp")
        bench.check(ending)
        await no_thread_left()
        matrix.endings[ending.number] += 1
    assert (crowd.need, [warning[:4] for warning in ending.warnings]) == (None, ["060-"])


async def test_a_cache_that_is_full(room: Classroom) -> None:
    """The repository gives it, as it would without a crowd."""
    room.cache.read_only = True
    ending, sources = await deployed(room, Crowd(ALL))
    assert [warning[:4] for warning in ending.warnings] == ["031-"]
    assert sources.peers == 0


@pytest.mark.parametrize("at", range(20))
async def test_a_cache_that_fails(room: Classroom, at: int) -> None:
    """Whatever it is asked; the repository gives what it does not."""

    def fails(number: int) -> None:
        if number == at:
            raise CacheError("the CACHE has failed")

    room.cache.thread = Stepping(fails)
    ending, _ = await deployed(room, Crowd([*ALL[:3], *ALL[5:], GONE]))
    assert {warning[:4] for warning in ending.warnings} <= {"031-", "057-", "060-"}
    room.cache.thread = CacheThread()
    await deployed(room, Crowd(ALL))
    assert room.kept.read_bytes() == DATA
