"""The power goes while a PC is made ready, at ten moments, and comes back: in the end the PC is ready."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.machine.call import Agent
from tests.machine.checks import Case, Facts, judged, table
from tests.machine.classroom import AGENT_IS_UP, Classroom, classroom, together
from tests.machine.pcs import CLASSROOMS, Target
from tests.machine.store import Store
from tests.machine.vm import PATIENCE_S, PC
from tests.steps import Steps

pytestmark = [pytest.mark.xdist_group("machines"), pytest.mark.timeout(3600)]

_MOMENTS: Final = ((1, 25, 90, 300, 800), (5, 50, 150, 500, 850))
"""For each PC: writes to its disk since it began to be made ready, or since it was switched on again."""
_ENDED: Final = r"\[RestaurarImagen-\w+\] .*\b(succeeded|failed|cancelled|interrupted)\b"
_LOOK_S: Final = 0.005


async def test_it_ends_ready(
    tmp_path: Path, store: Store, steps: Steps, show: Callable[[str, list[str]], None]
) -> None:
    began, targets = time.monotonic(), CLASSROOMS["bios"]
    async with classroom(tmp_path, store, targets, steps) as room:
        cuts = await together(cut_and_cut(room, *each) for each in zip(targets, _MOMENTS, strict=True))
        found = await room.alone(targets)
    verdicts = {
        target.name: judged(case_of(target, facts, found)) for target, facts in zip(targets, found, strict=True)
    }
    show(
        f"power cuts, {time.monotonic() - began:.0f} s", [*(line for lines in cuts for line in lines), *table(verdicts)]
    )
    assert not [f"{pc}: {each.name} ({each.value})" for pc in verdicts for each in verdicts[pc] if not each.holds]


async def cut_and_cut(room: Classroom, target: Target, moments: tuple[int, ...]) -> list[str]:
    """What happened, for people."""
    cuts = [await cut(room, target, moment) for moment in moments]
    async with room.live(target) as (_pc, agent):
        jobs = (await agent.ask("/jobs"))["jobs"]
    assert {job["state"] for job in jobs} == {"succeeded"}, jobs
    return [*cuts, f"{target.name}: jobs that succeeded: {len(jobs)}"]


async def cut(room: Classroom, target: Target, moment: int) -> str:
    """While what an earlier cut has left is brought to its end; if that is over too soon, of a job that begins now."""
    with room.steps.step(target.name, f"loses its power at write {moment}"):
        return await _cut(room, target, moment)


async def _cut(room: Classroom, target: Target, moment: int) -> str:
    async with room.started(target) as pc:
        left = await writes(pc, target, moment, AGENT_IS_UP)
        if left >= moment:
            pc.cut()
            return f"{target.name}: cut after write {left}, in what the cut before has left"
        async with room.agent(target) as agent:
            await finishing(agent, await room.restoring(target, agent))
            before, ended = await pc.monitor.writes(drive(target)), pc.count(_ENDED)
            made = await writes(pc, target, before + moment, _ENDED, ended) - before
            pc.cut()
    assert made >= moment, f"{target.name} was ready after {made} writes"
    return f"{target.name}: cut after write {made} of a job"


async def finishing(agent: Agent, job_id: str) -> None:
    """Waits until it has come so far."""
    async for job in agent.changes(job_id):
        assert job["state"] == "running", job
        if job["phase"] == "finishing":
            return


async def writes(pc: PC, target: Target, enough: int, over: str, earlier: int = 0) -> int:
    """As many as there are when there are ``enough``, or when the console has said ``over`` once more."""
    async with asyncio.timeout(PATIENCE_S):
        while (count := await pc.monitor.writes(drive(target))) < enough and pc.count(over) <= earlier:  # noqa: ASYNC110 - QEMU is asked
            await asyncio.sleep(_LOOK_S)
    return count


def drive(target: Target) -> str:
    disk, _ = target.system
    return f"drive{target.disks.index(disk)}"


def case_of(target: Target, facts: Facts, found: list[Facts]) -> Case:
    others = [other for other in found if other is not facts]
    return Case(facts=facts, others=others, swap=target.has("swap"), esp=target.has("esp"))
