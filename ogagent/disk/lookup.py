"""Disks and partitions by the numbers that a call names."""

from __future__ import annotations

from ogagent.errors import DiskChanged, DiskNotFound, DiskNotPartitioned, PartitionNotFound
from ogagent.model.disk import Disk, Inventory, Partition


def find_disk(number: int, inventory: Inventory) -> Disk:
    """Raises DiskNotFound."""
    disk = next((disk for disk in inventory.disks if disk.disk == number), None)
    if disk is None:
        known = ", ".join(str(disk.disk) for disk in inventory.disks) or "none"
        raise DiskNotFound(f"there is no disk {number}: this machine has {known}", field="dsk")
    return disk


def check_identity(wanted: str, number: int, found: str) -> None:
    """Raises DiskChanged when the request names a disk (``wanted``), and another one has its number."""
    if wanted and wanted != found:
        raise DiskChanged(
            f"disk {number} is {found}, the request means {wanted}",
            hint="read the inventory again, and repeat the request with the number that the disk has now",
        )


def refuse_without_table(disk: Disk) -> None:
    """Raises DiskNotPartitioned."""
    if disk.problem:
        raise DiskNotPartitioned(
            f"disk {disk.disk} ({disk.device}): {disk.problem}",
            field="dsk",
            hint=f"look at it (lsblk -f {disk.device}; sfdisk -l {disk.device}) before anything is done to it",
        )
    if disk.table is None:
        raise DiskNotPartitioned(f"disk {disk.disk} ({disk.device}) has no partition table", hint="partition it first")


def find_partition(number: int, disk: Disk) -> Partition:
    """Raises PartitionNotFound."""
    partition = next((part for part in disk.partitions if part.partition == number), None)
    if partition is None:
        known = ", ".join(str(part.partition) for part in disk.partitions) or "none"
        raise PartitionNotFound(f"disk {disk.disk} has no partition {number}, only {known}", field="par")
    return partition
