"""What goes wrong while a partition is made ready, and a cancel: what is told, and what stays behind."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from shlex import quote
from typing import Any

import pytest

from ogagent.errors import FinishError, NotReady
from ogagent.finish.finish import make_ready
from ogagent.finish.hook import Job
from ogagent.finish.real import _mount
from ogagent.model.progress import JobProgress, NoBooks
from ogagent.model.units import MIB
from ogagent.settings import FinishSettings
from tests.devices.conftest import LoopDisk
from tests.devices.test_finishing import GPT, Target, states
from tests.jobs.two_disks import until

Tool = Any


class Noting(NoBooks):
    """Keeps what is noted."""

    def __init__(self) -> None:
        self.notes: list[bytes] = []

    def noting(self, note: bytes) -> None:
        self.notes.append(note)


async def test_a_step_that_fails_names_itself_and_the_next_attempt_goes_on(
    loop_disk: LoopDisk, tool: Tool, tmp_path: Path
) -> None:
    target = Target(loop_disk(280 * MIB, GPT), 2, tmp_path, tool)
    target.fill()
    hook = tmp_path / "hook"
    hook.write_text('#!/bin/sh\ncat > "$OGAGENT_ROOT/told"\necho "$@" >> "$OGAGENT_ROOT/told"\nexit 3\n')
    hook.chmod(0o755)
    finisher, place = await target.place()
    settings, books = FinishSettings(boot=False, hook=str(hook)), Noting()
    progress = JobProgress(books=books)
    job = Job(job_id="RestaurarImagen-1", request={"ipr": "192.168.2.1", "nci": "base"})
    with pytest.raises(FinishError, match="hook: hook failed with status 3") as caught:
        await make_ready(finisher, place, settings, job, progress)
    assert caught.value.number == 94
    assert states(progress)["hook"] == "failed"
    hook.write_text(hook.read_text().replace("exit 3", "exit 0"))
    again = JobProgress(books=books)
    await make_ready(finisher, place, settings, job, again, books.notes[-1])
    assert states(again)["host keys"] == "done"
    assert all(step.seconds < 0.5 or step.name == "hook" for step in again.steps)
    said = tool("debugfs", "-R", "cat /told", target.node)
    assert '"job_id":"RestaurarImagen-1"' in said
    assert "1 2 192.168.2.1 base" in said.replace(f"{place.target.disk} 2", "1 2")
    assert b"ssh_host" not in books.notes[-1]


async def test_a_kernel_without_the_driver(loop_disk: LoopDisk, tool: Tool, tmp_path: Path) -> None:
    target = Target(loop_disk(280 * MIB, GPT), 2, tmp_path, tool)
    with pytest.raises(NotReady, match=f"{target.node} .*no driver nofs"):
        _mount("nofs", target.node, (), tmp_path)


async def test_a_failure_may_be_a_warning(loop_disk: LoopDisk, tool: Tool, tmp_path: Path) -> None:
    target = Target(loop_disk(280 * MIB, GPT), 2, tmp_path, tool)
    target.fill()
    finisher, place = await target.place()
    progress = JobProgress()
    settings = FinishSettings(boot=False, hook=str(tmp_path / "none"), on_failure="warn")
    await make_ready(finisher, place, settings, Job(), progress)
    assert [warning[:10] for warning in progress.warnings] == ["094-hook: "]


async def test_a_cancel_ends_it_and_nothing_stays_mounted(loop_disk: LoopDisk, tool: Tool, tmp_path: Path) -> None:
    target = Target(loop_disk(280 * MIB, GPT), 2, tmp_path, tool)
    target.fill()
    hook, runs = tmp_path / "hook", tmp_path / "runs"
    hook.write_text(f"#!/bin/sh\ntouch {quote(str(runs))}\nexec sleep 1000\n")
    hook.chmod(0o755)
    finisher, place = await target.place()
    settings = FinishSettings(boot=False, hook=str(hook), hook_timeout_s=1000)
    work = asyncio.create_task(make_ready(finisher, place, settings, Job(), JobProgress()))
    await until(runs.exists)
    with pytest.raises(OSError, match="busy"):
        os.open(target.node, os.O_RDONLY | os.O_EXCL)
    assert target.node not in tool("cat", "/proc/self/mounts")
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    os.close(os.open(target.node, os.O_RDONLY | os.O_EXCL))
    tool("e2fsck", "-fn", target.node)
    assert list((tmp_path / "state").iterdir()) == []
