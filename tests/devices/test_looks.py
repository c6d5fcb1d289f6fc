"""A look into a restored partition is over when it is: on a loop device."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from ogagent.disk.real import RealMachine
from ogagent.finish.files import Files
from ogagent.finish.place import Volume
from ogagent.finish.real import RealFinisher
from ogagent.resize.resizer import until_free, wait_until_free
from tests.devices.conftest import LoopDisk, bound
from tests.jobs.two_disks import until
from tests.threads import at_work_on

MIB = 1 << 20


@pytest.fixture
def volume(loop_disk: LoopDisk, tool: Any, tmp_path: Path) -> Volume:
    node = loop_disk(34 * MIB, "label: gpt\nstart=1MiB, size=32MiB, type=linux\n") + "p1"
    system = tmp_path / "system"
    (system / "etc").mkdir(parents=True)
    (system / "etc/os-release").write_text("NAME=Linux\n")
    tool("mke2fs", "-q", "-t", "ext4", "-d", system, node)
    return Volume(target=bound(node), filesystem="ext4")


def is_free(volume: Volume) -> bool:
    try:
        os.close(os.open(volume.target.device, os.O_RDONLY | os.O_EXCL))
    except OSError:
        return False
    return True


class Reader:
    """Waits until it is told to go on, then reads."""

    def __init__(self) -> None:
        self.asked, self.go_on = threading.Event(), threading.Event()
        self.found: bytes | OSError | None = None
        self.ended = threading.Event()

    def __call__(self, files: Files) -> None:
        self.asked.set()
        self.go_on.wait()
        try:
            self.found = files.read("etc/os-release")
        except OSError as error:
            self.found = error
        self.ended.set()


async def test_who_is_left_behind_with_the_disk_has_all_it_needs(volume: Volume, tmp_path: Path) -> None:
    """The kernel keeps it, so to speak: the cancel does not wait for ever, and takes nothing away from it."""
    finisher, reader = RealFinisher(RealMachine([], []), tmp_path, uefi=False), Reader()

    async def ask() -> None:
        async with finisher.look(volume) as look:
            await look.ask(reader)

    asking = asyncio.create_task(ask())
    await asyncio.to_thread(reader.asked.wait)
    asking.cancel()
    try:
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert not is_free(volume), "it is still being read"
    finally:
        reader.go_on.set()
    await asyncio.to_thread(reader.ended.wait)
    assert reader.found == b"NAME=Linux\n"
    await until(lambda: is_free(volume))


async def test_who_waits_for_a_device_is_gone_after_a_cancel(volume: Volume) -> None:
    holding = os.open(volume.target.device, os.O_RDONLY | os.O_EXCL)
    try:
        waiting = asyncio.create_task(until_free(volume.target.device))
        await until(lambda: at_work_on(wait_until_free))
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not at_work_on(wait_until_free)
    finally:
        os.close(holding)
