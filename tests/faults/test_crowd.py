"""Images from a crowd: whatever it sends, and however it ends, the disk holds the image or the job has failed."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ogagent.errors import AgentError, CacheFull, MulticastFailed, SessionNotJoined, ToolMissing
from ogagent.model.job import Sources
from ogagent.model.progress import NoBooks
from tests.faults.bench import CANCELLED, WELL, Bench, Cell, Ending, Matrix, no_thread_left
from tests.faults.crowds import Comes, DriesUp, Event, Scripted
from tests.faults.framed import framed, framed_cell, over
from tests.faults.images import BEFORE, image

IMAGE: Final = framed("crc32")
LENGTH: Final = len(IMAGE.data)
PREFIX: Final = IMAGE.index.prefix.length
NEEDED: Final = PREFIX + sum(IMAGE.index.frame(place)[1] for place in range(IMAGE.index.count))
ALL: Final = [Comes(0, LENGTH)]
GARBAGE: Final = random.Random(7).randbytes(LENGTH)
GONE: Final = MulticastFailed("udp-receiver was ended by signal 9")
FULL: Final = CacheFull("the CACHE is full")
LACKING: Final = ToolMissing("udp-receiver is not installed")
ABSENT: Final = SessionNotJoined("nobody sends")


def cell(before: str = "foreign") -> Cell:
    """Over a socket: what comes from a file is at hand, and needs no crowd."""
    return replace(framed_cell("crc32", before), local=False)


async def restored(matrix: Matrix, name: str, crowd: Scripted, what: Cell | None = None) -> tuple[Ending, Sources]:
    with matrix.folder() as folder, matrix.cell("crowd", name):
        bench = Bench(folder, what or cell())
        ending = await bench.run(crowding=crowd)
        bench.check(ending)
        await no_thread_left()
        matrix.endings[ending.number] += 1
        return ending, bench.progress.sources


async def test_all_of_it(matrix: Matrix) -> None:
    ending, sources = await restored(matrix, "all", crowd := Scripted(IMAGE.data, ALL))
    assert (ending.warnings, ending.counts.reused, crowd.left) == ((), 0, True)
    assert sources.repository == PREFIX
    assert sources.multicast == NEEDED - PREFIX


async def test_who_gives_stays_until_the_disk_holds_the_image(matrix: Matrix) -> None:
    crowd = Scripted(IMAGE.data, ALL, gives=True)
    with matrix.folder() as folder, matrix.cell("crowd", "gives"):
        bench = Bench(folder, cell())
        there = []
        bench.progress.books = _Watched(lambda: there.append(not crowd.left))
        bench.check(await bench.run(crowding=crowd))
        await no_thread_left()
        matrix.endings[WELL] += 1
    assert (there, crowd.left) == ([True], True)


class _Watched(NoBooks):
    def __init__(self, committing: Callable[[], object]) -> None:
        self._committing = committing

    def committing(self, note: bytes) -> None:  # noqa: ARG002 - as it is called
        self._committing()


async def test_nothing_is_missing(matrix: Matrix) -> None:
    """Who holds the image already delays nobody."""
    ending, _ = await restored(matrix, "the same", crowd := Scripted(IMAGE.data, ALL), cell("the same"))
    assert (crowd.wanted, ending.counts.written) == (None, 0)


async def test_only_what_is_missing(matrix: Matrix) -> None:
    _, sources = await restored(matrix, "used once", crowd := Scripted(IMAGE.data, ALL), cell("used once"))
    assert crowd.wanted is not None
    assert 0 < crowd.wanted.total == sources.multicast < LENGTH // 4


@pytest.mark.parametrize("end", [GONE, ABSENT, FULL, LACKING], ids=["gone", "absent", "full", "not installed"])
@pytest.mark.parametrize("come", [0, 1, LENGTH // 3, LENGTH - 1])
async def test_it_ends(matrix: Matrix, come: int, end: AgentError) -> None:
    ending, sources = await restored(matrix, f"ends at {come}", Scripted(IMAGE.data, [Comes(0, come), end]))
    assert ending.warnings == (end.der,)
    assert sources.multicast <= come
    assert sources.multicast + sources.repository >= NEEDED


@pytest.mark.parametrize("after", [[], [None], [Comes(LENGTH * 2 // 3, LENGTH), None], [ABSENT]])
@pytest.mark.parametrize("gives", [False, True])
async def test_it_dries_up(matrix: Matrix, after: list[Event], *, gives: bool) -> None:
    """Nobody waits for the rest, and nobody is left for that."""
    crowd = Scripted(IMAGE.data, [Comes(0, LENGTH * 2 // 3), DriesUp(GONE), *after], gives=gives)
    ending, sources = await restored(matrix, f"dries up, {after}", crowd)
    assert ending.warnings == (GONE.der,), "what follows is its consequence"
    assert crowd.left
    assert sources.multicast > LENGTH // 4
    assert sources.multicast + sources.repository >= NEEDED


@pytest.mark.parametrize("come", [0, LENGTH // 3])
@pytest.mark.parametrize("end", [GONE, DriesUp(GONE)])
async def test_without_a_fallback(matrix: Matrix, come: int, end: Event) -> None:
    script: list[Event] = [Comes(0, come), end, None]
    ending, _ = await restored(
        matrix, f"fails at {come}", Scripted(IMAGE.data, script, fallback=False), replace(cell(), ends=(57,))
    )
    assert ending.number == GONE.number


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("end", [None, GONE], ids=["silence", "gone"])
async def test_garbage(matrix: Matrix, end: AgentError | None, *, again: bool) -> None:
    """Nothing of it proves. Where it could come again, the end of the session decides."""
    ends = GONE if again else end
    ending, sources = await restored(matrix, f"garbage, {end}", Scripted(GARBAGE, [*ALL, ends], again=again))
    assert sources.repository >= NEEDED
    assert ending.number == WELL


SHORT: Final = [Comes(0, LENGTH // 3)]


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize(("sent", "script"), [(IMAGE.data, SHORT), (IMAGE.data, []), (GARBAGE, ALL), (GARBAGE, SHORT)])
async def test_it_ends_well_and_has_not_brought_it(
    matrix: Matrix, sent: bytes, script: list[Event], *, again: bool
) -> None:
    """As an engine does that has got another file, or half of it: that is told like any other failure."""
    ending, sources = await restored(matrix, "well, without it", Scripted(sent, script, again=again))
    assert sources.multicast + sources.repository >= NEEDED
    assert [warning[:4] for warning in ending.warnings] == ["057-"]


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize(("sent", "script"), [(IMAGE.data, SHORT), (IMAGE.data, []), (GARBAGE, ALL), (GARBAGE, SHORT)])
async def test_and_nobody_else_may_give_it(matrix: Matrix, sent: bytes, script: list[Event], *, again: bool) -> None:
    crowd = Scripted(sent, script, again=again, fallback=False)
    ending, _ = await restored(matrix, "well, without it, alone", crowd, replace(cell(), ends=(57,)))
    assert ending.number == GONE.number


async def test_frames_in_each_others_places(matrix: Matrix) -> None:
    """Each is whole, and that of this image: only the index tells that it does not belong there."""
    frames = [IMAGE.index.frame(place) for place in range(IMAGE.index.count)]
    alike = Counter(length for _, length in frames).most_common(1)[0][0]
    same = [start for start, length in frames if length == alike]
    assert len(same) > IMAGE.index.count // 4
    sent = bytearray(IMAGE.data)
    for here, there in zip(same, [*same[1:], same[0]], strict=True):
        sent[here : here + alike] = IMAGE.data[there : there + alike]
    _, sources = await restored(matrix, "in each other's places", Scripted(bytes(sent), ALL))
    assert sources.repository == PREFIX + len(same) * alike


async def test_what_was_wrong_comes_again(matrix: Matrix) -> None:
    """And is not fetched from the repository."""
    _, sources = await restored(matrix, "comes again", _TwoPasses(range(0, IMAGE.index.count, 5)))
    assert sources.repository == PREFIX


class _TwoPasses(Scripted):
    """In the first one the frames at ``holes`` were lost; the second one begins when that has been found."""

    def __init__(self, holes: range) -> None:
        data = bytearray(IMAGE.data)
        for place in holes:
            start, length = IMAGE.index.frame(place)
            data[start : start + length] = bytes(length)
        super().__init__(bytes(data), ALL, again=True)
        self._left = len(holes)
        self._found = asyncio.Event()

    async def stretches(self) -> AsyncGenerator[tuple[int, int], None]:
        async for stretch in super().stretches():
            yield stretch
        await self._found.wait()
        self._data = IMAGE.data
        async for stretch in super().stretches():
            yield stretch

    def wrong(self, start: int, stop: int) -> None:
        super().wrong(start, stop)
        self._left -= 1
        if not self._left:
            self._found.set()


STREAM: Final = image("crc32", "zstd")
SUM: Final = {".full.sum": hashlib.md5(STREAM, usedforsecurity=False).hexdigest().encode()}


def stream_cell(**more: Any) -> Cell:
    """Without an index."""
    return Cell(data=STREAM, restored=over(BEFORE, "crc32"), sidecars=SUM, **more)


@pytest.mark.parametrize("come", [0, 1, 100_000, len(STREAM) - 1, len(STREAM)])
async def test_a_stream(matrix: Matrix, come: int) -> None:
    """What came is its beginning; the repository has the rest."""
    crowd = Scripted(STREAM, [*(Comes(at, min(at + 50_000, come)) for at in range(0, come, 50_000)), GONE])
    ending, sources = await restored(matrix, f"stream, {come}", crowd, stream_cell())
    assert (sources.multicast, ending.warnings) == (come, (GONE.der,))


async def test_a_stream_that_is_another_image(matrix: Matrix) -> None:
    """Nobody can tell before its end. Then it is taken from the repository."""
    other = image("xxh64", "zstd")
    ending, _ = await restored(matrix, "another stream", Scripted(other, [Comes(0, len(other))]), stream_cell())
    assert [warning[:3] for warning in ending.warnings] == ["057"]


@pytest.mark.parametrize("sidecars", [{}, {".full.sum": b"?"}])
async def test_a_stream_that_nothing_proves(matrix: Matrix, sidecars: dict[str, bytes]) -> None:
    """It is not taken from anybody."""
    crowd = Scripted(STREAM, [Comes(0, len(STREAM))])
    ending, sources = await restored(matrix, "no sum", crowd, replace(stream_cell(), sidecars=sidecars))
    assert (crowd.wanted, sources.multicast, ending.warnings[0][:3]) == (None, 0, "060")


async def test_a_stream_that_ends_well_before_its_end(matrix: Matrix) -> None:
    crowd = Scripted(STREAM, [Comes(0, 100_000)])
    ending, sources = await restored(matrix, "short stream", crowd, stream_cell())
    assert (sources.multicast, [warning[:4] for warning in ending.warnings]) == (100_000, ["057-"])


async def test_a_stream_that_nothing_proves_and_nobody_else_may_give(matrix: Matrix) -> None:
    crowd = Scripted(STREAM, [Comes(0, len(STREAM))], fallback=False)
    ending, _ = await restored(matrix, "no sum, alone", crowd, replace(stream_cell(), sidecars={}, ends=(60,)))
    assert (ending.number, crowd.wanted) == (60, None)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_stretches_in_any_order(matrix: Matrix, data: st.DataObject) -> None:
    places = st.integers(0, LENGTH)
    some = st.builds(lambda one, other: Comes(min(one, other), max(one, other)), places, places)
    script: list[Event] = data.draw(st.lists(some | st.just(DriesUp(GONE)), max_size=12))
    sent = data.draw(st.sampled_from([IMAGE.data, GARBAGE, IMAGE.data[: LENGTH // 2] + GARBAGE[LENGTH // 2 :]]))
    end = data.draw(st.lists(st.sampled_from((GONE, ABSENT)), max_size=1))
    before = data.draw(st.sampled_from(["foreign", "used once", "half of it", "empty"]))
    again, gives = data.draw(st.sampled_from([(False, False), (False, True), (True, False)]))
    dry = [DriesUp(GONE)] if gives else []  # as engines that give do, at last
    crowd = Scripted(sent, [*script, *dry, *end], again=again, gives=gives)
    asyncio.run(restored(matrix, f"{script} {end}", crowd, cell(before)))


@pytest.mark.parametrize("after", [0, 1, LENGTH // 2])
async def test_cancelled(matrix: Matrix, after: int) -> None:
    with matrix.folder() as folder, matrix.cell("crowd", f"cancelled at {after}"):
        joined = asyncio.Event()
        crowd = Scripted(IMAGE.data, [Comes(0, after), None], joined=joined.set)
        bench = Bench(folder, replace(cell(), ends=(CANCELLED,)))
        job = asyncio.create_task(bench.run(crowding=crowd))
        await joined.wait()
        work = next(task for task in asyncio.all_tasks() if "restore" in repr(task.get_coro()))
        work.cancel()
        ending = await job
        bench.check(ending)
        await no_thread_left()
        matrix.endings[ending.number] += 1
        assert crowd.left
