"""From a request's numbers to the partition that is booted, or a refusal. Pure: nothing here looks at the machine."""

from __future__ import annotations

from ogagent.disk.codes import is_esp, may_be_a_cache, no_place_for_an_image
from ogagent.disk.lookup import find_disk, find_partition, refuse_without_table
from ogagent.errors import DiskNotPartitioned, NothingToBoot, PartitionInUse
from ogagent.model.disk import PROTECTED, Disk, Inventory, Partition
from ogagent.model.filesystem import NTFS, by_blkid
from ogagent.model.plan import Target, bound
from ogagent.power.power import BootPlace


def boot_place(disk_number: int, partition_number: int, inventory: Inventory) -> BootPlace:
    """Raises DiskNotFound, DiskNotPartitioned, PartitionNotFound, PartitionInUse, NothingToBoot."""
    disk = find_disk(disk_number, inventory)
    refuse_without_table(disk)
    partition = find_partition(partition_number, disk)
    if disk.table is None:
        raise DiskNotPartitioned(f"disk {disk.disk} ({disk.device}) has no partition table")
    if partition.mounted:
        raise PartitionInUse(
            f"partition {partition.partition} of disk {disk.disk} is in use: {partition.mounted}",
            field="par",
            hint="unmount it first",
        )
    if why := _no_system(disk, partition):
        raise NothingToBoot(
            f"partition {partition.partition} of disk {disk.disk} holds no system: {why}",
            field="par",
            hint="restore an image onto it, or choose another partition",
        )
    return BootPlace(
        partition=bound(disk, partition),
        filesystem=partition.filesystem,
        table=disk.table,
        esps=_esps(disk, inventory),
    )


def _no_system(disk: Disk, partition: Partition) -> str:
    """Why not; empty when there may be one."""
    known, piece = by_blkid(partition.filesystem), no_place_for_an_image(partition.code)
    reasons = (
        (partition.incomplete, "it is INCOMPLETE"),
        (partition.cache or may_be_a_cache(disk, partition), "it is a CACHE"),
        (partition.problem not in ("", PROTECTED), partition.problem),
        (piece, f"it is {piece}"),
        (not partition.filesystem, "it has no file system"),
        (
            known is None or (known.family != "Linux" and known is not NTFS),
            f"nothing starts from {partition.filesystem}",
        ),
    )
    return next((why for there, why in reasons if there), "")


def _esps(disk: Disk, inventory: Inventory) -> tuple[Target, ...]:
    others = (each for each in inventory.disks if each is not disk)
    return tuple(
        bound(each, part)
        for each in (disk, *others)
        for part in each.partitions
        if is_esp(part.code) and part.filesystem == "vfat" and part.problem in ("", PROTECTED)
    )
