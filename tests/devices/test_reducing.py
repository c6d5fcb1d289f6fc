"""File systems on loop devices made smaller and brought back, also when the agent dies with its program."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from ogagent.resize.reduce import Reduction, grow_back, prepare
from ogagent.resize.reduce import reduce as make_smaller
from ogagent.resize.resizer import wait_until_free
from tests.devices.conftest import LoopDisk
from tests.devices.reducible import blocks, but_for_folders, check, files, make
from tests.resize.faulty import Fault, spread
from tests.resize.movable import run, size_of


@pytest.mark.parametrize("kind", ["ext2", "ext3", "ext4", "ntfs"])
async def test_there_and_back(loop_disk: LoopDisk, tmp_path: Path, kind: str) -> None:
    device, root = make(loop_disk, tmp_path, kind), tmp_path / "looked"
    before, folder = files(device, kind, root), tmp_path / "undo"
    folder.mkdir()
    plan = await prepare(device, kind, folder, "job1")
    small = await make_smaller(device, plan)
    assert small == size_of(device) < plan.size * 3 // 4
    check(device, kind)
    assert but_for_folders(files(device, kind, root)) == but_for_folders(before)
    for _ in range(2):
        await grow_back(device, plan)
        assert size_of(device) == plan.size
        check(device, kind)
    assert files(device, kind, root) == before
    assert list(folder.iterdir()) == []


async def test_all_blocks_of_an_ext4_are_where_they_were(loop_disk: LoopDisk, tmp_path: Path) -> None:
    """But for the superblock, which says when it was checked."""
    device = make(loop_disk, tmp_path, "ext4")
    wait_until_free(str(device))
    run("e2fsck", "-fp", device, good=(0, 1))
    before = blocks(device)
    plan = await prepare(device, "ext4", tmp_path, "job1")
    await make_smaller(device, plan)
    assert blocks(device) != before
    await grow_back(device, plan)
    assert blocks(device) == before


# --- the agent dies with its program ------------------------------------------------------------------------------

_AGENT = """
import asyncio, sys, msgspec
from ogagent.resize.reduce import Reduction, reduce
asyncio.run(reduce(sys.argv[1], msgspec.json.decode(sys.argv[2], type=Reduction)))
"""


@pytest.mark.parametrize(("kind", "program"), [("ext4", "resize2fs"), ("ntfs", "ntfsresize")])
async def test_the_agent_is_killed(loop_disk: LoopDisk, tmp_path: Path, kind: str, program: str) -> None:
    device, root = make(loop_disk, tmp_path, kind), tmp_path / "looked"
    before, folder = files(device, kind, root), tmp_path / "undo"
    folder.mkdir()
    plan = await prepare(device, kind, folder, "job1")
    fault = Fault(tmp_path / "bin", program)
    fault.plan(10**9)
    kill_agent(fault, device, plan)
    await grow_back(device, plan)
    deaths = 0
    for at in spread(fault.count, 5):
        fault.plan(at)
        kill_agent(fault, device, plan)
        deaths += fault.reached
        await grow_back(device, plan)
        assert size_of(device) == plan.size
        check(device, kind)
        assert files(device, kind, root) == before
        assert list(folder.iterdir()) == []
    assert deaths >= 5


def kill_agent(fault: Fault, device: str, plan: Reduction) -> None:
    """With the program, which the agent has started in a session of its own."""
    name = Path(fault.real).name
    script = fault.folder / name
    traced = script.read_text().replace("exec ", "")
    if "$PPID" not in traced:
        script.write_text(f"{traced}status=$?\n[ $status -eq 137 ] && kill -9 $PPID\nexit $status\n")
    environment = {**os.environ, "PATH": f"{fault.folder}:{os.environ['PATH']}"}
    command = [sys.executable, "-c", _AGENT, device, msgspec.json.encode(plan).decode()]
    done = subprocess.run(command, env=environment, capture_output=True, timeout=300, check=False)
    assert done.returncode == (-signal.SIGKILL if fault.reached else 0), done.stderr.decode()
