"""No room for the undo file, a program that is missing, a device that somebody holds: then nothing is changed."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from ogagent.errors import CannotReduce, ToolFailed
from ogagent.resize import reduce_ext
from ogagent.resize.reduce import grow_back, prepare
from ogagent.resize.reduce import reduce as make_smaller
from tests.devices.conftest import LoopDisk
from tests.devices.reducible import blocks, check, files, make
from tests.hidden import without
from tests.mounts import unmount
from tests.resize.movable import run, size_of


@pytest.mark.parametrize("kind", ["ext4", "ntfs"])
async def test_no_room_for_the_undo_file(loop_disk: LoopDisk, tmp_path: Path, kind: str) -> None:
    device, folder = make(loop_disk, tmp_path, kind), tmp_path / "small"
    before = blocks(device)
    folder.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=1M", "none", folder)
    try:
        with pytest.raises(CannotReduce, match=r"has .* free, an undo file may need") as refused:
            await prepare(device, kind, folder, "job1")
    finally:
        unmount(folder)
    assert refused.value.number == 17
    assert blocks(device) == before


@pytest.mark.parametrize("kind", ["ext4", "ntfs"])
async def test_the_room_is_gone_meanwhile(loop_disk: LoopDisk, tmp_path: Path, kind: str) -> None:
    """Somebody else has filled the CACHE."""
    device, folder = make(loop_disk, tmp_path, kind), tmp_path / "small"
    folder.mkdir()
    plan = await prepare(device, kind, folder, "job1")
    before = blocks(device)
    run("mount", "-t", "tmpfs", "-o", "size=64k", "none", folder)
    try:
        with pytest.raises(CannotReduce, match=os.strerror(errno.ENOSPC)):
            await make_smaller(device, plan)
        assert list(folder.iterdir()) == []
    finally:
        unmount(folder)
    assert blocks(device) == before


async def test_more_is_overwritten_than_was_expected(loop_disk: LoopDisk, tmp_path: Path) -> None:
    """The room that was kept is not exceeded, and what is in it is enough for what was written."""
    device, root, folder = make(loop_disk, tmp_path, "ext4"), tmp_path / "looked", tmp_path / "undo"
    before = files(device, "ext4", root)
    folder.mkdir()
    plan = await prepare(device, "ext4", folder, "job1")
    await make_smaller(device, plan)
    needed = Path(plan.undo).stat().st_size  # noqa: ASYNC240
    await grow_back(device, plan)
    for room in range(128 << 10, needed - (256 << 10), (384 << 10) + 5000):
        with pytest.raises(CannotReduce, match="more than there is room to keep"):
            await make_smaller(device, replace(plan, room=room))
        assert size_of(device) == plan.size
        check(device, "ext4")
        assert files(device, "ext4", root) == before
        assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "missing"),
    [
        ("ext4", "e2fsck"),
        ("ext4", "resize2fs"),
        ("ext4", "e2undo"),
        ("ext4", "prlimit"),
        ("ntfs", "ntfsresize"),
        ("ntfs", "ntfsfix"),
    ],
)
def test_a_tool_is_missing(loop_disk: LoopDisk, tmp_path: Path, kind: str, missing: str) -> None:
    device = make(loop_disk, tmp_path, kind)
    script = (
        "import asyncio, sys; from pathlib import Path; from ogagent.resize.reduce import prepare\n"
        "from ogagent.errors import ToolMissing\n"
        "try: asyncio.run(prepare(sys.argv[1], sys.argv[2], Path(sys.argv[3]), 'job1'))\n"
        "except ToolMissing as error: print(error.message, error.hint)"
    )
    command = without(missing, tmp_path, sys.executable, "-c", script)
    done = subprocess.run([*command, device, kind, tmp_path], capture_output=True, text=True, timeout=300, check=False)
    package = "ntfs-3g" if kind == "ntfs" else "util-linux" if missing == "prlimit" else "e2fsprogs"
    assert done.stdout.strip() == f"{missing} is not installed apt install {package}", done.stderr


async def test_somebody_still_has_the_device(loop_disk: LoopDisk, tmp_path: Path) -> None:
    """A program that an agent has left running, say: nothing is written beside it."""
    device = make(loop_disk, tmp_path, "ext4")
    plan = await prepare(device, "ext4", tmp_path, "job1")
    await reduce_ext.shrink(device, Path(plan.undo), plan.room)
    before = blocks(device)
    held = os.open(device, os.O_RDONLY | os.O_EXCL)
    try:
        with pytest.raises(ToolFailed, match=os.strerror(errno.EBUSY)):
            await grow_back(device, plan)
    finally:
        os.close(held)
    assert blocks(device) == before
    await grow_back(device, plan)
    assert size_of(device) == plan.size
