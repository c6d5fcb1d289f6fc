from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from ogagent.functions.table import KINDS
from ogagent.jobs.copies import Copies
from ogagent.jobs.journal import Journal
from tests.jobs.lost_power import Lost, MemoryShelf
from tests.jobs.two_disks import Jobs, Recorder, Restores, TwoDisks, manager


@pytest.fixture
def machine() -> TwoDisks:
    return TwoDisks()


@pytest.fixture
def restores() -> Restores:
    return Restores()


@pytest.fixture
def told() -> Recorder:
    return Recorder()


@pytest.fixture
def journal() -> Iterator[Journal]:
    journal = Journal.in_memory()
    yield journal
    journal.close()


@pytest.fixture
async def jobs(machine: TwoDisks, restores: Restores, told: Recorder, journal: Journal) -> AsyncIterator[Jobs]:
    jobs = manager(machine, restores, told, journal)
    yield jobs
    restores.tidy.set()
    await jobs.aclose()


@pytest.fixture
def lost(tmp_path: Path) -> Lost:
    return Lost(tmp_path)


@pytest.fixture
def shelf() -> MemoryShelf:
    return MemoryShelf()


@pytest.fixture
async def copies(lost: Lost, journal: Journal, shelf: MemoryShelf) -> AsyncIterator[Copies]:
    copies = Copies(journal, lost.machine, shelf, KINDS)
    yield copies
    await copies.aclose()
