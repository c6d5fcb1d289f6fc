"""``disks.exclude``: what it names is written to by nobody, whatever becomes of its name."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Final

import pytest

from ogagent.disk.cache import MountedCache
from ogagent.disk.excluded import Exclusions
from ogagent.disk.real import RealMachine
from ogagent.errors import CacheError, DiskNotFound, SettingsError, TargetIsCache, TargetIsSystem
from ogagent.model.disk import PROTECTED, Disk
from ogagent.model.plan import bound
from ogagent.restore.plan import Rules, plan_restore
from ogagent.restore.request import RestorePlan, restore_request
from tests.block_devices import forget_partitions
from tests.devices.conftest import LoopDisk
from tests.included import first_included

MIB: Final = 1 << 20
TABLE: Final = "label: gpt\n1: size=16M, type=linux\n2: size=16M, type=linux\n4: size=16M, type=linux, name=CACHE\n"
LOGICAL: Final = "label: dos\n1: size=8M, type=83\n2: size=40M, type=5\n5: size=8M, type=83\n6: size=8M, type=83\n"
RULES: Final = Rules(repository_url="file:///x", repository_networks=[ip_network("127.0.0.0/8")], cache_required=True)
Tool = Callable[..., str]


async def plan(machine: RealMachine, disk: int, partition: int) -> RestorePlan:
    call = {"dsk": disk, "par": partition, "idi": "1", "nci": "x", "ipr": "127.0.0.1"}
    return plan_restore(restore_request(call), await machine.inventory(), RULES)


async def loops(machine: RealMachine) -> dict[int, Disk]:
    return {disk.disk: disk for disk in (await machine.inventory()).disks if disk.device.startswith("/dev/loop")}


async def problems(include: str, *exclude: str) -> dict[int, str]:
    (disk,) = (await loops(RealMachine([include], exclude))).values()
    return {part.partition: part.problem for part in disk.partitions}


# --- disks --------------------------------------------------------------------------------------------------------


async def test_a_disk_that_is_left_out_keeps_its_number(loop_disk: LoopDisk) -> None:
    first, second, third = (loop_disk(64 * MIB, TABLE) for _ in range(3))
    machine = RealMachine([first, second, third], [second])
    number = first_included()
    assert {each: disk.device for each, disk in (await loops(machine)).items()} == {number: first, number + 2: third}
    with pytest.raises(DiskNotFound):
        await plan(machine, number + 1, 1)
    assert (await plan(machine, number + 2, 1)).target.device == f"{third}p1"


async def test_nothing_opens_a_disk_that_is_left_out(loop_disk: LoopDisk) -> None:
    """Not even for a job that was accepted before."""
    device = loop_disk(64 * MIB, TABLE)
    target = (await plan(RealMachine([device], []), first_included(), 1)).target
    with pytest.raises(TargetIsSystem), RealMachine([device], [device]).open_target(target):
        pass


async def test_a_name_that_goes_and_one_that_moves_on(loop_disk: LoopDisk, tmp_path: Path) -> None:
    first, second, third = (loop_disk(64 * MIB) for _ in range(3))
    link, number = tmp_path / "link", first_included()
    link.symlink_to(first)
    machine = RealMachine([first, second, third], [str(link)])
    assert list(await loops(machine)) == [number + 1, number + 2]
    link.unlink()
    assert list(await loops(machine)) == [number + 1, number + 2]
    link.symlink_to(second)
    assert list(await loops(machine)) == [number + 2], "what it names now, and what it named at the start"


# --- partitions ---------------------------------------------------------------------------------------------------


async def test_a_partition_alone(loop_disk: LoopDisk, tmp_path: Path) -> None:
    device = loop_disk(64 * MIB, TABLE)
    target = (await plan(RealMachine([device], []), first_included(), 2)).target
    link = tmp_path / "link"
    link.symlink_to(f"{device}p2")
    machine = RealMachine([device], [str(link)])
    link.unlink()
    (disk,) = (await loops(machine)).values()
    assert {part.partition: part.problem for part in disk.partitions} == {1: "", 2: PROTECTED, 4: ""}
    assert (await plan(machine, disk.disk, 1)).target.problem == ""
    with pytest.raises(TargetIsSystem, match=re.escape(PROTECTED)) as refusal:
        await plan(machine, disk.disk, 2)
    assert refusal.value.status == 409
    with pytest.raises(TargetIsSystem, match=re.escape(PROTECTED)), machine.open_target(target):
        pass
    with machine.open_target((await plan(machine, disk.disk, 1)).target):
        pass


async def test_logical_partitions(loop_disk: LoopDisk) -> None:
    """Who names the extended one means what is in it; who names a logical one protects the room around it as well."""
    device = loop_disk(64 * MIB, LOGICAL)
    assert await problems(device, f"{device}p5") == {1: "", 2: PROTECTED, 5: PROTECTED, 6: ""}
    assert await problems(device, f"{device}p2") == {1: "", 2: PROTECTED, 5: PROTECTED, 6: PROTECTED}


async def test_a_cache_that_must_not_be_touched_is_not_used(loop_disk: LoopDisk, tool: Tool, tmp_path: Path) -> None:
    device = loop_disk(64 * MIB, TABLE)
    tool("mke2fs", "-q", "-t", "ext4", "-L", "CACHE", f"{device}p4")
    machine = RealMachine([device], [f"{device}p4"])
    cache = (await plan(machine, first_included(), 1)).cache
    assert cache is not None
    store = MountedCache(tmp_path / "cache")
    with pytest.raises(CacheError, match=re.escape(PROTECTED)):
        async with store.mounted(cache):
            pass
    with pytest.raises(TargetIsCache):
        await plan(machine, first_included(), 4)


async def test_a_table_that_was_made_anew(loop_disk: LoopDisk, tool: Tool) -> None:
    """The bytes that were named at the start are protected, whichever partition they belong to."""
    device = loop_disk(64 * MIB, TABLE)
    machine = RealMachine([device], [f"{device}p2"])
    forget_partitions(device)
    tool("sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", device, stdin="label: gpt\n1: size=8M\n2: size=30M\n")
    (disk,) = (each for each in (await machine.inventory()).disks if each.device == device)
    assert [part.problem for part in disk.partitions] == ["", PROTECTED]
    assert bound(disk, disk.partitions[1]).problem == PROTECTED


# --- what is not there --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["/dev/sdx9", "/dev/disk/by-id/wwn-0x0", "/dev/null", "/tmp"])
def test_a_path_that_is_no_block_device(name: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(f"disks.exclude: {name} is no block device")):
        Exclusions([name])


def ogagent(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ogagent", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


def configured(folder: Path, *exclude: str) -> Path:
    file = folder / "ogagent.toml"
    file.write_text(f"[disks]\nexclude = {json.dumps(exclude)}\n[state]\ndir = {json.dumps(str(folder / 'state'))}\n")
    return file


@pytest.mark.parametrize("command", [("serve",), ("disks",), ("plan", "{}"), ("restore", "image", "target", "--yes")])
def test_nothing_starts_with_a_name_that_protects_nothing(tmp_path: Path, command: tuple[str, ...]) -> None:
    name, *rest = command
    done = ogagent(name, "--config", configured(tmp_path, "/dev/sda3-typing-error"), *rest)
    assert done.returncode == 78
    assert done.stderr.startswith("ogagent: disks.exclude: /dev/sda3-typing-error is no block device")
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "state").exists()


# --- ogagent restore ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "excluded", "told"),
    [
        ("p2", "p2", f"p2: {PROTECTED} (choose another partition, or see the agent's configuration)"),
        ("p1", "", "p1 is protected: disks.exclude names DISK (choose another one, or see the agent's configuration)"),
    ],
)
def test_a_restore_by_hand_goes_by_it(loop_disk: LoopDisk, tmp_path: Path, part: str, excluded: str, told: str) -> None:
    device = loop_disk(64 * MIB, TABLE)
    (tmp_path / "x.img").write_bytes(bytes(4096))
    config = configured(tmp_path, f"{device}{excluded}")
    done = ogagent("restore", "--config", config, "--yes", tmp_path / "x.img", f"{device}{part}")
    assert (done.returncode, done.stderr) == (1, f"ogagent: {device}{told.replace('DISK', device)}\n")


def test_a_whole_disk_by_hand(loop_disk: LoopDisk, tmp_path: Path) -> None:
    device = loop_disk(16 * MIB)
    (tmp_path / "x.img").write_bytes(bytes(4096))
    done = ogagent("restore", "--config", configured(tmp_path, device), "--yes", tmp_path / "x.img", device)
    assert done.returncode == 1
    assert f"{device} is protected: disks.exclude names {device}" in done.stderr


def test_a_neighbour_by_hand(loop_disk: LoopDisk, tool: Tool, tmp_path: Path) -> None:
    device = loop_disk(64 * MIB, TABLE)
    raw = tmp_path / "x.img"
    with raw.open("wb") as file:
        file.truncate(8 * MIB)
    tool("mke2fs", "-q", "-F", "-t", "ext4", raw)
    done = ogagent("restore", "--config", configured(tmp_path, f"{device}p2"), "--yes", raw, f"{device}p1")
    assert done.returncode == 0, done.stderr
    tool("e2fsck", "-fn", f"{device}p1")


@pytest.mark.parametrize("excluded", ["p2", ""])
def test_a_model_that_is_protected_is_not_made_smaller(
    loop_disk: LoopDisk, tool: Tool, tmp_path: Path, excluded: str
) -> None:
    """For its image; without that it is read, and stays as it is."""
    device = loop_disk(64 * MIB, TABLE)
    tool("mke2fs", "-q", "-F", "-t", "ext4", f"{device}p2")
    before = Path(f"{device}p2").read_bytes()
    command = ("capture", "--config", configured(tmp_path, f"{device}{excluded}"), f"{device}p2", tmp_path / "x.img")
    done = ogagent(*command, "--reduce")
    assert (done.returncode, f"{device}p2: {PROTECTED}" in done.stderr) == (1, True)
    assert not (tmp_path / "x.img").exists()
    assert ogagent(*command).returncode == 0
    assert Path(f"{device}p2").read_bytes() == before
