"""The disk and the partition that a request names by their numbers."""

from __future__ import annotations

from ogagent.errors import DiskNotFound, DiskNotPartitioned, PartitionNotFound
from ogagent.model.disk import Disk, Inventory, Partition


def chosen_disk(number: int, inventory: Inventory) -> Disk:
    """Raises DiskNotFound, and DiskNotPartitioned for one without a table that can be gone by."""
    disk = next((disk for disk in inventory.disks if disk.disk == number), None)
    if disk is None:
        known = ", ".join(str(disk.disk) for disk in inventory.disks) or "none"
        raise DiskNotFound(f"there is no disk {number}: this machine has {known}", field="dsk")
    if disk.problem:
        raise DiskNotPartitioned(
            f"disk {disk.disk} ({disk.device}): {disk.problem}",
            field="dsk",
            hint=f"look at it (lsblk -f {disk.device}; sfdisk -l {disk.device}) before anything is done to it",
        )
    if disk.table is None:
        raise DiskNotPartitioned(f"disk {disk.disk} ({disk.device}) has no partition table", hint="partition it first")
    return disk


def chosen_partition(number: int, disk: Disk) -> Partition:
    """Raises PartitionNotFound."""
    partition = next((part for part in disk.partitions if part.partition == number), None)
    if partition is None:
        known = ", ".join(str(part.partition) for part in disk.partitions)
        raise PartitionNotFound(f"disk {disk.disk} has no partition {number}, only {known or 'none'}", field="par")
    return partition
