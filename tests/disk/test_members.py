"""Parts of volumes, by the signatures that libblkid finds, and as mkfs.btrfs makes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from ogagent.disk import blkid
from ogagent.disk.content import Content, probe
from ogagent.disk.whole import whole_disk_problem
from tests.signatures.filesystems import filesystems
from tests.signatures.plant import SIZE, Plant
from tests.signatures.volumes import volumes

MIB: Final = 1 << 20
OTHERS: Final = ("bcache", "drbd", "stratis", "DM_snapshot_cow")
MEMBERS: Final = [
    plant for plant in (*volumes(), *filesystems()) if plant.kind.endswith("_member") or plant.kind in OTHERS
]


def planted(path: Path, plant: Plant) -> Content:
    with path.open("r+b") as file:
        for offset, data in plant.pieces.items():
            file.seek(offset)
            file.write(data)
        file.flush()
        return probe(file.fileno(), 0, SIZE)


@pytest.mark.parametrize("plant", MEMBERS, ids=lambda plant: plant.name)
def test_a_member(plant: Plant, sparse: Callable[[int], Path]) -> None:
    content = planted(sparse(SIZE), plant)
    assert (content.filesystem, content.member) == (plant.kind, True)


def test_those_that_everybody_has_heard_of_are_among_them() -> None:
    kinds = {plant.kind for plant in MEMBERS}
    assert {"isw_raid_member", "ddf_raid_member", "linux_raid_member", "LVM2_member", "zfs_member", "bcache"} <= kinds


@pytest.mark.parametrize("kind", ["isw_raid_member", "ddf_raid_member", "promise_fasttrack_raid_member"])
def test_a_disk_of_a_raid_whose_table_shows_on_it(kind: str, sparse: Callable[[int], Path]) -> None:
    """As on both disks of a mirror that the firmware has made."""
    disk = sparse(SIZE)
    planted(disk, next(plant for plant in MEMBERS if plant.kind == kind))
    with disk.open("rb") as file:
        assert whole_disk_problem(file.fileno(), 512, table="dos", entries=2) == f"it is a member of a RAID ({kind})"


def test_a_btrfs_of_one_device_is_none(tool: Callable[..., str], sparse: Callable[[int], Path]) -> None:
    disk = sparse(128 * MIB)
    tool("mkfs.btrfs", "-q", disk)
    with disk.open("rb") as file:
        assert blkid.superblock(file.fileno(), 0, 128 * MIB)["TYPE"] == "btrfs"
        assert not probe(file.fileno(), 0, 128 * MIB).member


def test_a_btrfs_of_two(tool: Callable[..., str], sparse: Callable[[int], Path]) -> None:
    disks = [sparse(128 * MIB), sparse(128 * MIB)]
    tool("mkfs.btrfs", "-q", "-d", "raid0", *disks)
    for disk in disks:
        with disk.open("rb") as file:
            content = probe(file.fileno(), 0, 128 * MIB)
        assert (content.filesystem, content.member) == ("btrfs", True)
