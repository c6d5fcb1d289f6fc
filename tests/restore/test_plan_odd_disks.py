"""Plans for disks and partitions that have a problem: refused, with what is the matter and what to do."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from ogagent.disk.codes import mark_cache
from ogagent.errors import (
    CacheMissing,
    DiskNotPartitioned,
    PartitionInUse,
    PartitionOverlaps,
    TargetIsCache,
    TargetIsSystem,
    TooFewPartitions,
)
from ogagent.model.disk import OLDER_TABLE, UNREADABLE, Inventory
from ogagent.restore.plan import plan_restore
from ogagent.restore.request import restore_request
from tests.restore.test_plan import CACHE, CALL, DISK, GIB, RULES, part, plan, with_partitions

OVERLAP = "it shares bytes with partition 3"
WITHOUT_CACHE = replace(RULES, cache_required=False)


def test_a_partition_that_shares_bytes_with_another() -> None:
    with pytest.raises(PartitionOverlaps) as caught:
        plan(with_partitions(part(2, problem=OVERLAP), CACHE))
    assert (caught.value.code, caught.value.number, caught.value.field) == ("partition-overlaps", 3, "par")
    assert caught.value.message == f"partition 2 of disk 1 (/dev/sda2): {OVERLAP}"
    assert caught.value.hint


def test_what_shares_bytes_with_the_cache_is_refused_with_its_name_also_while_that_is_mounted() -> None:
    cache = part(4, name="CACHE", mounted="/opt/opengnsys/cache")
    into = replace(part(2, problem=OVERLAP, mounted="/opt/opengnsys/cache"), size=9 * GIB)
    (disk,) = mark_cache([with_partitions(into, cache)])
    with pytest.raises(PartitionOverlaps, match="shares bytes with partition 4, the CACHE"):
        plan(disk)


def test_another_partition_with_a_problem_is_no_reason() -> None:
    assert plan(with_partitions(part(2), part(3, problem=OVERLAP), CACHE)).target.partition == 2


def test_the_cache_is_the_cache_whatever_its_problem() -> None:
    with pytest.raises(TargetIsCache):
        plan(with_partitions(part(2), replace(CACHE, problem=OVERLAP)), par="4")


def test_a_kernel_that_goes_by_an_older_table() -> None:
    with pytest.raises(PartitionOverlaps) as caught:
        plan(with_partitions(part(2, problem=OLDER_TABLE), CACHE))
    assert "the kernel still goes by an older table" in caught.value.message
    assert caught.value.hint == "have it read again (partx -u /dev/sda), or restart"
    with pytest.raises(PartitionInUse):  # which is why it does
        plan(with_partitions(part(2, problem=OLDER_TABLE, mounted="/mnt"), CACHE))


def test_a_partition_that_cannot_be_read_may_be_anything() -> None:
    with pytest.raises(TargetIsSystem) as caught:
        plan(with_partitions(part(2, problem=f"{UNREADABLE}: Input/output error"), CACHE))
    assert caught.value.message == "partition 2 of disk 1 (/dev/sda2): it cannot be read: Input/output error"
    assert "dmesg" in caught.value.hint


@pytest.mark.parametrize("table", [None, "gpt"])
def test_a_disk_that_holds_something_else_is_not_told_to_be_partitioned(table: None) -> None:
    told = "it holds encrypted data (crypto_LUKS) on the whole disk, and no partitions"
    disk = replace(DISK, table=table, partitions=(), problem=told)
    with pytest.raises(DiskNotPartitioned) as caught:
        plan(disk)
    assert (caught.value.code, caught.value.message) == ("disk-not-partitioned", f"disk 1 (/dev/sda): {told}")
    assert "partition it" not in caught.value.hint
    assert "/dev/sda" in caught.value.hint


def test_only_an_empty_disk_is_told_to_be_partitioned() -> None:
    with pytest.raises(DiskNotPartitioned) as caught:
        plan(replace(DISK, table=None, partitions=()))
    assert caught.value.hint == "partition it first"
    with pytest.raises(TooFewPartitions) as few:
        plan_restore(restore_request(CALL), Inventory(disks=(with_partitions(),)), WITHOUT_CACHE)
    assert "partition it first" not in few.value.hint


def test_where_a_cache_may_be_that_cannot_be_read_nobody_is_told_to_make_one() -> None:
    with pytest.raises(CacheMissing) as caught:
        plan(with_partitions(part(1), part(2)))
    assert "make one" in caught.value.hint
    for disk in (
        with_partitions(part(1), part(2), part(3, problem=OVERLAP)),
        with_partitions(
            part(1), part(2), part(3, code="5", problem="the chain of logical partitions runs in a circle")
        ),
    ):
        with pytest.raises(CacheMissing) as caught:
            plan(disk)
        assert "make one" not in caught.value.hint
        assert "/dev/sda" in caught.value.hint
    unread = replace(DISK, disk=2, device="/dev/sdb", table=None, partitions=(), problem=f"{UNREADABLE}: EIO")
    with pytest.raises(CacheMissing, match="what can be read") as caught:
        plan_restore(restore_request(CALL), Inventory(disks=(with_partitions(part(1), part(2)), unread)), RULES)
    assert "/dev/sdb" in caught.value.hint
