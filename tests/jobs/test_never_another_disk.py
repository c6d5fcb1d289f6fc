"""Whenever the agent dies, no request is let through that ogCore means for another disk."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from ogagent.errors import DiskRenumbered
from ogagent.jobs.journal import Journal
from ogagent.jobs.numbers import ToldNumbers
from ogagent.jobs.work import Claims
from ogagent.model.disk import Disk, Inventory

ARRANGEMENTS: tuple[dict[int, str], ...] = (
    {1: "a", 2: "b"},
    {1: "b", 2: "a"},
    {1: "a"},
    {1: "b"},
    {1: "c", 2: "a", 3: "b"},
    {},
)


class Step(Struct, frozen=True):
    """The PC boots with these disks, and tells of them; ``end``: how far that comes."""

    numbers: dict[int, str]
    end: str


STEPS = st.builds(Step, st.sampled_from(ARRANGEMENTS), st.sampled_from(["untold", "lost", "unnoticed", "told"]))


def inventory_of(numbers: dict[int, str]) -> Inventory:
    disks = (
        Disk(disk=number, device="", identity=identity, model="", size=1, sector_size=512, table=None)
        for number, identity in numbers.items()
    )
    return Inventory(disks=tuple(disks))


async def boot(journal: Journal, step: Step, believed: dict[int, str]) -> None:
    """``believed`` is what ogCore does, which takes in what it is told. Never is a request let through that it means
    for another disk.
    """
    numbers = ToldNumbers(journal)
    await numbers.recall()
    inventory = inventory_of(step.numbers)

    def check() -> None:
        for number, identity in step.numbers.items():
            try:
                numbers.refuse_renumbered(Claims(disks={step.numbers[number]: number}), inventory)
            except DiskRenumbered:
                continue
            assert believed.get(number, identity) == identity

    check()
    if step.end == "untold":
        return
    heard = await numbers.telling(inventory)
    check()
    if step.end != "lost":
        moved = set(step.numbers.values())
        kept = {number: disk for number, disk in believed.items() if disk not in moved}
        believed.clear()
        believed.update(kept | step.numbers)
        check()
    if step.end == "told":
        await heard()
        check()
        for number in step.numbers:
            numbers.refuse_renumbered(Claims(disks={step.numbers[number]: number}), inventory)
    await numbers.aclose()


@given(steps=st.lists(STEPS, max_size=12))
def test_never_another_disk_than_ogcore_means(steps: list[Step]) -> None:
    async def live() -> None:
        journal = Journal.in_memory()
        believed: dict[int, str] = {}
        for step in steps:
            await boot(journal, step, believed)
        journal.close()

    asyncio.run(live())
