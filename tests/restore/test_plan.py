"""From a request and an inventory to a plan, and each reason to refuse."""

from __future__ import annotations

from functools import partial
from ipaddress import ip_network
from typing import Any, Final

import pytest
from msgspec.structs import replace

from ogagent.errors import (
    CacheMissing,
    DiskNotFound,
    DiskNotPartitioned,
    FilesystemMismatch,
    ImageTooLarge,
    MethodNotSupported,
    PartitionInUse,
    PartitionNotFound,
    Refusal,
    RepositoryNotAllowed,
    TargetIsCache,
    TargetIsSystem,
    TooFewPartitions,
)
from ogagent.model.disk import Disk, Inventory, Partition, TableKind
from ogagent.model.method import Session
from ogagent.model.plan import ImageHeader, Target
from ogagent.restore.plan import Rules, check_image, plan_restore
from ogagent.restore.request import RestorePlan, restore_request

GIB: Final = 1 << 30
CALL: Final = {"dsk": "1", "par": "2", "idi": "1", "nci": "linux/ubuntu", "ipr": "192.168.2.1"}


def part(number: int, **changes: Any) -> Partition:
    device, code = f"/dev/sda{number}", changes.pop("code", "8300")
    return Partition(partition=number, device=device, start=number * GIB, size=4 * GIB, code=code, **changes)


EFI: Final = part(1, code="EF00")
CACHE: Final = part(4, code="CA00", cache=True)
DISK: Final = Disk(
    disk=1,
    device="/dev/sda",
    identity="wwn-1 500",
    model="Disk",
    size=100 * GIB,
    sector_size=512,
    table="gpt",
    partitions=(EFI, part(2), part(3), CACHE),
)
RULES: Final = Rules(
    repository_url="https://{ipr}/images/{nci}.img",
    repository_networks=[ip_network("192.168.0.0/16"), ip_network("fc00::/7")],
    cache_required=True,
)


def plan(disk: Disk = DISK, rules: Rules = RULES, **members: str) -> RestorePlan:
    return plan_restore(restore_request({**CALL, **members}), Inventory(disks=(disk,)), rules)


def with_partitions(*partitions: Partition, **changes: Any) -> Disk:
    return replace(DISK, partitions=partitions, **changes)


def test_a_plan_binds_request_target_and_source() -> None:
    assert plan() == RestorePlan(
        request=restore_request(CALL),
        target=Target(
            disk=1,
            partition=2,
            device="/dev/sda2",
            disk_device="/dev/sda",
            identity="wwn-1 500",
            start=2 * GIB,
            size=4 * GIB,
            sector_size=512,
        ),
        source="https://192.168.2.1/images/linux/ubuntu.img",
        cache=Target(
            disk=1,
            partition=4,
            device="/dev/sda4",
            disk_device="/dev/sda",
            identity="wwn-1 500",
            start=4 * GIB,
            size=4 * GIB,
            sector_size=512,
        ),
    )


def test_which_methods_go_through_the_cache() -> None:
    cache = plan(method="unicast").cache
    assert cache is not None
    assert (cache.partition, cache.identity) == (4, DISK.identity)
    assert plan(method="unicast-direct").cache is None


def test_the_second_disk_of_two() -> None:
    second = replace(DISK, disk=2, device="/dev/sdb", identity="wwn-2", partitions=(part(1), part(2)))
    request = restore_request({**CALL, "dsk": "2"})
    target = plan_restore(request, Inventory(disks=(DISK, second)), RULES).target
    assert (target.disk, target.disk_device, target.identity) == (2, "/dev/sdb", "wwn-2")


def test_an_ipv6_repository_stands_in_brackets_in_the_url() -> None:
    assert plan(ipr="fd00::1").source == "https://[fd00::1]/images/linux/ubuntu.img"


def test_a_host_name_is_judged_when_its_address_is_known() -> None:
    assert plan(ipr="repo.example").source == "https://repo.example/images/linux/ubuntu.img"


def test_a_partition_is_enough_where_no_cache_is_required() -> None:
    assert plan(with_partitions(part(2)), replace(RULES, cache_required=False)).target.partition == 2


@pytest.mark.parametrize(
    ("method", "cached"), [("multicast", True), ("multicast-cache", True), ("UDPCAST-Direct", False)]
)
def test_a_crowd(method: str, cached: bool) -> None:
    options = "9000:full-duplex:239.194.17.2:70M:20:60"
    found = plan(method=f"{method} {options}")
    wanted = Session(engine="udpcast", port=9000, address="239.194.17.2", speed=70_000_000, wait_s=60, options=options)
    assert found.session == wanted
    assert (found.cache is not None, found.remarks) == (cached, ())


def test_where_no_crowd_is_wanted() -> None:
    found = plan(rules=replace(RULES, crowd=False, missing={"p2p": "x"}), method="p2p")
    assert (found.session, found.remarks) == (
        None,
        ("060-crowd.enabled is false: the image comes from the repository alone",),
    )


def test_an_engine_that_is_not_installed() -> None:
    with pytest.raises(MethodNotSupported, match="on this machine") as caught:
        plan(rules=replace(RULES, missing={"udpcast": "apt install udpcast"}), method="multicast")
    assert "apt install udpcast" in caught.value.hint
    assert plan(rules=replace(RULES, missing={"udpcast": "apt install udpcast"})).session is None


LOGICAL: Final = (part(1, code="5"), part(2), part(5), part(6, code="ca", cache=True))


@pytest.mark.parametrize(
    ("kind", "code", "disk", "members"),
    [
        *(
            (MethodNotSupported, "method-not-supported", DISK, {"method": method})
            for method in ("carrier-pigeon", "unicast-", "direct", "multicast-direct-direct")
        ),
        (RepositoryNotAllowed, "repository-not-allowed", DISK, {"ipr": "8.8.8.8"}),
        (RepositoryNotAllowed, "repository-not-allowed", DISK, {"ipr": "2001:db8::1"}),
        (DiskNotFound, "disk-not-found", DISK, {"dsk": "2"}),
        (DiskNotPartitioned, "disk-not-partitioned", with_partitions(table=None), {}),
        (TooFewPartitions, "too-few-partitions", with_partitions(), {}),
        (TooFewPartitions, "too-few-partitions", with_partitions(part(2)), {}),
        (PartitionNotFound, "partition-not-found", DISK, {"par": "9"}),
        (CacheMissing, "cache-missing", with_partitions(part(1), part(2)), {}),
        (TargetIsCache, "target-is-cache", DISK, {"par": "4"}),
        (PartitionInUse, "partition-in-use", with_partitions(part(2, mounted="/mnt"), CACHE), {}),
        (PartitionInUse, "partition-in-use", with_partitions(part(2, mounted="[SWAP]"), CACHE), {}),
        (PartitionInUse, "partition-in-use", with_partitions(part(2, mounted="[dm-0]"), CACHE), {}),
        (TargetIsSystem, "target-is-system", DISK, {"par": "1"}),
        *(
            (TargetIsSystem, "target-is-system", with_partitions(part(2, code=code), CACHE, table=table), {})
            for table, code in (
                ("gpt", "EF00"),
                ("gpt", "EF02"),
                ("gpt", "0C01"),
                ("gpt", "4200"),
                ("gpt", "4201"),
                ("msdos", "42"),
                ("msdos", "ee"),
                ("msdos", "ef"),
                ("msdos", "5"),
                ("msdos", "f"),
                ("msdos", "85"),
            )
        ),
        (TargetIsSystem, "target-is-system", with_partitions(*LOGICAL, table="msdos"), {"par": "1"}),
    ],
)
def test_refusals(kind: type[Refusal], code: str, disk: Disk, members: dict[str, str]) -> None:
    with pytest.raises(kind) as caught:
        plan_restore(restore_request({**CALL, **members}), Inventory(disks=(disk,)), RULES)
    assert type(caught.value) is kind
    assert caught.value.code == code
    assert caught.value.message


def test_the_cache_is_refused_also_where_none_is_required() -> None:
    with pytest.raises(TargetIsCache):
        plan(DISK, replace(RULES, cache_required=False), par="4")


def header(**changes: Any) -> ImageHeader:
    fields = {
        "container": "zstd",
        "format": "partclone 0002",
        "filesystem": "EXTFS",
        "block_size": 4096,
        "device_size": 4 * GIB,
        "used_bytes": GIB,
    }
    return ImageHeader(**{**fields, **changes})


def test_an_image_as_large_as_the_partition_fits() -> None:
    check_image(plan(), header())


def test_a_partition_that_is_too_small() -> None:
    with pytest.raises(ImageTooLarge) as caught:
        check_image(plan(), header(device_size=8 * GIB))
    assert caught.value.der == "030-The image needs 8589934592 bytes, partition 2 of disk 1 has 4294967296"
    assert caught.value.code == "image-too-large"


@pytest.mark.parametrize("more", [1, 512, 4096])
def test_a_partition_that_is_one_block_too_small(more: int) -> None:
    with pytest.raises(ImageTooLarge):
        check_image(plan(), header(device_size=4 * GIB + more))


@pytest.mark.parametrize(
    ("cpt", "filesystem"),
    [
        ("83", "NTFS"),
        ("8300", "FAT32"),
        ("7", "EXTFS"),
        ("0700", "XFS"),
        ("0007", "BTRFS"),
        ("c", "ext4"),
        ("AF00", "NTFS"),
    ],
)
def test_an_image_of_another_family(cpt: str, filesystem: str) -> None:
    with pytest.raises(FilesystemMismatch) as caught:
        check_image(plan(cpt=cpt), header(filesystem=filesystem))
    assert (caught.value.number, caught.value.code) == (20, "filesystem-mismatch")
    assert cpt in caught.value.message


@pytest.mark.parametrize(
    ("cpt", "filesystem"),
    [
        ("83", "EXTFS"),
        ("8300", "XFS"),
        ("7", "NTFS"),
        ("0700", "NTFS"),
        ("", "NTFS"),
        ("ca", "NTFS"),
        ("83", "STRANGE"),
    ],
)
def test_an_image_of_the_same_family_or_of_one_that_nobody_knows(cpt: str, filesystem: str) -> None:
    check_image(plan(cpt=cpt), header(filesystem=filesystem))


def test_blocks_smaller_than_the_sectors_of_the_disk() -> None:
    small = header(block_size=512)
    large = plan(replace(DISK, sector_size=4096))
    with pytest.raises(FilesystemMismatch, match="sectors of 4096"):
        check_image(large, small)
    check_image(large, header(block_size=512, format="raw"))
    check_image(plan(), small)


@pytest.mark.parametrize("filesystem", ["EXTFS", "XFS", "BTRFS", "F2FS", "FAT", "NTFS", "EXFAT", "STRANGE"])
def test_sectors_smaller_than_those_of_the_disk(filesystem: str) -> None:
    disk = replace(DISK, sector_size=4096)
    with pytest.raises(FilesystemMismatch, match="sectors of 512 bytes, the disk has sectors of 4096") as caught:
        check_image(plan(disk, cpt=""), header(filesystem=filesystem, format="raw", sector_size=512))
    assert caught.value.number == 20
    check_image(plan(disk, cpt=""), header(filesystem=filesystem, format="raw", sector_size=4096))
    check_image(plan(disk, cpt=""), header(filesystem=filesystem, format="raw"))


@pytest.mark.parametrize("filesystem", ["EXT4", "XFS", "BTRFS", "F2FS", "STRANGE"])
def test_linux_mounts_larger_sectors_than_the_disk_has(filesystem: str) -> None:
    check_image(plan(), header(filesystem=filesystem, sector_size=4096))


@pytest.mark.parametrize("filesystem", ["FAT", "NTFS", "EXFAT"])
def test_windows_does_not(filesystem: str) -> None:
    with pytest.raises(FilesystemMismatch, match="sectors of 4096 bytes, the disk has sectors of 512"):
        check_image(plan(cpt=""), header(filesystem=filesystem, sector_size=4096))


# --- what must not go by accident ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("second", "table"), [({"label": "CACHE"}, "gpt"), ({"name": "CACHE"}, "gpt"), ({"code": "ca"}, "msdos")]
)
def test_a_second_cache_is_no_target_either(second: dict[str, str], table: TableKind) -> None:
    """Disks of two PCs in one: which of the two is the right one, nobody knows."""
    with pytest.raises(TargetIsCache, match="as well"):
        plan(with_partitions(part(2, **second), part(3), CACHE, table=table))
    assert plan(with_partitions(part(2, **second), part(3), CACHE, table=table), par="3").target.partition == 3


@pytest.mark.parametrize("member", ["LVM2_member", "linux_raid_member", "zfs_member", "bcache", "btrfs"])
def test_a_member_of_a_volume_goes_only_when_the_request_says_so(member: str) -> None:
    disk = with_partitions(part(2, filesystem=member, member=True), CACHE)
    for refused in (plan, partial(plan, force="0")):
        with pytest.raises(PartitionInUse, match=member) as refusal:
            refused(disk)
        assert "force" in refusal.value.hint
    assert plan(disk, force="1").target.partition == 2


@pytest.mark.parametrize(
    ("holder", "way_out"),
    [("/mnt", "unmount"), ("[SWAP]", "swapoff"), ("[dm-0]", "vgchange"), ("[md127]", "mdadm"), ("[loop3]", "losetup")],
)
def test_how_to_free_a_partition_depends_on_who_holds_it(holder: str, way_out: str) -> None:
    with pytest.raises(PartitionInUse) as refusal:
        plan(with_partitions(part(2, mounted=holder), CACHE))
    assert way_out in refusal.value.hint
