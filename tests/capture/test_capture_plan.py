"""From a request and an inventory to a plan, and each reason why a partition does not become an image."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any, Final, NamedTuple

import pytest
from msgspec.structs import replace

from ogagent.capture.plan import PlanRules, plan_capture
from ogagent.capture.request import CapturePlan, capture_request
from ogagent.disk.codes import mark_cache
from ogagent.errors import AgentError
from ogagent.model.disk import OLDER_TABLE, PROTECTED, UNREADABLE, Disk, Inventory, Partition
from ogagent.model.filesystem import FILESYSTEMS
from ogagent.model.plan import Target

GIB: Final = 1 << 30
CALL: Final = {"dsk": "1", "par": "2", "idi": "1", "nci": "linux/ubuntu", "ipr": "192.168.2.1"}
RULES: Final = PlanRules(
    url="https://{ipr}/images/{nci}.img",
    networks=[ip_network("192.168.0.0/16"), ip_network("fc00::/7")],
    reduce=False,
)


def part(number: int = 2, **changes: Any) -> Partition:
    fields = {"code": "8300", "filesystem": "ext4", **changes}
    return Partition(partition=number, device=f"/dev/sda{number}", start=number * GIB, size=4 * GIB, **fields)


CACHE: Final = part(4, code="CA00", label="CACHE", cache=True)
DISK: Final = Disk(
    disk=1,
    device="/dev/sda",
    identity="wwn-1 500",
    model="Disk",
    size=100 * GIB,
    sector_size=512,
    table="gpt",
    partitions=(part(1, code="EF00", filesystem="vfat"), part(), part(3), CACHE),
)


def holding(*partitions: Partition, **changes: Any) -> Disk:
    return replace(DISK, partitions=partitions, **changes)


def plan(disk: Disk = DISK, rules: PlanRules = RULES, **members: str) -> CapturePlan:
    return plan_capture(capture_request({**CALL, **members}), Inventory(disks=(disk,)), rules)


# --- what is planned ----------------------------------------------------------------------------------------------


def test_a_plan_binds_request_partition_and_destination() -> None:
    assert plan() == CapturePlan(
        request=capture_request(CALL),
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
        filesystem="ext4",
        destination="https://192.168.2.1/images/linux/ubuntu.img",
        whole=False,
        reduce=False,
    )


@pytest.mark.parametrize(
    ("template", "host", "destination"),
    [
        ("https://{ipr}/images/{nci}.img", "192.168.2.1", "https://192.168.2.1/images/a/b.img"),
        ("https://{ipr}:8443/dav/{nci}.img", "fd00::1", "https://[fd00::1]:8443/dav/a/b.img"),
        ("https://{ipr}/{nci}.img", "repo.example", "https://repo.example/a/b.img"),
        ("file:///opt/opengnsys/images/{nci}.img", "192.168.2.1", "file:///opt/opengnsys/images/a/b.img"),
    ],
)
def test_where_the_image_will_be(template: str, host: str, destination: str) -> None:
    made = plan(rules=replace(RULES, url=template), nci="/a/b", ipr=host)
    assert made.destination == destination


def test_the_second_disk_of_two() -> None:
    second = replace(DISK, disk=2, device="/dev/sdb", identity="wwn-2", partitions=(part(),))
    request = capture_request({**CALL, "dsk": "2"})
    target = plan_capture(request, Inventory(disks=(DISK, second)), RULES).target
    assert (target.disk, target.disk_device, target.identity) == (2, "/dev/sdb", "wwn-2")


REDUCIBLE: Final = ("ext2", "ext3", "ext4", "ntfs")
IMAGED: Final = sorted({each.blkid for each in FILESYSTEMS if each.partclone})


@pytest.mark.parametrize("filesystem", IMAGED)
@pytest.mark.parametrize("wanted", [True, False])
def test_only_what_can_be_made_smaller_is(filesystem: str, wanted: bool) -> None:
    made = plan(holding(part(filesystem=filesystem)), replace(RULES, reduce=wanted))
    assert made.reduce is (wanted and filesystem in REDUCIBLE)
    assert (made.filesystem, made.whole) == (filesystem, False)


@pytest.mark.parametrize("cpt", ["83", "CA00", "0"])
def test_a_partition_code_makes_no_difference_to_what_is_known(cpt: str) -> None:
    assert not plan(cpt=cpt).whole


@pytest.mark.parametrize("filesystem", ["", "minix", "squashfs", "iso9660"])
def test_what_nobody_knows_is_taken_whole_where_the_call_names_its_code(filesystem: str) -> None:
    disk = holding(part(filesystem=filesystem))
    made = plan(disk, replace(RULES, reduce=True), cpt="83")
    assert (made.whole, made.reduce, made.filesystem) == (True, False, filesystem)


def test_what_is_beside_it_does_not_matter() -> None:
    others = (part(3, mounted="/"), part(5, problem="it shares bytes with partition 6"), part(6, hibernated=True))
    assert plan(holding(part(), *others)).target.partition == 2


# --- what is refused ----------------------------------------------------------------------------------------------


class Refused(NamedTuple):
    """``said`` are words of message and hint."""

    code: str
    status: int
    number: int
    said: tuple[str, ...]


def refused(disk: Disk, expected: Refused, field: str = "par", **members: str) -> None:
    with pytest.raises(AgentError) as caught:
        plan(disk, RULES, **members)
    error = caught.value
    assert (error.code, error.status, error.number) == expected[:3]
    assert getattr(error, "field", field) == field
    assert all(word in f"{error.message} ({error.hint})" for word in expected.said), f"{error.message} ({error.hint})"
    assert error.der.startswith(f"{expected.number:03d}-")


@pytest.mark.parametrize("ipr", ["8.8.8.8", "2001:db8::1", "10.0.0.1"])
def test_a_repository_outside_the_networks(ipr: str) -> None:
    refused(DISK, Refused("repository-not-allowed", 422, 23, (ipr, "repository.allow")), "ipr", ipr=ipr)


def test_a_repository_is_judged_first() -> None:
    """What a machine holds is nothing for strangers."""
    refused(DISK, Refused("repository-not-allowed", 422, 23, ()), "ipr", ipr="8.8.8.8", dsk="7")


def test_a_disk_or_a_partition_that_is_not_there() -> None:
    refused(DISK, Refused("disk-not-found", 404, 2, ("no disk 2", "has 1")), "dsk", dsk="2")
    refused(DISK, Refused("partition-not-found", 404, 2, ("no partition 9", "1, 2, 3, 4")), par="9")


def test_a_disk_without_a_table() -> None:
    empty = holding(table=None)
    refused(empty, Refused("disk-not-partitioned", 422, 2, ("no partition table", "partition it first")), "")
    told = "it holds encrypted data (crypto_LUKS) on the whole disk, and no partitions"
    strange = holding(table=None, problem=told)
    refused(strange, Refused("disk-not-partitioned", 422, 2, (told, "lsblk -f /dev/sda")), "dsk")


@pytest.mark.parametrize(
    ("partition", "table"),
    [
        (part(cache=True), "gpt"),
        (part(label="CACHE"), "gpt"),
        (part(label="CACHE"), "msdos"),
        (part(name="CACHE"), "gpt"),
        (part(code="ca"), "msdos"),
        (part(label="CACHE", filesystem=""), "gpt"),
        (part(label="CACHE", mounted="/opt/opengnsys/cache"), "gpt"),
    ],
)
def test_the_cache_and_what_may_be_one(partition: Partition, table: str) -> None:
    expected = Refused("target-is-cache", 409, 3, ("partition 2 of disk 1 (/dev/sda2)", "CACHE", "another partition"))
    for disk in (holding(partition, table=table), holding(partition, CACHE, table=table)):
        refused(disk, expected)
        refused(disk, expected, cpt="83")


@pytest.mark.parametrize(
    ("table", "code", "what"),
    [
        ("gpt", "EF00", "EFI system"),
        ("msdos", "ef", "EFI system"),
        ("gpt", "0C01", "Microsoft reserved"),
        ("gpt", "EF02", "BIOS boot"),
        ("msdos", "5", "extended"),
        ("msdos", "f", "extended"),
        ("msdos", "85", "extended"),
        ("gpt", "4201", "dynamic disk"),
        ("msdos", "ee", "another partition table"),
    ],
)
@pytest.mark.parametrize("filesystem", ["", "vfat"])
def test_what_belongs_to_the_machine(table: str, code: str, what: str, filesystem: str) -> None:
    disk = holding(part(code=code, filesystem=filesystem), table=table)
    for members in ({}, {"cpt": "83"}):
        refused(disk, Refused("target-is-system", 409, 3, ("/dev/sda2", what)), **members)


@pytest.mark.parametrize(
    ("holder", "way_out"),
    [
        ("/mnt", "unmount"),
        ("/", "unmount"),
        ("[SWAP]", "swapoff"),
        ("[dm-0]", "vgchange"),
        ("[md127]", "mdadm"),
        ("[loop3]", "losetup"),
    ],
)
def test_what_somebody_uses(holder: str, way_out: str) -> None:
    disk = holding(part(mounted=holder))
    refused(disk, Refused("partition-in-use", 409, 3, (f"is in use: {holder}", way_out)))


@pytest.mark.parametrize(
    ("problem", "code", "said"),
    [
        ("it shares bytes with partition 3", "partition-overlaps", "mend the partition table"),
        (OLDER_TABLE, "partition-overlaps", "partx -u /dev/sda"),
        (PROTECTED, "target-is-system", "see the agent's configuration"),
        (f"{UNREADABLE}: Input/output error", "target-is-system", "dmesg"),
    ],
)
def test_what_has_a_problem(problem: str, code: str, said: str) -> None:
    refused(holding(part(problem=problem)), Refused(code, 409, 3, (problem, said)))


def test_what_shares_bytes_with_the_cache() -> None:
    (disk,) = mark_cache([holding(replace(part(), size=9 * GIB), part(4, label="CACHE"))])
    refused(disk, Refused("partition-overlaps", 409, 3, ("partition 4, the CACHE",)))


@pytest.mark.parametrize(
    ("filesystem", "what", "way_out"),
    [
        ("BitLocker", "encrypted by BitLocker", "manage-bde -off"),
        ("crypto_LUKS", "encrypted (LUKS)", "/dev/mapper"),
        ("LVM2_member", "a member of LVM", "ogagent capture /dev/GROUP/VOLUME"),
        ("linux_raid_member", "a member of a RAID array", "ogagent capture /dev/md"),
        ("zfs_member", "a member of a ZFS pool", "zfs send"),
        ("swap", "swap space", "another partition"),
        ("swsuspend", "swap space in which a system sleeps", "another partition"),
    ],
)
def test_what_is_no_file_system(filesystem: str, what: str, way_out: str) -> None:
    """Nor is it taken whole: an image of it would be of no use, or a secret."""
    for member in (False, True):
        disk = holding(part(filesystem=filesystem, member=member, hibernated=filesystem == "swsuspend"))
        for members in ({}, {"cpt": "83"}):
            refused(disk, Refused("filesystem-not-supported", 422, 20, (f"is {what}", way_out)), **members)


@pytest.mark.parametrize("filesystem", ["btrfs", "bcache", "drbd", "VMFS_volume_member"])
def test_a_member_of_another_volume(filesystem: str) -> None:
    disk = holding(part(filesystem=filesystem, member=True))
    for members in ({}, {"cpt": "83"}):
        expected = Refused("filesystem-not-supported", 422, 20, (filesystem, "member of a volume", "ogagent capture"))
        refused(disk, expected, **members)


def test_a_windows_that_sleeps() -> None:
    disk = holding(part(filesystem="ntfs", hibernated=True, code="0700"))
    refused(disk, Refused("partition-in-use", 409, 3, ("a Windows sleeps there", "shut it down", "fast start-up")))


@pytest.mark.parametrize("filesystem", ["", "ext4"])
def test_what_is_incomplete(filesystem: str) -> None:
    disk = holding(part(filesystem=filesystem, incomplete=True))
    for members in ({}, {"cpt": "83"}):
        refused(disk, Refused("filesystem-not-supported", 422, 20, ("INCOMPLETE", "deploy an image")), **members)


@pytest.mark.parametrize("filesystem", ["", "minix", "squashfs"])
def test_what_nobody_knows(filesystem: str) -> None:
    named = filesystem or "no file system"
    disk = holding(part(filesystem=filesystem))
    refused(disk, Refused("filesystem-not-supported", 422, 20, (named, "byte for byte", "(cpt)")))
