"""An agent that is killed while it writes a table: the next one completes or undoes it."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import shutil
import signal
from pathlib import Path
from typing import Final

import msgspec
import pytest

from ogagent.disk.machine import Device
from ogagent.model.units import MIB
from ogagent.partition.change import TableChange
from ogagent.partition.layout import plan_table
from ogagent.partition.plan import TablePlan
from ogagent.partition.writer import prepare, write
from tests.partition.disks import asked, rows
from tests.partition.judges import disk_of, opened, run, sgdisk_is_content, table_by_sfdisk

SIZE: Final = 40 * MIB
OLD: Final = "label: gpt\nsize=8MiB, type=uefi\nsize=12MiB\n"
NEW: Final = rows((1, "EFI", 8), (2, "LINUX", 14))


class Deadly:
    """A device under whose hands the process dies at an operation."""

    def __init__(self, device: Device, at: int) -> None:
        self._device = device
        self._left = at
        self.size = device.size
        self.zero = device.zero
        self.read_back = device.read_back

    def write(self, offset: int, data: memoryview) -> None:
        self._count()
        self._device.write(offset, data)

    def flush(self) -> None:
        self._count()
        self._device.flush()

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            os.kill(os.getpid(), signal.SIGKILL)


def agent(disk: Path, plan: TablePlan, journal: Path, at: int) -> None:
    with opened(disk) as device:
        change = prepare(device, plan)
        journal.write_bytes(msgspec.json.encode(change))
        write(Deadly(device, at), plan, change)


@pytest.fixture(scope="module")
def old_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    disk = tmp_path_factory.mktemp("old") / "disk"
    with disk.open("xb") as file:
        file.truncate(SIZE)
    run("sfdisk", "--quiet", disk, stdin=OLD)
    return disk


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_killed_at_every_operation(old_disk: Path, tmp_path: Path) -> None:
    disk, journal = tmp_path / "disk", tmp_path / "journal"
    old = table_by_sfdisk(old_disk)
    seen = set()
    for at in range(100):
        shutil.copy(old_disk, disk)
        plan = plan_table(asked(NEW), asyncio.run(disk_of(disk)), "uefi")
        process = multiprocessing.get_context("fork").Process(target=agent, args=(disk, plan, journal, at))
        process.start()
        process.join()
        change = msgspec.json.decode(journal.read_bytes(), type=TableChange)
        with opened(disk) as device:
            settled = change.settle(device)
        table = table_by_sfdisk(disk)
        assert table is not None
        assert (table == old) == (settled == "old")
        assert [row.size for row in table[1].values()] == [8 << 11, (12 if settled == "old" else 14) << 11]
        sgdisk_is_content(disk)
        seen.add(settled)
        if process.exitcode == 0:
            break
    else:
        pytest.fail("it never came to its end")
    assert seen == {"old", "new"}
