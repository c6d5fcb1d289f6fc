"""From request, inventory and image header to a plan or a refusal. Pure: nothing here looks at the machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from ogagent.disk.codes import may_be_a_cache
from ogagent.disk.lookup import find_disk, find_partition, refuse_without_table
from ogagent.disk.precious import refuse_precious
from ogagent.disk.sleepers import hibernated_beside
from ogagent.errors import (
    CacheMissing,
    FilesystemMismatch,
    ImageTooLarge,
    MethodNotSupported,
    SessionNotJoined,
    TargetIsCache,
    TooFewPartitions,
)
from ogagent.model.disk import Disk, Inventory, Partition
from ogagent.model.filesystem import family_of_code, of_image
from ogagent.model.method import METHODS, UNICAST, Engine, Way, way_of
from ogagent.model.plan import ImageHeader, Target, bound, cache_place
from ogagent.model.repository import Networks, image_url
from ogagent.restore.request import RestorePlan, RestoreRequest
from ogagent.source.location import refuse_outside

_ALONE: Final = SessionNotJoined("crowd.enabled is false: the image comes from the repository alone")
_SAME_SECTORS: Final = "make the image on a disk with the same sector size"


class Rules(Struct, frozen=True, kw_only=True):
    """What the configuration says about plans. ``crowd``: whether this machine takes part in one; ``missing`` are the
    engines that cannot here, and what there is to do about it.
    """

    repository_url: str
    repository_networks: Networks
    cache_required: bool
    crowd: bool = True
    missing: Mapping[Engine, str] = {}


def plan_restore(request: RestoreRequest, inventory: Inventory, rules: Rules) -> RestorePlan:
    """Raises the Refusal that fits when the request cannot be carried out on this machine."""
    way = _way(request, rules)
    refuse_outside(request.ipr, rules.repository_networks)
    disk = find_disk(request.dsk, inventory)
    partition = _partition(request.par, disk, inventory, rules)
    refuse_precious(disk, partition, force=request.force)
    source = image_url(rules.repository_url, request.ipr, request.nci)
    cache = None if way.direct else cache_place(inventory)
    suspended, sleeping = hibernated_beside([partition], inventory)
    return RestorePlan(
        request=request,
        target=bound(disk, partition),
        source=source,
        cache=cache,
        suspended=suspended,
        sleeping=sleeping,
        session=way.session if rules.crowd else None,
        remarks=(_ALONE.der,) if way.session and not rules.crowd else (),
    )


def _way(request: RestoreRequest, rules: Rules) -> Way:
    way = way_of(request.method, request.method_options)
    if way is None:
        raise MethodNotSupported(
            f"method {request.method!r} is not supported",
            field="method",
            hint=f"use one of {', '.join(METHODS)}, or one of them with -direct",
        )
    if rules.crowd and way.session and way.session.engine in rules.missing:
        raise MethodNotSupported(
            f"method {request.method!r} cannot be used on this machine",
            field="method",
            hint=f"{rules.missing[way.session.engine]}, or use {UNICAST}",
        )
    return way


def check_image(plan: RestorePlan, header: ImageHeader) -> None:
    """Raises ImageTooLarge or FilesystemMismatch when the image does not suit the partition."""
    target = plan.target
    check_size(header.device_size, target)
    wanted, found = family_of_code(plan.request.cpt), of_image(header.filesystem)
    if wanted and found and found.family not in (None, wanted):
        raise FilesystemMismatch(
            f"the image holds {header.filesystem} ({found.family}), partition code {plan.request.cpt} is for {wanted}",
            hint="check the image and the partition code (cpt) of the request",
        )
    if header.format != "raw" and header.block_size % target.sector_size:
        raise FilesystemMismatch(
            f"the image has blocks of {header.block_size} bytes, the disk has sectors of {target.sector_size}",
            hint=_SAME_SECTORS,
        )
    check_sectors(header.filesystem, header.sector_size, target)


def check_sectors(filesystem: str, sector_size: int, target: Target) -> None:
    """Raises FilesystemMismatch for a file system that would not mount on this disk; 0: it does not say.

    Linux mounts what has sectors, or blocks, no smaller than the disk's: set_blocksize in block/bdev.c, by which XFS,
    btrfs, ext and F2FS go. Windows wants the disk's own: FatMountVolume in fastfat's fsctrl.c, of Microsoft's driver
    samples. That ntfs3 and ntfs-3g are content with others helps no Windows.
    """
    known = of_image(filesystem)
    windows = known is not None and known.family == "Windows"
    if sector_size and (sector_size != target.sector_size if windows else sector_size % target.sector_size):
        raise FilesystemMismatch(
            f"the image's {filesystem} has sectors of {sector_size} bytes, the disk has sectors of "
            f"{target.sector_size}: it would not mount",
            hint=_SAME_SECTORS,
        )


def check_size(needed: int, target: Target) -> None:
    if needed > target.size:
        raise ImageTooLarge(
            f"The image needs {needed} bytes, {target.name} has {target.size}",
            hint="make the partition larger, or choose another one",
        )


def _partition(number: int, disk: Disk, inventory: Inventory, rules: Rules) -> Partition:
    refuse_without_table(disk)
    needed = 2 if rules.cache_required else 1
    if sum(len(each.partitions) for each in inventory.disks) < needed or not disk.partitions:
        raise TooFewPartitions(
            f"disk {disk.disk} ({disk.device}) has {len(disk.partitions)} partition(s)",
            hint="a deployment needs a partition for the image and one named CACHE"
            if needed > 1
            else "make a partition for the image",
        )
    partition = find_partition(number, disk)
    if partition.cache:
        raise TargetIsCache(f"partition {number} of disk {disk.disk} is the CACHE", field="par")
    if may_be_a_cache(disk, partition):
        raise TargetIsCache(
            f"partition {number} of disk {disk.disk} is a CACHE as well, though another one is used",
            field="par",
            hint="if it is none, give it another label, name or type first",
        )
    if rules.cache_required and inventory.cache is None:
        raise _cache_missing(inventory)
    return partition


def _cache_missing(inventory: Inventory) -> CacheMissing:
    for disk in inventory.disks:
        if any((disk.problem, *(part.problem for part in disk.partitions))):
            return CacheMissing(
                "no partition named CACHE on what can be read of this machine",
                hint=f"look at what is wrong with disk {disk.disk} ({disk.device}) before one is made: ogagent disks",
            )
    return CacheMissing("no partition named CACHE on this machine", hint="make one, or set cache.required = false")
