"""A thousand jobs in a row: none is lost, none doubled, and nothing grows."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from ogagent.jobs.journal import MOST_JOBS

MIB: Final = 1 << 20
MOST_GROWTH: Final = 6 * MIB
"""Of 800 jobs: one that left 8 KiB behind would show. The allocator's moods are less."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory, as an ogLive's own files are."""
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=memory) as name:
        yield Path(name)


async def test_a_thousand_jobs_leave_nothing_behind(folder: Path, figures: Callable[[str], None]) -> None:
    script = Path(__file__).with_name("thousand_jobs.py")
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(script), str(folder), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
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
