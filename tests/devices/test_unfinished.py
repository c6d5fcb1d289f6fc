"""A partition of a real block device says whose restore of it has not finished, and is marked when that was told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from ogagent.disk.real import RealMachine
from ogagent.disk.record import record_of
from ogagent.functions.table import KINDS
from ogagent.jobs.adoption import adopt_unknown
from ogagent.jobs.copies import Copies
from ogagent.jobs.disks import MarkedDisks
from ogagent.jobs.finals import FinalsInJournal
from ogagent.jobs.journal import Journal
from ogagent.model.disk import Disk
from ogagent.model.plan import Target
from ogagent.restore.edges import Edges
from tests.block_devices import block_devices
from tests.content import filled
from tests.devices.conftest import LoopDisk
from tests.jobs.lost_power import MemoryShelf

MIB: Final = 1 << 20
TABLE: Final = "label: gpt\nstart=2048, size=32768, type=linux\nstart=34816, size=8192, type=linux\n"
JOB_ID: Final = "RestaurarImagen-dfa42888"
REQUEST: Final = {"nfn": "RestaurarImagen", "dsk": "1", "par": "1", "idi": "i", "nci": "x", "ifs": "3", "ids": "7"}

Tool = Callable[..., str]


def machine_of(device: str) -> RealMachine:
    return RealMachine([device], block_devices(device))


async def disk_of(machine: RealMachine) -> Disk:
    (disk,) = (await machine.inventory()).disks
    return disk


def target_of(disk: Disk) -> Target:
    part = disk.partitions[0]
    return Target(
        disk=1, partition=1, device=part.device, disk_device=disk.device, identity=disk.identity, start=part.start,
        size=part.size, sector_size=disk.sector_size,
    )  # fmt: skip


def content(folder: Path) -> bytes:
    """Of the file under the loop device: not what the page cache of the device takes for it."""
    return (folder / "loop0.img").read_bytes()


async def test_a_job_that_died_with_the_power(loop_disk: LoopDisk, tool: Tool, tmp_path: Path) -> None:
    device = loop_disk(24 * MIB, TABLE)
    tool("mkfs.ext4", "-q", "-F", f"{device}p1")
    machine = machine_of(device)
    target = target_of(await disk_of(machine))
    record = record_of(target.identity, target.size, REQUEST, job_id=JOB_ID, started="2026-11-24T10:00:00.000Z")
    with machine.open_target(target) as opened:
        Edges(opened, record).wipe(read_back=True)
    before = content(tmp_path)
    journal = Journal.in_memory()
    copies = Copies(journal, machine, MemoryShelf(), KINDS)
    (job,) = await adopt_unknown(journal, MarkedDisks(machine, journal), copies, KINDS, report=True)
    assert job.target is not None
    assert (job.job_id, job.target.device) == (JOB_ID, f"{device}p1")
    ((_, report),) = journal.undelivered()
    assert [row["fsi"] for row in report["cfg"]] == ["", "INCOMPLETE", "EMPTY"]
    assert content(tmp_path) == before, "nothing is written before ogCore knows"
    await FinalsInJournal(journal, copies).delivered(JOB_ID)
    await copies.aclose()
    journal.close()
    after = content(tmp_path)
    changed = [at for at in range(0, len(after), 4096) if after[at : at + 4096] != before[at : at + 4096]]
    assert changed == [target.start + (768 << 10)]
    again = Copies(Journal.in_memory(), machine, MemoryShelf(), KINDS)
    assert await adopt_unknown(again._journal, MarkedDisks(machine, again._journal), again, KINDS, report=True) == []
    again._journal.close()


def disks(device: str, folder: Path, *options: str) -> str:
    others = block_devices(device)
    config = folder / "ogagent.toml"
    config.write_text(f"[disks]\ninclude = {json.dumps([device])}\nexclude = {json.dumps(others)}\n")
    command = [sys.executable, "-m", "ogagent", "disks", "--config", str(config), *options]
    environment = {**os.environ, "COLUMNS": "400"}
    return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout


def test_a_restore_by_hand_that_fails(loop_disk: LoopDisk, tool: Tool, tmp_path: Path) -> None:
    device = loop_disk(24 * MIB, TABLE)
    filesystem, image = tmp_path / "fs.raw", tmp_path / "x.img"
    with filesystem.open("wb") as file:
        file.truncate(16 * MIB)
    tool("mke2fs", "-q", "-F", "-t", "ext4", "-d", filled(tmp_path / "content"), filesystem)
    tool("partclone.ext4", "-c", "-s", filesystem, "-O", image, "-L", tmp_path / "log")
    damaged = bytearray(image.read_bytes())
    damaged[-8000] ^= 1
    (tmp_path / "damaged.img").write_bytes(damaged)

    def restored(name: str) -> int:
        command = [sys.executable, "-m", "ogagent", "restore", str(tmp_path / name), f"{device}p1", "--yes"]
        return subprocess.run(command, capture_output=True, check=False).returncode

    def shown() -> dict[str, Any]:
        (disk,) = json.loads(disks(device, tmp_path, "--json"))["disks"]
        return dict(disk["partitions"][0])

    assert restored("damaged.img") == 1
    assert (shown()["incomplete"], shown()["filesystem"]) == (True, "")
    assert "INCOMPLETE" in disks(device, tmp_path)
    assert restored("x.img") == 0
    assert (shown()["incomplete"], shown()["filesystem"]) == (False, "ext4")
    assert "INCOMPLETE" not in disks(device, tmp_path)
