"""A thousand jobs in a row: none is lost, none doubled, and nothing grows."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from ogagent.jobs.journal import MOST_JOBS

MIB: Final = 1 << 20
MOST_GROWTH: Final = 6 * MIB
"""Of 800 jobs: one that left 8 KiB behind would show."""
WITHOUT_MOODS: Final = {
    "MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "131072", "MALLOC_TRIM_THRESHOLD_": "131072"
}  # fmt: skip
"""mallopt(3). Otherwise glibc makes as many arenas as threads were ever busy at once, and keeps in each what was freed
there: then the load of the machine is measured."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory, as an ogLive's own files are."""
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=memory) as name:
        yield Path(name)


async def test_a_thousand_jobs_leave_nothing_behind(folder: Path, figures: Callable[[str], None]) -> None:
    script = Path(__file__).with_name("thousand_jobs.py")
    pipe, environment = asyncio.subprocess.PIPE, {**os.environ, **WITHOUT_MOODS}
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(script), str(folder), stdout=pipe, stderr=pipe, env=environment
    )
    try:
        out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, err.decode()
    found = json.loads(out)
    figures(
        f"{found['jobs']} jobs in a row: {found['lost']} lost, {found['doubled']} doubled; over the last "
        f"{found['measured']}: memory {found['memory'] / MIB:+.1f} MiB, files {found['files']:+d}, "
        f"threads {found['threads']:+d}"
    )
    assert found["failures"] == []
    assert (found["lost"], found["doubled"], found["true"]) == (0, 0, True)
    assert found["shown"] == MOST_JOBS
    assert found["files"] <= 0
    assert found["threads"] <= 0
    assert found["memory"] < MOST_GROWTH
