"""A CACHE that fails or never answers, at any point: no deployment fails for it, and the next one puts all right."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from typing import Final

import pytest

from tests.faults.audited import before_each_call
from tests.faults.bench import Matrix
from tests.faults.classroom import BEGINNINGS, LEAST, VARIED, Beginning, Stepping, deploy_well, prepared

EACH: Final = pytest.mark.parametrize("beginning", BEGINNINGS, ids=lambda beginning: beginning.name)


@EACH
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC], ids=["EIO", "ENOSPC"])
async def test_whatever_fails(matrix: Matrix, beginning: Beginning, number: int) -> None:
    """A single time, or, for a lack of room, from then on."""
    async with prepared(matrix, beginning) as make:
        at, done = 0, False
        while not done:
            room = make()

            def fail(step: int, at: int = at) -> None:
                if step == at or (step > at and number == errno.ENOSPC):
                    raise OSError(number, os.strerror(number))

            room.cache.thread = steps = Stepping(fail)
            what = f"{beginning.name}: {errno.errorcode[number]} at {at}"
            await room.deploy(beginning.cell, what)
            assert set(room.warned) <= {"031", "016"}
            done = steps.count <= at
            room.cache.thread = Stepping()
            await deploy_well(room, beginning, what)
            at += 1
        assert at > LEAST


@pytest.mark.parametrize("beginning", VARIED, ids=lambda beginning: beginning.name)
async def test_whatever_call_fails(matrix: Matrix, beginning: Beginning) -> None:
    """In the middle of what is done there."""
    async with prepared(matrix, beginning) as make:
        at, done = 0, False
        while not done:
            room = make()

            def fail(call: int, at: int = at) -> None:
                if call == at:
                    raise OSError(errno.EIO, "at this call")

            what = f"{beginning.name}: EIO at call {at}"
            with before_each_call(fail) as calls:
                await room.deploy(beginning.cell, what)
            assert set(room.warned) <= {"031"}
            done = calls[0] <= at
            await deploy_well(room, beginning, what)
            at += 1
        assert at > LEAST


@EACH
async def test_whatever_never_answers(matrix: Matrix, beginning: Beginning) -> None:
    """Neither this job nor the next one waits for it, and it is used again when it has answered."""
    async with prepared(matrix, beginning) as make:
        at, done = 0, False
        while not done:
            room = make()
            answer = threading.Event()

            def hang(step: int, at: int = at, answer: threading.Event = answer) -> None:
                if step == at:
                    answer.wait()

            room.cache.thread = steps = Stepping(hang, patience_s=0.3)
            what = f"{beginning.name}: no answer at {at}"
            try:
                await asyncio.wait_for(room.deploy(beginning.cell, what, stuck=True), 300)
                done = steps.count <= at
                if not done:
                    assert steps.stuck
                    assert room.warned == ["031"]
                    await asyncio.wait_for(room.deploy(beginning.cell, what, stuck=True), 300)
                    assert room.warned == ["031"]
            finally:
                answer.set()
            await steps.come_back()
            room.cache.thread = Stepping()
            await deploy_well(room, beginning, what)
            at += 1
