"""A file system that is made: who cancels that finds nobody at it."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from ogagent.partition import formats
from tests.jobs.two_disks import until
from tests.threads import at_work_on, leased


async def test_a_cancel_waits_for_who_brings_it_to_the_medium(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is flushed after the partition was emptied again would be half a file system."""
    device, reached, go, program = (tmp_path / name for name in ("device", "reached", "go", "mkswap"))
    device.write_bytes(bytes(1 << 20))
    program.write_text(f"#!/bin/sh\n: > '{reached}'\nuntil [ -e '{go}' ]; do sleep 0.01; done\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    opening = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGIO, opening.set)
    try:
        making = asyncio.create_task(formats.make_filesystem("LINUX-SWAP", str(device), ""))
        await until(reached.exists)
        with leased(device):
            go.touch()
            await opening.wait()
            making.cancel()
            await asyncio.wait([making], timeout=0)
            await asyncio.sleep(0)
            assert not making.done()
            assert at_work_on(formats._flushed)
        with pytest.raises(asyncio.CancelledError):
            await making
        assert not at_work_on(formats._flushed)
    finally:
        loop.remove_signal_handler(signal.SIGIO)
