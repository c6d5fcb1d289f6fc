"""File systems made for disks with other sectors, as real programs make them, and what the kernel says of them."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from msgspec import Struct
from msgspec.structs import replace

from ogagent.disk import blkid
from ogagent.disk.real import RealMachine
from ogagent.errors import FilesystemMismatch
from ogagent.model.plan import Target
from ogagent.restore.job import restore
from ogagent.restore.progress import Progress
from ogagent.restore.request import RestorePlan, RestoreRequest
from ogagent.source.source import SourcePolicy
from ogagent.system.tls import client_context
from tests.devices.conftest import LoopDisk, bound
from tests.mounts import unmount

MIB: Final = 1 << 20
SIZE: Final = 128 * MIB
TABLE: Final = f"label: gpt\nstart=1MiB, size={SIZE // MIB}MiB, type=linux\n"
Tool = Callable[..., str]


class Made(Struct, frozen=True):
    """``partclone`` makes the image, and empty means that the partition itself is one."""

    make: tuple[str, ...]
    partclone: str = ""


XFS: Final = ("mkfs.xfs", "-q", "-f", "--unsupported", "-s")
SMALL: Final = {
    "NTFS": Made(("mkfs.ntfs", "-q", "-F", "-f", "-s", "512"), "partclone.ntfs"),
    "XFS": Made((*XFS, "size=512"), "partclone.xfs"),
    "exFAT": Made(("mkfs.exfat",), "partclone.exfat"),
    "FAT": Made(("mkfs.vfat", "-F", "32"), "partclone.vfat"),
    "ext4": Made(("mke2fs", "-q", "-t", "ext4", "-b", "1024"), "partclone.ext4"),
}
LARGE: Final = {
    "XFS": Made((*XFS, "size=4096"), "partclone.xfs"),
    "btrfs": Made(("mkfs.btrfs", "-q"), "partclone.btrfs"),
    "ext4": Made(("mke2fs", "-q", "-t", "ext4", "-b", "4096"), "partclone.ext4"),
    "F2FS": Made(("mkfs.f2fs", "-q"), "partclone.f2fs"),
}
WINDOWS: Final = {
    "NTFS": Made(("mkfs.ntfs", "-q", "-F", "-f", "-s", "4096"), "partclone.ntfs"),
    "FAT": Made(("mkfs.vfat", "-F", "16", "-S", "4096"), "partclone.vfat"),
}


def raw(filesystems: dict[str, Made]) -> dict[str, Made]:
    return filesystems | {f"{name}, raw": replace(made, partclone="") for name, made in filesystems.items()}


def image_of(made: Made, folder: Path, tool: Tool) -> Path:
    filesystem, image = folder / "filesystem", folder / "x.img"
    with filesystem.open("wb") as file:
        file.truncate(SIZE)
    tool(*made.make, filesystem)
    if not made.partclone:
        return filesystem
    tool(made.partclone, "-c", "-F", "-L", folder / "log", "-s", filesystem, "-o", image)
    return image


async def restored(image: Path, target: Target) -> Progress:
    request = RestoreRequest(dsk=1, par=1, idi="i", nci="x", ipr="repository")
    policy = SourcePolicy(tls=client_context("", ""), networks=(), stall_timeout_s=10, retry_for_s=0)
    progress = Progress()
    async with asyncio.timeout(300):
        plan = RestorePlan(request=request, target=target, source=image.as_uri())
        await restore(plan, RealMachine([], []), policy, progress)
    return progress


def holds(target: Target) -> str:
    with Path(target.device).open("rb") as device:
        return blkid.superblock(device.fileno(), 0, target.size).get("TYPE", "")


def mountable() -> list[str]:
    return Path("/proc/filesystems").read_text("utf-8").split()


def mounts(target: Target, folder: Path) -> bool:
    folder.mkdir()
    done = subprocess.run(["mount", target.device, folder], capture_output=True, check=False)
    if done.returncode == 0:
        unmount(folder)
    return done.returncode == 0


@pytest.mark.parametrize("name", raw(SMALL))
async def test_sectors_smaller_than_those_of_the_disk(
    name: str, loop_disk: LoopDisk, tool: Tool, tmp_path: Path
) -> None:
    made = raw(SMALL)[name]
    image = image_of(made, tmp_path, tool)
    target = bound(f"{loop_disk(SIZE + 3 * MIB, TABLE, 4096)}p1")
    with pytest.raises(FilesystemMismatch) as failure:
        await restored(image, target)
    assert failure.value.number == 20
    assert "the disk has sectors of 4096" in failure.value.message
    assert not holds(target)
    if not made.partclone:
        assert not any(await asyncio.to_thread(Path(target.device).read_bytes))


@pytest.mark.parametrize("name", ["XFS", "ext4"])
def test_the_kernel_would_not_have_mounted_it(name: str, loop_disk: LoopDisk, tool: Tool, tmp_path: Path) -> None:
    filesystem = image_of(replace(SMALL[name], partclone=""), tmp_path, tool)
    target = bound(f"{loop_disk(SIZE + 3 * MIB, TABLE, 4096)}p1")
    shutil.copyfile(filesystem, target.device)
    assert holds(target)
    assert not mounts(target, tmp_path / "mnt")


@pytest.mark.parametrize("sector_size", [512, 4096])
@pytest.mark.parametrize("name", raw(LARGE))
async def test_sectors_as_large_as_those_of_the_disk_or_larger(
    name: str, sector_size: int, loop_disk: LoopDisk, tool: Tool, tmp_path: Path
) -> None:
    """That a disk of 512 takes what was made for one of 4096 is what Linux' file systems have over those of Windows."""
    made = raw(LARGE)[name]
    image = image_of(made, tmp_path, tool)
    target = bound(f"{loop_disk(SIZE + 3 * MIB, TABLE, sector_size)}p1")
    assert (await restored(image, target)).committed
    assert holds(target) not in mountable() or mounts(target, tmp_path / "mnt")


@pytest.mark.parametrize("name", raw(WINDOWS))
async def test_windows_wants_the_sectors_of_the_disk(
    name: str, loop_disk: LoopDisk, tool: Tool, tmp_path: Path
) -> None:
    image = image_of(raw(WINDOWS)[name], tmp_path, tool)
    with pytest.raises(FilesystemMismatch, match="sectors of 4096 bytes, the disk has sectors of 512"):
        await restored(image, bound(f"{loop_disk(SIZE + 3 * MIB, TABLE)}p1"))
    assert (await restored(image, bound(f"{loop_disk(SIZE + 3 * MIB, TABLE, 4096)}p1"))).committed
