"""A program that the kernel keeps, as one that asks a dead disk: it is not started a second time beside the first."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ogagent.errors import ToolFailed
from ogagent.system import process
from ogagent.system.process import run
from tests.devices.conftest import LoopDisk, Mount
from tests.jobs.two_disks import until

MIB = 1 << 20


@contextmanager
def frozen(root: Path, tool: Callable[..., str]) -> Iterator[None]:
    """Whoever writes there waits, and SIGKILL does not end it."""
    tool("fsfreeze", "--freeze", root)
    try:
        yield
    finally:
        tool("fsfreeze", "--unfreeze", root)


def running(path: Path) -> int:
    found = subprocess.run(["pgrep", "-c", "-f", f"^touch {path}$"], capture_output=True, text=True, check=False)
    return int(found.stdout)


async def test_what_cannot_be_killed_is_not_started_again(
    loop_disk: LoopDisk, mount: Mount, tool: Callable[..., str]
) -> None:
    device = loop_disk(16 * MIB)
    tool("mke2fs", "-q", "-t", "ext4", device)
    root = mount(device)
    command = ["touch", str(root / "file")]
    with frozen(root, tool):
        with pytest.raises(ToolFailed, match="touch did not end within"):
            await run(command, timeout_s=3)
        with pytest.raises(ToolFailed, match="an earlier touch does not end"):
            await run(command, timeout_s=60)
        assert running(root / "file") == 1
        assert await run(["true"], timeout_s=60) == b""
        earlier = process._undying[tuple(command)]
    await until(lambda: not process._is_there(earlier))
    assert await run(command, timeout_s=60) == b""
