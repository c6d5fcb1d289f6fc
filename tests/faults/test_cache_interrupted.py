"""Deployments through the CACHE that are cancelled or killed, whatever is being done there at the moment."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import threading
from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace

from tests.faults.audited import before_each_call
from tests.faults.bench import CANCELLED, PARTITION, WELL, Matrix, mounts, no_thread_left
from tests.faults.classroom import (
    BEGINNINGS,
    LEAST,
    VARIED,
    Beginning,
    Classroom,
    Stepping,
    deploy_well,
    indexed,
    prepared,
)
from tests.faults.images import SIZE

EACH: Final = pytest.mark.parametrize("beginning", BEGINNINGS, ids=lambda beginning: beginning.name)


async def cancelled(room: Classroom, beginning: Beginning, what: str, at: int, *, hang: bool) -> bool:
    """When the disk of the CACHE is asked for the thing number ``at``, which it may not answer. False: it never is."""
    loop = asyncio.get_running_loop()
    answer = threading.Event()

    def cancel(step: int) -> None:
        if step == at:
            loop.call_soon_threadsafe(job.cancel)
            if hang:
                answer.wait()

    room.cache.thread = steps = Stepping(cancel)
    try:
        with room.matrix.cell("cache", what):
            bench = room.prepare(replace(beginning.cell, ends=(CANCELLED, WELL)))
            job = asyncio.ensure_future(bench.run(caching=room.caching))
            ending = await asyncio.wait_for(asyncio.shield(job), 300)
            bench.check(ending)
            assert ending.number == (WELL if bench.progress.committed or steps.count <= at else CANCELLED)
            assert not room.cache.users
            assert steps.stuck == (hang and at < steps.count)
            room.matrix.endings[ending.number] += 1
        await no_thread_left()
    finally:
        answer.set()
    await steps.come_back()
    return at < steps.count


@EACH
@pytest.mark.parametrize("hang", [False, True], ids=["it goes on", "it hangs"])
async def test_cancelled(matrix: Matrix, beginning: Beginning, hang: bool) -> None:
    """A disk that hangs keeps nobody; the disk of the restore is waited for."""
    async with prepared(matrix, beginning) as make:
        at, more = 0, True
        while more:
            room = make()
            what = f"{beginning.name}: cancelled at {at}{', where it hangs' if hang else ''}"
            more = await cancelled(room, beginning, what, at, hang=hang)
            room.cache.thread = Stepping()
            await deploy_well(room, beginning, what)
            at += 1
        assert at > LEAST


async def test_a_job_that_was_cancelled_leaves_what_it_has(matrix: Matrix, tmp_path: Path) -> None:
    room = Classroom(matrix, tmp_path)
    cell = replace(indexed(), faults=("repository:slow=2MiB",), ends=(CANCELLED,))
    bench = room.prepare(cell)
    work = asyncio.ensure_future(bench.run(caching=room.caching))
    async with asyncio.timeout(300):
        while bench.progress.written < SIZE // 2:  # noqa: ASYNC110 - a counter
            await asyncio.sleep(0.01)
    work.cancel()
    bench.check(await work)
    assert room.files == [room.partial.name, f"{room.partial.name}.map"]
    ending = await room.deploy(indexed())
    assert ending.counts.received < len(cell.data) * 3 // 4
    assert room.kept.read_bytes() == cell.data


# --- SIGKILL ------------------------------------------------------------------------------------------------------


def deploy_and_die(folder: Path, beginning: Beginning, at: int, point: str) -> None:
    room = Classroom(Matrix(), folder)

    def die(number: int) -> None:
        if number == at:
            os.kill(os.getpid(), signal.SIGKILL)

    async def deploy() -> None:
        if point == "step":
            room.cache.thread = Stepping(die)
        await room.prepare(beginning.cell).run(caching=room.caching)

    with before_each_call(die if point == "call" else lambda _: None):
        asyncio.run(deploy())


@pytest.mark.parametrize(
    ("beginning", "point"),
    [(each, "step") for each in BEGINNINGS] + [(each, "call") for each in VARIED],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
async def test_killed(matrix: Matrix, beginning: Beginning, point: str) -> None:
    """A process of its own; the kernel keeps what it has written."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "tests.faults.classroom"])
    async with prepared(matrix, beginning) as make:
        at, more = 0, True
        while more:
            room = make()
            what = f"{beginning.name}: killed at {point} {at}"
            with matrix.cell("cache", what):
                process = context.Process(target=deploy_and_die, args=(room.folder, beginning, at, point))
                process.start()
                await asyncio.to_thread(process.join, 300)
                assert process.exitcode in (-signal.SIGKILL, 0)
                more = process.exitcode != 0
                disk = room.folder / "pc/disk"
                with disk.open("rb") as file:
                    file.seek(PARTITION.start)
                    found = file.read(PARTITION.size)
                assert found in (beginning.cell.before, beginning.cell.restored) or not mounts(disk)
                matrix.endings[WELL if found == beginning.cell.restored else CANCELLED] += 1
            await deploy_well(room, beginning, what)
            at += 1
        assert at > LEAST
