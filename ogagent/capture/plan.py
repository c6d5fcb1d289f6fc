"""From request and inventory to a plan or a refusal. Pure: nothing here looks at the machine."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from ogagent.capture.request import CapturePlan, CaptureRequest
from ogagent.disk.codes import may_be_a_cache
from ogagent.disk.lookup import find_disk, find_partition, refuse_without_table
from ogagent.disk.precious import refuse_precious
from ogagent.errors import FilesystemNotSupported, ModelNotClean, TargetIsCache
from ogagent.model.disk import Disk, Inventory, Partition
from ogagent.model.filesystem import by_blkid
from ogagent.model.plan import bound
from ogagent.model.repository import Networks, image_url
from ogagent.resize.reduce import reducible
from ogagent.source.location import refuse_outside

_OWN_SWAP: Final = "choose another partition: swap space holds nothing to keep, and each PC makes its own"
_NOT_CAPTURED: Final = {
    "BitLocker": ("encrypted by BitLocker", "switch that off first, in Windows (manage-bde -off)"),
    "crypto_LUKS": (
        "encrypted (LUKS), so nobody can tell which of its blocks are in use",
        "capture what it holds by hand, once it is open: ogagent capture /dev/mapper/NAME",
    ),
    "LVM2_member": ("a member of LVM", "capture each of its volumes by hand: ogagent capture /dev/GROUP/VOLUME"),
    "linux_raid_member": ("a member of a RAID array", "capture what is on it by hand: ogagent capture /dev/mdN"),
    "zfs_member": ("a member of a ZFS pool", "let ZFS do it: zfs send"),
    "swap": ("swap space", _OWN_SWAP),
    "swsuspend": ("swap space in which a system sleeps", _OWN_SWAP),
}
"""What it is, and what to do."""
_HIBERNATED: Final = "start Windows and shut it down, with fast start-up off"


class PlanRules(Struct, frozen=True, kw_only=True):
    """What the configuration says about plans."""

    url: str
    networks: Networks
    reduce: bool


def plan_capture(request: CaptureRequest, inventory: Inventory, rules: PlanRules) -> CapturePlan:
    """Raises the Refusal that fits when the request cannot be carried out on this machine, or ModelNotClean."""
    refuse_outside(request.ipr, rules.networks)
    disk = find_disk(request.dsk, inventory)
    refuse_without_table(disk)
    partition = find_partition(request.par, disk)
    _refuse_cache(disk, partition)
    if partition.filesystem in _NOT_CAPTURED:
        raise _not_captured(disk, partition, *_NOT_CAPTURED[partition.filesystem])
    if partition.member:
        what = f"a member of a volume ({partition.filesystem})"
        raise _not_captured(disk, partition, what, "capture the volume by hand: ogagent capture DEVICE")
    refuse_precious(disk, partition)
    if partition.incomplete:
        raise _not_captured(disk, partition, "INCOMPLETE", "deploy an image onto it first")
    if partition.hibernated:
        raise ModelNotClean(f"{_where(disk, partition)}: a Windows sleeps there", hint=_HIBERNATED)
    known = by_blkid(partition.filesystem)
    whole = known is None or known.partclone is None
    if whole and not request.cpt:
        what = f"{partition.filesystem}, which is not known here" if partition.filesystem else "no file system"
        raise FilesystemNotSupported(
            f"{_where(disk, partition)} holds {what}",
            field="par",
            hint="to take all of it, byte for byte, name its partition code (cpt)",
        )
    return CapturePlan(
        request=request,
        target=bound(disk, partition),
        filesystem=partition.filesystem,
        destination=image_url(rules.url, request.ipr, request.nci),
        whole=whole,
        reduce=rules.reduce and reducible(partition.filesystem),
    )


def _refuse_cache(disk: Disk, partition: Partition) -> None:
    if partition.cache or may_be_a_cache(disk, partition):
        raise TargetIsCache(
            f"{_where(disk, partition)} is the CACHE, which holds images and is none",
            field="par",
            hint="choose another partition, or take its label off one that is no CACHE any more",
        )


def _not_captured(disk: Disk, partition: Partition, what: str, hint: str) -> FilesystemNotSupported:
    return FilesystemNotSupported(f"{_where(disk, partition)} is {what}", field="par", hint=hint)


def _where(disk: Disk, partition: Partition) -> str:
    return f"partition {partition.partition} of disk {disk.disk} ({partition.device})"
