"""What a restore will do, decided before anything is written."""

from __future__ import annotations

from msgspec import Struct

from ogagent.model.disk import Disk, Inventory, Partition
from ogagent.model.job import JobTarget


class Target(Struct, frozen=True, kw_only=True):
    """A partition, bound to its place on a disk with a known identity. ``start`` and ``size`` in bytes.

    Disk and partition are 0 for what an operator names by its path.
    """

    disk: int
    partition: int
    device: str
    disk_device: str
    identity: str
    start: int
    size: int
    sector_size: int
    problem: str = ""
    """Why it must not be written to; a target has none."""

    @property
    def named(self) -> JobTarget:
        """As a job shows it."""
        return JobTarget(disk=self.disk, partition=self.partition, device=self.device, identity=self.identity)

    @property
    def name(self) -> str:
        """For people."""
        return f"partition {self.partition} of disk {self.disk}" if self.disk else self.device


def bound(disk: Disk, partition: Partition) -> Target:
    """To where it lies now."""
    return Target(
        disk=disk.disk,
        partition=partition.partition,
        device=partition.device,
        disk_device=disk.device,
        identity=disk.identity,
        start=partition.start,
        size=partition.size,
        sector_size=disk.sector_size,
        problem=partition.problem,
    )


def cache_place(inventory: Inventory) -> Target | None:
    places = (bound(disk, part) for disk in inventory.disks for part in disk.partitions if part.cache)
    return next(places, None)


class ImageHeader(Struct, frozen=True, kw_only=True):
    """What an image says of itself before its first block. Sizes in bytes.

    ``device_size`` is what the partition must have at least; ``used_bytes`` what will be written (None until it is
    known, as for a compressed raw image). ``checksum`` is ``none``, ``crc32``, ``xxh64`` or ``xxh128``. ``sector_size``
    is what the file system says of it, 0 when the header does not.
    """

    container: str
    format: str
    filesystem: str
    block_size: int
    device_size: int
    used_bytes: int | None
    checksum: str = "none"
    blocks_per_checksum: int = 0
    sector_size: int = 0


class Preview(Struct, frozen=True, kw_only=True):
    """A plan, and the image as it is found in the repository."""

    target: Target
    source: str
    image: ImageHeader
    warnings: tuple[str, ...] = ()
    """As the job would have them, ``NNN-text``."""
    finish: tuple[str, ...] = ()
    """What would be done to make the partition ready, as far as that can be told before its image is there."""
