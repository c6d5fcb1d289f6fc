"""Two stages of a restore fail: whichever was faster, the earlier place in the image is the cause."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any, Final

import pytest

from ogagent.image.piece import Extent, Piece, Prover
from ogagent.model.plan import ImageHeader
from ogagent.model.units import MIB
from ogagent.restore.pipeline import Pipeline
from ogagent.restore.progress import Progress
from ogagent.restore.writer import PartitionWriter
from ogagent.system.channel import Channel, Inlet

STAGES: Final = ("decode", "prove", "write")
BLOCK: Final = 4096
START: Final = MIB + (64 << 10)
"""Behind the first edge and the page that follows it."""
WAIT_S: Final = 300


class Broken(Exception):
    """Its text is the stage that failed."""


Fault = Callable[[str, int], None]
"""Called by each stage with its name and the number of the piece that it has in hand."""


class Watched(Executor):
    """``ended`` has an event for each stage, set when its thread has left it, however that was."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._names = iter(STAGES)
        self.ended = {name: threading.Event() for name in STAGES}

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        ended = self.ended[next(self._names)]

        def run() -> Any:
            try:
                return fn(*args, **kwargs)
            finally:
                ended.set()

        return self._pool.submit(run)


class Pieces:
    """Implements ``ogagent.image.piece.Image``: five pieces of one block each."""

    buffer_size = 4 * MIB
    header = ImageHeader(container="none", format="raw", filesystem="", block_size=1, device_size=1, used_bytes=None)

    def __init__(self, fault: Fault) -> None:
        self._fault = fault

    def prepare(self) -> None: ...
    def check_length(self, size: int) -> None: ...

    def pieces(self, take_buffer: Callable[[], memoryview]) -> Iterator[Piece]:
        for number, extents in enumerate(self.places()):
            buffer = take_buffer()
            self._fault("decode", number)
            yield Piece(buffer, BLOCK, extents, [])

    def prover(self) -> Prover:
        return lambda piece: self._fault("prove", number_of(piece.extents[0].offset))

    def places(self) -> Iterator[list[Extent]]:
        return ([Extent(START + number * BLOCK, 0, BLOCK)] for number in range(5))


def number_of(offset: int) -> int:
    return (offset - START) // BLOCK


class Disk:
    """Implements ``ogagent.disk.machine.Device``."""

    size = 4 * MIB

    def __init__(self, fault: Fault) -> None:
        self._fault = fault
        self.written: list[int] = []

    def write(self, offset: int, data: memoryview) -> None:  # noqa: ARG002 - as Device has it
        self._fault("write", number_of(offset))
        self.written.append(number_of(offset))

    def zero(self, offset: int, length: int) -> None: ...
    def flush(self) -> None: ...
    def read_back(self, offset: int, into: memoryview) -> None: ...


async def run(executor: Executor, fault: Fault) -> list[int]:
    """Answers which pieces were written."""
    progress = Progress()
    disk = Disk(fault)
    pipeline = Pipeline(Pieces(fault), PartitionWriter(disk, progress), Inlet(1), progress)
    async with asyncio.timeout(WAIT_S):
        await pipeline.run(executor)
    return disk.written


@pytest.fixture
def watched() -> Iterator[Watched]:
    with ThreadPoolExecutor(len(STAGES)) as pool:
        yield Watched(pool)


EARLIER, LATER = 1, 3


@pytest.mark.parametrize("first_in_time", ["the earlier place", "the later place"])
@pytest.mark.parametrize(("later", "earlier"), [("decode", "prove"), ("decode", "write"), ("prove", "write")])
async def test_the_earlier_place_is_the_cause(watched: Watched, later: str, earlier: str, first_in_time: str) -> None:
    """The later stage is the one that is still behind: it fails after the other one has, or before."""
    order = [earlier, later] if first_in_time == "the earlier place" else [later, earlier]

    def fault(stage: str, number: int) -> None:
        if (stage, number) in {(earlier, EARLIER), (later, LATER)}:
            if stage == order[1]:
                assert watched.ended[order[0]].wait(WAIT_S)
            raise Broken(stage)

    with pytest.raises(Broken, match=earlier):
        await run(watched, fault)
    assert all(watched.ended[stage].is_set() for stage in STAGES)


@pytest.mark.parametrize("stage", STAGES)
async def test_what_stands_before_a_failure_is_written(watched: Watched, stage: str) -> None:
    written: list[int] = []

    def fault(here: str, number: int) -> None:
        if (here, number) == (stage, LATER):
            raise Broken(stage)
        if here == "write":
            written.append(number)

    with pytest.raises(Broken, match=stage):
        await run(watched, fault)
    assert written == list(range(LATER))


async def test_all_goes_well(watched: Watched) -> None:
    assert await run(watched, lambda _stage, _number: None) == list(range(5))


@pytest.mark.parametrize("stage", STAGES)
async def test_a_cancel_is_a_cancel_whatever_fails_afterwards(watched: Watched, stage: str) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def fault(here: str, number: int) -> None:
        if (here, number) == (stage, EARLIER):
            reached.set()
            assert go_on.wait(WAIT_S)
            raise Broken(stage)

    restore = asyncio.create_task(run(watched, fault))
    await asyncio.to_thread(reached.wait, WAIT_S)
    restore.cancel()
    asyncio.get_running_loop().call_soon(go_on.set)  # once it has heard of the cancel
    await asyncio.wait([restore])
    assert restore.cancelled()
    assert all(watched.ended[each].is_set() for each in STAGES)


def test_a_channel_gives_all_that_was_put_before_a_failure() -> None:
    channel: Channel[int] = Channel(3)
    with channel.sending():
        channel.put(1)
        channel.put(2)
        raise Broken("decode")
    assert [channel.get(), channel.get()] == [1, 2]
    for _ in range(2):
        with pytest.raises(Broken):
            channel.get()
