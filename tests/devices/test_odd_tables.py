"""Loop devices with tables that cannot be true, or are none of ours: told as what they are, and never written to."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from ogagent.disk.cache import MountedCache
from ogagent.disk.real import RealMachine
from ogagent.errors import CacheError, DiskNotPartitioned, PartitionInUse, PartitionOverlaps, Refusal
from ogagent.model.disk import OLDER_TABLE, Disk, Partition
from ogagent.model.plan import Target, bound
from ogagent.restore.plan import Rules, plan_restore
from ogagent.restore.request import restore_request
from simulator.machine.gpt import LINUX_FILESYSTEM, Entry, write_table
from simulator.machine.mbr import MbrEntry, write_mbr
from tests.block_devices import block_devices, forget_partitions
from tests.included import first_included

MIB = 1 << 20
SIZE = 64 * MIB
LoopDisk = Callable[..., str]
Tool = Callable[..., str]
RULES = Rules(repository_url="file:///x.img", repository_networks=[ip_network("127.0.0.0/8")], cache_required=False)


def machine(device: str) -> RealMachine:
    return RealMachine([device], block_devices(device))


async def read(device: str) -> Disk:
    (disk,) = (await machine(device).inventory()).disks
    return disk


async def planned(device: str, partition: int, **members: str) -> Target:
    inventory = await machine(device).inventory()
    (disk,) = inventory.disks
    call = {"dsk": disk.disk, "par": str(partition), "idi": "1", "nci": "x", "ipr": "127.0.0.1", **members}
    return plan_restore(restore_request(call), inventory, RULES).target


def parts(disk: Disk) -> dict[int, Partition]:
    return {part.partition: part for part in disk.partitions}


def row(number: int, first: int, end: int, kind: int = 0x83) -> MbrEntry:
    return MbrEntry(number=number, start=first * MIB, size=(end - first) * MIB, type=kind)


def entry(number: int, first: int, end: int, name: str = "") -> Entry:
    return Entry(number=number, start=first * MIB, size=(end - first) * MIB, type=LINUX_FILESYSTEM, name=name)


def write(device: str, place: int, data: bytes) -> None:
    with Path(device).open("r+b") as file:
        file.seek(place)
        file.write(data)


def write_msdos(device: str, *rows: MbrEntry) -> None:
    with Path(device).open("r+b") as file:
        write_mbr(file, rows)


def write_gpt(device: str, *entries: Entry) -> None:
    with Path(device).open("r+b") as file:
        write_table(file, SIZE, entries)


# --- disks that are not partitioned for us ------------------------------------------------------------------------

WHOLE: dict[str, tuple[str, ...]] = {
    "another kind (sun)": ("sfdisk", "label: sun\n"),
    "another kind (sgi)": ("sfdisk", "label: sgi\n"),
    "a file system (ext4)": ("mke2fs", "-q", "-t", "ext4"),
    "a file system (ntfs)": ("mkfs.ntfs", "-q", "-Q", "-F"),
    "a file system (vfat)": ("mkfs.vfat", "-I"),
    "encrypted data (crypto_LUKS)": (
        *("cryptsetup", "luksFormat", "-q", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"),
        *("--key-file", "/proc/version"),
    ),
    "of a volume group (LVM2_member)": ("pvcreate", "-q", "--config", "devices { use_devicesfile=0 }"),
}


@pytest.mark.parametrize("what", WHOLE)
async def test_a_disk_that_holds_something_else(loop_disk: LoopDisk, tool: Tool, what: str) -> None:
    device = loop_disk(SIZE)
    program, *arguments = WHOLE[what]
    if program == "sfdisk":
        tool("sfdisk", "-q", "--no-reread", "--no-tell-kernel", device, stdin=arguments[0])
    else:
        tool(program, *arguments, device)
    disk = await read(device)
    assert (disk.table, disk.partitions) == (None, ())
    assert what in disk.problem
    with pytest.raises(DiskNotPartitioned) as caught:
        await planned(device, 1)
    assert disk.problem in caught.value.message
    assert "partition it" not in caught.value.hint


async def test_an_empty_disk(loop_disk: LoopDisk) -> None:
    device = loop_disk(SIZE)
    assert (await read(device)).problem == ""
    with pytest.raises(DiskNotPartitioned) as caught:
        await planned(device, 1)
    assert caught.value.hint == "partition it first"


async def test_a_table_for_other_sectors(loop_disk: LoopDisk, tmp_path: Path) -> None:
    """A disk of 512-byte sectors in a case that shows 4096."""
    device = loop_disk(SIZE, sector_size=4096)
    write_gpt(device, entry(1, 1, 9))
    disk = await read(device)
    assert (disk.table, disk.problem) == (None, "it has a GPT for sectors of 512 bytes, and the disk's are of 4096")


# --- members of volumes -------------------------------------------------------------------------------------------


async def test_a_btrfs_on_two_disks(loop_disk: LoopDisk, tool: Tool) -> None:
    """One of its halves, of which the other disk knows nothing when it is looked at."""
    one, other = (loop_disk(144 * MIB, "label: gpt\nstart=1MiB, size=140MiB, type=linux\n") for _ in range(2))
    tool("mkfs.btrfs", "-q", f"{one}p1", f"{other}p1")
    for device in (one, other):
        part = parts(await read(device))[1]
        assert (part.filesystem, part.member, part.mounted) == ("btrfs", True, None)
        with pytest.raises(PartitionInUse, match=r"is a member of a volume \(btrfs\)"):
            await planned(device, 1)
        assert (await planned(device, 1, force="1")).device == f"{device}p1"


@pytest.mark.parametrize("force", ["0", "1"])
async def test_half_of_a_mirror_of_the_firmware(force: str, loop_disk: LoopDisk) -> None:
    """Its table shows on both disks, and what the firmware keeps stands at the end of each."""
    device = loop_disk(SIZE)
    write_msdos(device, row(1, 1, 9))
    write(device, SIZE - 2 * 512, b"Intel Raid ISM Cfg Sig. 1.3.00")
    with pytest.raises(DiskNotPartitioned, match="isw_raid_member"):
        await planned(device, 1, force=force)


async def test_a_btrfs_on_one_disk(loop_disk: LoopDisk, tool: Tool) -> None:
    device = loop_disk(144 * MIB, "label: gpt\nstart=1MiB, size=140MiB, type=linux\n")
    tool("mkfs.btrfs", "-q", f"{device}p1")
    assert (await planned(device, 1)).partition == 1


# --- partitions that are not their own ----------------------------------------------------------------------------


@pytest.fixture
def noisy(loop_disk: LoopDisk) -> str:
    device = loop_disk(SIZE)
    Path(device).write_bytes(random.Random(5).randbytes(SIZE))
    return device


async def refused(device: str, partition: int, kind: type[Refusal] = PartitionOverlaps) -> str:
    before = await asyncio.to_thread(Path(device).read_bytes)
    with pytest.raises(kind) as caught:
        await planned(device, partition)
    assert await asyncio.to_thread(Path(device).read_bytes) == before
    return caught.value.message


@pytest.mark.parametrize("kind", ["msdos", "gpt"])
async def test_a_partition_that_runs_into_the_cache(noisy: str, kind: str) -> None:
    if kind == "gpt":
        write_gpt(noisy, entry(1, 1, 20), entry(2, 16, 30, "CACHE"), entry(3, 30, 40))
    else:
        write_msdos(noisy, row(1, 1, 20), row(2, 16, 30, 0xCA), row(3, 30, 40))
    disk = await read(noisy)
    assert disk.table == kind
    assert [(number, part.cache, part.problem) for number, part in parts(disk).items()] == [
        (1, False, "it shares bytes with partition 2, the CACHE"),
        (2, True, "it shares bytes with partition 1"),
        (3, False, ""),
    ]
    assert "shares bytes with partition 2, the CACHE" in await refused(noisy, 1)
    assert (await planned(noisy, 3)).start == 30 * MIB


async def test_a_cache_that_is_not_its_own_is_not_mounted(noisy: str, tool: Tool, tmp_path: Path) -> None:
    tool("mke2fs", "-q", "-F", "-L", "CACHE", "-E", f"offset={16 * MIB}", noisy, "14M")
    write_msdos(noisy, row(1, 1, 20), row(2, 16, 30), row(3, 30, 40))
    disk = await read(noisy)
    cache = bound(disk, next(part for part in disk.partitions if part.cache))
    before = await asyncio.to_thread(Path(noisy).read_bytes)
    with pytest.raises(CacheError, match="shares bytes with partition 1"):
        async with MountedCache(tmp_path / "cache").mounted(cache):
            pass
    assert await asyncio.to_thread(Path(noisy).read_bytes) == before


async def test_a_partition_beyond_the_end_of_the_disk(noisy: str) -> None:
    write_msdos(noisy, row(1, 1, 9), row(2, 60, 70))
    assert "beyond the end of the disk" in await refused(noisy, 2)
    target = replace(await planned(noisy, 1), partition=2, start=60 * MIB, size=10 * MIB)
    await not_opened(noisy, target)


async def not_opened(device: str, target: Target) -> None:
    """Whoever made the plan."""

    def try_it() -> None:
        before = Path(device).read_bytes()
        with pytest.raises(PartitionOverlaps) as caught, machine(device).open_target(target) as opened:
            opened.zero(0, MIB)
        assert caught.value.number == 3
        assert Path(device).read_bytes() == before

    await asyncio.to_thread(try_it)


async def test_a_table_that_has_changed_since_the_plan(noisy: str) -> None:
    write_gpt(noisy, entry(1, 1, 9), entry(2, 20, 30))
    target = await planned(noisy, 1)
    write_gpt(noisy, entry(1, 1, 9), entry(2, 8, 30))
    await not_opened(noisy, target)


async def test_a_disk_that_has_shrunk_under_its_partition(loop_disk: LoopDisk, tool: Tool, tmp_path: Path) -> None:
    device = loop_disk(SIZE, "label: gpt\n1: start=1M, size=8M\n2: start=40M, size=20M\n")
    target = await planned(device, 2)
    os.truncate(tmp_path / "loop0.img", 50 * MIB)
    tool("losetup", "--set-capacity", device)
    await not_opened(device, replace(target, identity=f"path:{device};size:{50 * MIB}"))


# --- a kernel with another table ----------------------------------------------------------------------------------


async def test_a_kernel_that_goes_by_an_older_table(loop_disk: LoopDisk, tool: Tool) -> None:
    device = loop_disk(SIZE, "label: gpt\n1: start=1M, size=8M, type=linux\n2: start=10M, size=8M, type=linux\n")
    script = "label: gpt\n1: start=1M, size=8M, type=linux\n2: start=12M, size=8M, type=linux\n3: start=30M, size=8M\n"
    tool("sfdisk", "-q", "--no-reread", "--no-tell-kernel", "--force", device, stdin=script)
    assert {number: part.problem for number, part in parts(await read(device)).items()} == {
        1: "",
        2: OLDER_TABLE,
        3: OLDER_TABLE,
    }
    assert (await planned(device, 1)).start == MIB
    with pytest.raises(PartitionOverlaps) as caught:
        await planned(device, 2)
    assert "the kernel still goes by an older table" in caught.value.message
    assert f"partx -u {device}" in caught.value.hint
    tool("partx", "--update", device)
    assert (await planned(device, 2)).start == 12 * MIB
    assert (await planned(device, 3)).start == 30 * MIB


async def test_a_kernel_that_was_told_of_no_partition(loop_disk: LoopDisk, tool: Tool) -> None:
    device = loop_disk(SIZE, "label: dos\n1: start=1M, size=8M, type=83\n2: start=10M, size=40M, type=5\n5: size=8M\n")
    assert not any(part.problem for part in (await read(device)).partitions)
    forget_partitions(device)
    assert not any(part.problem for part in (await read(device)).partitions)
    assert (await planned(device, 5)).size == 8 * MIB


# --- ogagent disks ------------------------------------------------------------------------------------------------


def ogagent_disks(tmp_path: Path, device: str, *arguments: str, **environment: str) -> str:
    config = tmp_path / "ogagent.toml"
    config.write_text(f"[disks]\ninclude = {json.dumps([device])}\nexclude = {json.dumps(block_devices(device))}\n")
    command = [sys.executable, "-m", "ogagent", "disks", "--config", str(config), *arguments]
    done = subprocess.run(
        command, capture_output=True, timeout=300, check=False, env={**os.environ, "COLUMNS": "200", **environment}
    )
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr
    return done.stdout.decode()


@pytest.mark.parametrize("name", ["a\ud800b", "[/b]", "[SWAP]", "\N{PILE OF POO}", ":warning:", "\x1b[2J"], ids=ascii)
def test_a_name_takes_nobody_down(loop_disk: LoopDisk, tool: Tool, tmp_path: Path, name: str) -> None:
    device = loop_disk(SIZE)
    write_gpt(device, entry(1, 1, 9, name), entry(2, 9, 20, "second"))
    label = name.encode(errors="replace").decode()[:16]
    tool("mke2fs", "-q", "-F", "-L", label, "-E", f"offset={MIB}", device, "8M")
    told: dict[str, Any] = json.loads(ogagent_disks(tmp_path, device, "--json"))
    (disk,) = told["disks"]
    assert [part["name"] for part in disk["partitions"]][1] == "second"
    shown = ogagent_disks(tmp_path, device)
    assert disk["partitions"][0]["label"] in shown
    assert json.loads(ogagent_disks(tmp_path, device, "--json", PYTHONIOENCODING="ascii")) == told
    ogagent_disks(tmp_path, device, PYTHONIOENCODING="ascii")


def test_problems_are_shown_to_people(loop_disk: LoopDisk, tool: Tool, tmp_path: Path) -> None:
    device = loop_disk(SIZE)
    write_gpt(device, entry(1, 1, 20), entry(4, 16, 30, "CACHE"))
    shown = ogagent_disks(tmp_path, device)
    assert "partition 1: it shares bytes with partition 4, the CACHE\n" in shown
    assert "partition 4: it shares bytes with partition 1\n" in shown
    tool("mke2fs", "-q", "-F", device)
    assert f"disk {first_included()}: it holds a file system (ext2) on the whole disk" in ogagent_disks(
        tmp_path, device
    )
