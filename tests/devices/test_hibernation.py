"""Real swap space and real partitions: what sleeps there while another partition of the machine is restored."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Final

import pytest

from ogagent.disk.real import RealMachine
from ogagent.errors import DeviceBusy
from ogagent.functions.configure import Configurar
from ogagent.partition.real import RealTables
from ogagent.restore.job import restore
from ogagent.restore.plan import Rules, plan_restore
from ogagent.restore.progress import Progress
from ogagent.restore.request import RestorePlan, restore_request
from ogagent.source.source import SourcePolicy
from ogagent.system.tls import client_context
from tests.block_devices import block_devices
from tests.devices import test_restore_by_hand as by_hand
from tests.devices.conftest import LoopDisk
from tests.included import first_included

MIB: Final = 1 << 20
UUID: Final = "0b5c7a2e-7a0b-4d5e-8f43-25a4e4c0f7aa"
TABLE: Final = "label: gpt\nsize=16MiB, type=linux\nsize=16MiB, type=swap\nsize=16MiB, type=linux\n"
Tool = Callable[..., str]


@pytest.fixture
def image(tool: Tool, tmp_path: Path) -> Path:
    filesystem, image = tmp_path / "fs", tmp_path / "fs.img"
    with filesystem.open("wb") as file:
        file.truncate(8 * MIB)
    tool("mke2fs", "-q", "-b", "4096", "-t", "ext4", filesystem)
    tool("partclone.ext4", "-c", "-s", filesystem, "-O", image, "-L", tmp_path / "log")
    return image


def sleeping(tool: Tool, device: str) -> bytes:
    """Answers what it was before."""
    tool("mkswap", "-q", "-U", UUID, device)
    plain = content(device)
    write(device, 4086, b"S1SUSPEND\0")
    return plain


def hibernate(tool: Tool, device: str, file: Path) -> None:
    file.write_bytes(b"HIBR" + bytes(8192))
    tool("ntfscp", "-q", device, file, file.name)


def content(device: str) -> bytes:
    return Path(device).read_bytes()


def write(device: str, place: int, data: bytes) -> None:
    with Path(device).open("r+b") as file:
        file.seek(place)
        file.write(data)


async def planned(disks: list[str], image: Path) -> tuple[RestorePlan, RealMachine]:
    excluded = [each for each in block_devices(disks[0]) if each not in disks]
    machine = RealMachine(disks, excluded)
    rules = Rules(repository_url=image.as_uri(), repository_networks=[ip_network("127.0.0.0/8")], cache_required=False)
    call = {"dsk": first_included(), "par": "1", "idi": "1", "nci": "x", "ipr": "127.0.0.1"}
    return plan_restore(restore_request(call), await machine.inventory(), rules), machine


async def restored(disks: list[str], image: Path) -> Progress:
    plan, machine = await planned(disks, image)
    policy = SourcePolicy(tls=client_context("", ""), networks=(), stall_timeout_s=10, retry_for_s=0)
    progress = Progress()
    async with asyncio.timeout(300):
        await restore(plan, machine, policy, progress)
    return progress


@pytest.mark.parametrize("sector_size", [512, 4096])
@pytest.mark.parametrize("elsewhere", [False, True])
async def test_a_linux_does_not_wake_again(
    sector_size: int, elsewhere: bool, loop_disk: LoopDisk, tool: Tool, image: Path
) -> None:
    """On the disk of the partition, and on another one."""
    disks = [loop_disk(64 * MIB, TABLE, sector_size), loop_disk(64 * MIB, TABLE)]
    swap = f"{disks[elsewhere]}p2"
    plain = sleeping(tool, swap)
    progress = await restored(disks, image)
    assert progress.committed
    (warning,) = progress.warnings
    assert warning.startswith(
        f"032-the Linux that is hibernated on partition 2 of disk {first_included() + elsewhere} ({swap})"
    )
    assert content(swap) == plain
    assert tool("blkid", "-p", "-o", "value", "-s", "TYPE", "-s", "UUID", swap).split() == [UUID, "swap"]


async def test_an_excluded_disk_is_left_alone(loop_disk: LoopDisk, tool: Tool, image: Path) -> None:
    one, other = loop_disk(64 * MIB, TABLE), loop_disk(64 * MIB, TABLE)
    sleeping(tool, f"{other}p2")
    before = content(other)
    assert (await restored([one], image)).warnings == []
    assert content(other) == before


async def test_who_holds_it_keeps_the_image_away(loop_disk: LoopDisk, tool: Tool, image: Path) -> None:
    disk = loop_disk(64 * MIB, TABLE)
    sleeping(tool, f"{disk}p2")
    before = content(disk)
    plan, machine = await planned([disk], image)
    policy = SourcePolicy(tls=client_context("", ""), networks=(), stall_timeout_s=10, retry_for_s=0)
    with machine.open_target(plan.suspended[0]), pytest.raises(DeviceBusy) as failure:
        await restore(plan, machine, policy, Progress())
    assert failure.value.number == 3
    assert f"hibernated on partition 2 of disk {first_included()} ({disk}p2)" in failure.value.message
    assert content(disk) == before


async def test_windows_is_told_of(loop_disk: LoopDisk, tool: Tool, image: Path, tmp_path: Path) -> None:
    disk = loop_disk(64 * MIB, TABLE)
    tool("mkfs.ntfs", "-q", "-Q", "-F", f"{disk}p3")
    assert (await restored([disk], image)).warnings == []
    hibernate(tool, f"{disk}p3", tmp_path / "hiberfil.sys")
    before = content(f"{disk}p3")
    progress = await restored([disk], image)
    assert progress.committed
    (warning,) = progress.warnings
    assert warning.startswith(f"032-Windows is hibernated on partition 3 of disk {first_included()} ({disk}p3)")
    assert content(f"{disk}p3") == before


def test_by_hand(loop_disk: LoopDisk, tool: Tool, tmp_path: Path) -> None:
    disk = loop_disk(64 * MIB, TABLE)
    plain = sleeping(tool, f"{disk}p2")
    done = by_hand.restore(tool, tmp_path, f"{disk}p1")
    assert done.returncode == 0, done.stderr
    told = "".join(done.stdout.split("\n"))
    assert told.count("032-the Linux that is hibernated on") == 1
    assert content(f"{disk}p2") == plain


async def test_a_table_that_is_changed_beside_it(loop_disk: LoopDisk, tool: Tool) -> None:
    """Its partition can be held for a moment, though the disk is."""
    device = loop_disk(64 * MIB, TABLE)
    plain = sleeping(tool, f"{device}p2")
    machine = RealMachine([device], [])
    rows = [
        {"ttp": "GPT", "che": "0"},
        {"par": "1", "cpt": "LINUX", "tam": f"{16 << 10}", "ope": "1", "sfi": "EXT4"},
        {"par": "2", "cpt": "LINUX-SWAP", "tam": f"{16 << 10}"},
        {"par": "3", "cpt": "LINUX", "tam": f"{16 << 10}"},
    ]
    order = Configurar(machine, RealTables(), "uefi", reports=False).order({"dsk": first_included(), "cfg": rows})
    work = order.plan(await machine.inventory())
    await work.run()
    assert [warning[:26] for warning in work.progress.warnings] == ["032-the Linux that is hibe"]
    assert content(f"{device}p2") == plain
    tool("e2fsck", "-fn", f"{device}p1")
