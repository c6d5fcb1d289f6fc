"""Real systems, deployed by an agent under its own unit, start alone from other disks and are PCs of their own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from tests.machine.checks import Case, Facts, is_of_its_model, judged, table
from tests.machine.classroom import UNICAST, Classroom, classroom, together
from tests.machine.pcs import CLASSROOMS, Target
from tests.machine.store import Store
from tests.steps import Steps

IN_ONE_SESSION: Final = ("bios",)
"""These classrooms get their image by multicast; the others each PC for itself."""
NETWORKED: Final = ("uefi",)
"""These start the ogLive from the network, as ogBoot serves it, and at ogCore's word what they have been given."""

pytestmark = [pytest.mark.xdist_group("machines"), pytest.mark.timeout(3600)]


@pytest.mark.parametrize("name", CLASSROOMS)
async def test_each_is_a_pc_of_its_own(
    name: str, tmp_path: Path, store: Store, steps: Steps, show: Callable[[str, list[str]], None]
) -> None:
    began, targets = time.monotonic(), CLASSROOMS[name]
    async with classroom(tmp_path, store, targets, steps, networked=name in NETWORKED) as room:
        if name in IN_ONE_SESSION:
            async with room.together(targets) as method:
                jobs = await together(deployed(room, target, method) for target in targets)
            assert any(job["sources"]["multicast"] for job in jobs), "an emulated PC is slow, and may leave; not all"
        else:
            await together(deployed(room, target, UNICAST) for target in targets)
        model, found = await asyncio.gather(room.model(targets[0].model), room.alone(targets))
    verdicts = {model.name: judged(Case(facts=model, swap=True, esp=targets[0].firmware == "uefi"))}
    for target, facts in zip(targets, found, strict=True):
        verdicts[target.name] = judged(case_of(target, facts, model, found))
        assert facts.dead or is_of_its_model(target.model, facts), facts.one("root")
    days = [f"{facts.name} told ogCore: {', '.join(facts.day)}" for facts in found if facts.day]
    show(f"machines: {name}, {time.monotonic() - began:.0f} s", [*table(verdicts), *days])
    assert not [f"{pc}: {each.name} ({each.value})" for pc in verdicts for each in verdicts[pc] if not each.holds]


async def deployed(room: Classroom, target: Target, method: str) -> dict[str, Any]:
    """The power goes as soon as the job has ended: what it says is on the disk has to be there. Where the network comes
    first, the PC has to be told what to start next.
    """
    async with room.live(target) as (pc, agent):
        with room.steps.step(target.name, "gets its image and is made ready"):
            job = await agent.ended(await room.restoring(target, agent, method))
        assert job["state"] == "succeeded", job
        if room.networked:
            with room.steps.step(target.name, "goes down, to start it"):
                await room.starting(target, agent)
                await pc.switches_off()  # QEMU ends where the firmware would begin once more
    assert method != UNICAST or not job["sources"]["multicast"], job
    return job


def case_of(target: Target, facts: Facts, model: Facts, all_of_them: list[Facts]) -> Case:
    others = [other for other in all_of_them if other is not facts]
    return Case(
        facts=facts, model=model, others=others, swap=target.has("swap"), esp=target.has("esp"),
        agent=target.model.has_agent,
    )  # fmt: skip
