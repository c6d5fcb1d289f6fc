"""Systems on partitions: what is installed in them is told, and not a byte of them changes."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from ogagent.model.software import software_text
from ogagent.software.inventory import software_on
from tests.devices.conftest import LoopDisk
from tests.devices.test_read_only import MAKE, MIB, Tool, digest, leave_dirty, mounted, nothing_stays
from tests.devices.test_sandbox import SANDBOX
from tests.software.systems import debian
from tests.software.test_linux import NAME
from tests.software.test_windows import CONFIG, REGISTRY, windows

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="loop devices need root")

PACKAGES: Final = ["bash 5.2.15-2+b7", "zlib1g 1:1.2.13.dfsg-1"]
PROGRAMS: Final = [
    "Windows 11 Pro 23H2 (22631.3155)",
    "7-Zip 23.01",
    "LibreOffice 7.6 7.6.4.1",
    "Máquina? ñ",
]

CONFINED: Final = """
import asyncio, sys
from pathlib import Path
from ogagent.model.software import software_text
from ogagent.software.inventory import software_on
print(software_text(asyncio.run(software_on(sys.argv[1], sys.argv[2], Path(sys.argv[3])))))
"""


@pytest.mark.parametrize("kind", MAKE)
async def test_linux(kind: str, loop_disk: LoopDisk, tool: Tool, tmp_path: Path) -> None:
    size, command = MAKE[kind]
    device = loop_disk(size * MIB)
    tool(*command, device)
    with mounted(device, tmp_path / "mnt"):
        debian(tmp_path / "mnt")
    if kind in ("ext4", "xfs", "btrfs"):
        leave_dirty(device, kind, tmp_path / "mnt")
    before = digest(device)
    found = await software_on(device, kind, tmp_path)
    assert software_text(found).split("\n") == [NAME, *PACKAGES]
    assert digest(device) == before
    await nothing_stays(device, tmp_path)


async def test_a_subvolume_that_is_not_the_default(loop_disk: LoopDisk, tool: Tool, tmp_path: Path) -> None:
    size, command = MAKE["btrfs"]
    device = loop_disk(size * MIB)
    tool(*command, device)
    with mounted(device, tmp_path / "mnt"):
        tool("btrfs", "subvolume", "create", tmp_path / "mnt/@")
        debian(tmp_path / "mnt/@")
    found = await software_on(device, "btrfs", tmp_path)
    assert software_text(found).split("\n") == [NAME, *PACKAGES]


def with_windows(device: str, tool: Tool, folder: Path) -> None:
    if shutil.which("hivexregedit") is None:
        pytest.skip("hivexregedit is not installed")
    tool("mkfs.ntfs", "-q", "-f", "-F", device)
    windows(folder / "made", registry=REGISTRY)
    with mounted(device, folder / "mnt"):
        shutil.copytree(folder / "made", folder / "mnt", dirs_exist_ok=True)
        assert (folder / "mnt" / CONFIG / "SOFTWARE").is_file()


async def test_windows(loop_disk: LoopDisk, tool: Tool, tmp_path: Path) -> None:
    device = loop_disk(32 * MIB)
    with_windows(device, tool, tmp_path)
    before = digest(device)
    found = await software_on(device, "ntfs", tmp_path)
    assert software_text(found).split("\n") == PROGRAMS
    assert digest(device) == before
    await nothing_stays(device, tmp_path)


async def test_windows_that_was_not_shut_down(loop_disk: LoopDisk, tool: Tool, tmp_path: Path) -> None:
    device = loop_disk(32 * MIB)
    with_windows(device, tool, tmp_path)
    mark_dirty(device)
    before = digest(device)
    found = await software_on(device, "ntfs", tmp_path)
    assert software_text(found).split("\n") == PROGRAMS
    assert digest(device) == before


def mark_dirty(device: str) -> None:
    """The flag in VOLUME_INFORMATION of $Volume, with which Windows checks the disk at its next start; in the copy of
    the record, too. Offsets as in linux/fs/ntfs3/ntfs.h.
    """
    with open(device, "r+b") as file:
        boot = file.read(512)
        sector, per_cluster = struct.unpack_from("<HB", boot, 11)
        for (cluster,) in struct.iter_unpack("<Q", boot[0x30:0x40]):
            place = cluster * sector * per_cluster + 3 * 1024
            file.seek(place)
            record = file.read(1024)
            (attribute,) = struct.unpack_from("<H", record, 0x14)
            while (found := struct.unpack_from("<II", record, attribute))[0] != 0x70:
                attribute += found[1]
            flags = attribute + struct.unpack_from("<H", record, attribute + 0x14)[0] + 10
            file.seek(place + flags)
            file.write(bytes([record[flags] | 1]))


def test_with_one_capability_in_a_view_of_its_own(loop_disk: LoopDisk, tool: Tool, tmp_path: Path) -> None:
    device = loop_disk(32 * MIB)
    state = tmp_path / "state"
    state.mkdir()
    tool("mke2fs", "-q", "-t", "ext4", device)
    with mounted(device, tmp_path / "mnt"):
        debian(tmp_path / "mnt")
    before = digest(device)
    sandbox = ["unshare", "--mount", "--propagation", "slave", "sh", "-ec", SANDBOX, "sh", str(state)]
    command = [*sandbox, sys.executable, "-B", "-c", CONFINED, device, "ext4", str(state)]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.stdout.splitlines() == [NAME, *PACKAGES], told.stderr
    assert digest(device) == before
