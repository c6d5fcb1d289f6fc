"""Which partitions are refused before anybody has looked into them."""

from __future__ import annotations

from typing import Any

import pytest

from ogagent.errors import DiskNotFound, DiskNotPartitioned, NothingToBoot, PartitionInUse, PartitionNotFound
from ogagent.model.disk import OLDER_TABLE, PROTECTED, Disk, Inventory, Partition
from ogagent.power.plan import boot_place


def partition(number: int = 2, **members: Any) -> Partition:
    usual = {"code": "8300", "filesystem": "ext4", "device": f"/dev/sda{number}"}
    return Partition(partition=number, start=number << 30, size=1 << 30, **{**usual, **members})


def disk(*partitions: Partition, **members: Any) -> Disk:
    usual = {"disk": 1, "device": "/dev/sda", "identity": "wwn:1", "table": "gpt"}
    return Disk(model="M", size=1 << 40, sector_size=512, partitions=partitions, **{**usual, **members})


ESP = partition(1, code="EF00", filesystem="vfat")


@pytest.mark.parametrize("filesystem", ["ext4", "xfs", "btrfs", "f2fs", "ntfs"])
def test_what_may_hold_a_system(filesystem: str) -> None:
    place = boot_place(1, 2, Inventory(disks=(disk(ESP, partition(filesystem=filesystem)),)))
    assert (place.partition.device, place.filesystem, place.table) == ("/dev/sda2", filesystem, "gpt")
    assert [each.device for each in place.esps] == ["/dev/sda1"]


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"incomplete": True}, "it is INCOMPLETE"),
        ({"cache": True}, "it is a CACHE"),
        ({"label": "CACHE"}, "it is a CACHE"),
        ({"filesystem": ""}, "it has no file system"),
        ({"filesystem": "swap", "code": "8200"}, "nothing starts from swap"),
        ({"filesystem": "vfat", "code": "0700"}, "nothing starts from vfat"),
        ({"filesystem": "vfat", "code": "EF00"}, "it is an EFI system partition"),
        ({"filesystem": "LVM2_member", "code": "8E00"}, "nothing starts from LVM2_member"),
        ({"problem": OLDER_TABLE}, OLDER_TABLE),
    ],
)
def test_what_holds_none(members: dict[str, Any], why: str) -> None:
    with pytest.raises(NothingToBoot) as refused:
        boot_place(1, 2, Inventory(disks=(disk(partition(**members)),)))
    assert refused.value.message == f"partition 2 of disk 1 holds no system: {why}"
    assert (refused.value.status, refused.value.number, refused.value.code) == (422, 6, "nothing-to-boot")


def test_what_is_protected_may_start() -> None:
    assert boot_place(1, 2, Inventory(disks=(disk(partition(problem=PROTECTED)),))).partition.partition == 2


def test_what_is_not_there_or_in_use() -> None:
    with pytest.raises(DiskNotFound):
        boot_place(2, 2, Inventory(disks=(disk(partition()),)))
    with pytest.raises(PartitionNotFound):
        boot_place(1, 3, Inventory(disks=(disk(partition()),)))
    with pytest.raises(PartitionNotFound, match="only none"):
        boot_place(1, 3, Inventory(disks=(disk(),)))
    for broken in ({"table": None}, {"problem": "a RAID"}):
        with pytest.raises(DiskNotPartitioned):
            boot_place(1, 2, Inventory(disks=(disk(**broken),)))
    with pytest.raises(PartitionInUse, match="/mnt"):
        boot_place(1, 2, Inventory(disks=(disk(partition(mounted="/mnt")),)))


def test_the_loaders_of_its_own_disk_come_first() -> None:
    other = disk(partition(1, code="ef", filesystem="vfat", device="/dev/sdb1"), disk=2, identity="wwn:2")
    mine = disk(partition(3, code="EF00", filesystem="vfat"), partition(), partition(4, code="EF00", filesystem=""))
    place = boot_place(1, 2, Inventory(disks=(other, mine)))
    assert [each.device for each in place.esps] == ["/dev/sda3", "/dev/sdb1"]
