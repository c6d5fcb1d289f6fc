"""The inventories of this very machine, and of a system on a loop device."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from ogagent.disk.real import RealMachine
from ogagent.errors import DiskChanged
from ogagent.functions.insight import RealInsight
from ogagent.model.hardware import hardware_text
from ogagent.model.plan import bound
from tests.devices.conftest import LoopDisk
from tests.devices.test_read_only import MIB, digest, mounted
from tests.software.systems import debian
from tests.software.test_linux import NAME


async def test_hardware(tmp_path: Path) -> None:
    lines = hardware_text(await RealInsight(tmp_path).hardware()).splitlines()
    assert [line.partition("=")[0] for line in lines[:2]] == ["cha", "boo"]
    assert any(line.startswith("cpu=") for line in lines)


async def test_software(loop_disk: LoopDisk, tool: Callable[..., str], tmp_path: Path) -> None:
    device = loop_disk(64 * MIB, "label: gpt\n1: size=32M, type=linux\n")
    tool("mke2fs", "-q", "-t", "ext4", f"{device}p1")
    with mounted(f"{device}p1", tmp_path / "mnt"):
        debian(tmp_path / "mnt")
    before = digest(device)
    (disk,) = (each for each in (await RealMachine([device], []).inventory()).disks if each.device == device)
    target, insight = bound(disk, disk.partitions[0]), RealInsight(tmp_path)
    found = await insight.software(target, disk.partitions[0].filesystem)
    assert (found.system, len(found.packages)) == (NAME, 2)
    with pytest.raises(DiskChanged):
        await insight.software(replace(target, identity="serial:another"), "ext4")
    assert digest(device) == before
