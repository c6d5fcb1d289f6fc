"""A PC as data that boots, with an agent that tells ogCore of its disks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ogagent.disk.machine import Machine
from ogagent.errors import DiskRenumbered
from ogagent.jobs.disks import MarkedDisks
from ogagent.jobs.journal import Journal
from ogagent.jobs.manager import JobManager
from ogagent.jobs.numbers import ToldNumbers
from ogagent.jobs.work import Order
from ogagent.ogcore.outbox import NoOutbox
from ogagent.restore.progress import Progress
from ogagent.restore.request import RestorePlan, RestoreRequest
from ogagent.system.metrics import Metrics
from tests.boots import BootedMachine, computer
from tests.jobs.lost_power import MemoryShelf
from tests.jobs.restoring import RULES, restoring


def request(dsk: int = 1, identity: str = "") -> RestoreRequest:
    return RestoreRequest(dsk=dsk, par=1, idi="i", nci="image-test", ipr="repository", identity=identity)


async def nothing(_plan: RestorePlan, _progress: Progress) -> None: ...


class Agent:
    """From its start at one boot to its end: what it leaves are its journal and what lies on the shelf."""

    def __init__(self, machine: Machine, journal: Journal, shelf: MemoryShelf) -> None:
        self.journal = journal
        self.numbers = ToldNumbers(journal, shelf)
        self.jobs = JobManager(
            disks=MarkedDisks(machine, journal), reporter=NoOutbox(), journal=journal, metrics=Metrics(),
            numbers=self.numbers,
        )  # fmt: skip
        self._function = restoring(machine, RULES, nothing)

    async def tell(self) -> None:
        heard = await self.jobs.telling(await self.jobs.inventory())
        await heard()

    async def target(self, dsk: int = 1, identity: str = "") -> str:
        """Identity of the disk that would be written to. Raises DiskRenumbered."""
        work = await self.jobs.plan(self._order(dsk, identity))
        assert work.target is not None
        return work.target.identity

    def _order(self, dsk: int, identity: str) -> Order:
        return self._function.order_of(request(dsk, identity))

    async def refused(self, dsk: int = 1, identity: str = "") -> DiskRenumbered | None:
        """Nothing that is refused becomes a job, and nothing that is not is planned differently."""
        try:
            await self.target(dsk, identity)
        except DiskRenumbered as refusal:
            with pytest.raises(DiskRenumbered):
                await self.jobs.start(self._order(dsk, identity))
            assert self.jobs.jobs() == []
            return refusal
        return None


class Pc:
    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self.computer = computer(name)
        self.shelf = MemoryShelf()
        self.boots = 0

    @asynccontextmanager
    async def booted(self, number: int, *, state: str = "state") -> AsyncIterator[Agent]:
        """Another ``state``: that of before was lost with the power."""
        self.boots += 1
        machine = BootedMachine(self._folder / f"boot{self.boots}", self.computer.boots[number])
        journal = Journal.open(self._folder / state)
        agent = Agent(machine, journal, self.shelf)
        await agent.numbers.recall()
        yield agent
        await agent.jobs.aclose()
        await agent.numbers.aclose()
        journal.close()

    def disk(self, boot: int, number: int) -> str:
        return self.computer.boots[boot].disks[number - 1]
