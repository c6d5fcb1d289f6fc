"""Disks and partitions as the inventory finds them."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

TableKind = Literal["gpt", "msdos"]

OLDER_TABLE: Final = "the kernel still goes by an older table of this disk"
UNREADABLE: Final = "it cannot be read"
"""The problem, or how it begins, of a partition that the kernel has elsewhere, and of what could not be read."""
PROTECTED: Final = "it is protected: it, or something in it, is named in disks.exclude"
"""The problem of a partition that must never be written to, whatever else is wrong with it."""


class Partition(Struct, frozen=True, kw_only=True):
    """One partition. ``start`` and ``size`` are in bytes.

    ``code`` is the partition code of OpenGnsys in hexadecimal: for MSDOS the type byte as ``sfdisk`` prints it (``7``,
    ``83``, ``ca``), for GPT four digits (``8300``; ``CA00`` for a Linux partition that is the CACHE; ``0000`` for a
    type that has no code). ``used`` is a percentage, None where it cannot be known. ``mounted`` says what holds the
    partition: a mount point, ``[SWAP]``, or ``[dm-0]``/``[md0]`` for a volume built on it; None when nothing does.
    ``member``: it is part of a volume of several devices (LVM, RAID, ZFS, btrfs), whether that is active or not.
    ``hibernated``: a system sleeps in it, Linux in swap space, Windows on its own partition.
    ``unfinished``: it holds an image, and was not made ready. ``problem`` says, for people, why nothing may be written
    to it; empty when all is well.
    """

    partition: int
    device: str
    start: int
    size: int
    code: str
    filesystem: str = ""
    label: str = ""
    name: str = ""
    os: str = ""
    used: int | None = None
    cache: bool = False
    mounted: str | None = None
    member: bool = False
    hibernated: bool = False
    incomplete: bool = False
    unfinished: bool = False
    problem: str = ""


class Disk(Struct, frozen=True, kw_only=True):
    """One disk, numbered from 1. ``identity`` is what a job binds to: WWN, serial or device path, with the size.

    ``table`` is None for a disk without a partition table that this agent knows. ``problem`` says, for people, what
    else is there, or why the disk cannot be read; without a table and without a problem a disk is empty.
    """

    disk: int
    device: str
    identity: str
    model: str
    size: int
    sector_size: int
    table: TableKind | None
    partitions: tuple[Partition, ...] = ()
    problem: str = ""


class Inventory(Struct, frozen=True, kw_only=True):
    disks: tuple[Disk, ...] = ()

    @property
    def cache(self) -> Partition | None:
        """The CACHE of this machine, the first one in order of disk and partition."""
        return next((part for disk in self.disks for part in disk.partitions if part.cache), None)
