"""Partitions that are not to be touched, whatever is asked for."""

from __future__ import annotations

from typing import Final

from ogagent.disk.codes import no_place_for_an_image
from ogagent.errors import PartitionInUse, PartitionOverlaps, TargetIsSystem
from ogagent.model.disk import OLDER_TABLE, PROTECTED, UNREADABLE, Disk, Partition

_WAYS_OUT: Final = (
    ("[SWAP]", "switch it off first: swapoff"),
    ("[dm-", "close what is built on it first: vgchange -an, cryptsetup close, dmsetup remove"),
    ("[md", "stop the array first: mdadm --stop"),
    ("[loop", "take the loop device off it first: losetup --detach"),
)


def refuse_precious(disk: Disk, partition: Partition, where: str = "", *, force: bool = False) -> None:
    """``where`` is what the partition is called; empty: by its numbers. ``force``: a member of a volume may go.

    Raises PartitionOverlaps, PartitionInUse or TargetIsSystem.
    """
    where = where or f"partition {partition.partition} of disk {disk.disk} ({partition.device})"
    told = f"{where}: {partition.problem}"
    if partition.problem == PROTECTED:
        raise TargetIsSystem(told, field="par", hint="choose another partition, or see the agent's configuration")
    older, unreadable = partition.problem == OLDER_TABLE, partition.problem.startswith(UNREADABLE)
    if partition.problem and not older and not unreadable:
        raise PartitionOverlaps(told, field="par", hint="mend the partition table, or choose another partition")
    if partition.mounted:
        hint = _how_to_free(partition.mounted)
        raise PartitionInUse(f"{where} is in use: {partition.mounted}", field="par", hint=hint)
    if partition.member and not force:
        raise member_of_a_volume(where, partition.filesystem)
    if what := no_place_for_an_image(partition.code):
        raise TargetIsSystem(f"{where} is {what}", field="par")
    if unreadable:  # so it may be anything
        raise TargetIsSystem(
            told, field="par", hint="look at the kernel log (dmesg) and at the disk's health (smartctl)"
        )
    if older:
        raise PartitionOverlaps(told, field="par", hint=f"have it read again (partx -u {disk.device}), or restart")


def member_of_a_volume(where: str, filesystem: str) -> PartitionInUse:
    return PartitionInUse(
        f"{where} is a member of a volume ({filesystem}), and what lies on the others would go with it",
        field="par",
        hint='take it out of the volume first; or, when nobody needs that any more, ask with "force": "1"',
    )


def _how_to_free(holder: str) -> str:
    return next((how for beginning, how in _WAYS_OUT if holder.startswith(beginning)), "unmount it first")
