from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from ogagent.jobs.journal import Journal
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
