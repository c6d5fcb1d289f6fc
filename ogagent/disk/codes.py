"""Partition codes of OpenGnsys, and which partition of a machine is the CACHE."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from msgspec.structs import replace

from ogagent.model.disk import Disk, Partition, TableKind

CACHE: Final = "CACHE"
UNKNOWN: Final = "0000"
_LINUX: Final = "8300"
_GPT_CACHE: Final = "CA00"
_MSDOS_CACHE: Final = "ca"

# GPT partition types as `sfdisk --list-types --label gpt` prints them. OpenGnsys has one code for everything of Linux
# that is a file system, whatever it is mounted on.
_GPT_CODES: Final = {
    "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7": "0700",  # Microsoft basic data
    "E3C9E316-0B5C-4DB8-817D-F92DF00215AE": "0C01",  # Microsoft reserved
    "DE94BBA4-06D1-4D40-A16A-BFD50179D6AC": "2700",  # Windows recovery environment
    "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F": "8200",  # Linux swap
    "0FC63DAF-8483-4772-8E79-3D69D8477DE4": _LINUX,  # Linux filesystem
    "44479540-F297-41B2-9AF7-D131D5F0458A": _LINUX,  # Linux root (x86)
    "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709": _LINUX,  # Linux root (x86-64)
    "B921B045-1DF0-41C3-AF44-4C6F280D3FAE": _LINUX,  # Linux root (ARM-64)
    "8484680C-9521-48C6-9C11-B0720656F69E": _LINUX,  # Linux /usr (x86-64)
    "933AC7E1-2EB4-4F13-B844-0E14E2AEF915": _LINUX,  # Linux home
    "3B8F8425-20E0-4F3B-907F-1A25A76F98E8": _LINUX,  # Linux server data
    "4D21B016-B534-45C2-A9FB-5C16E091FD2D": _LINUX,  # Linux variable data
    "7EC6F557-3BC5-4ACA-B293-16EF5DF639D1": _LINUX,  # Linux temporary data
    "BC13C2FF-59E6-4262-A352-B275FD6F7172": _LINUX,  # Linux extended boot
    "E6D6D379-F507-44C2-A23C-238F2A3DF928": "8E00",  # Linux LVM
    "516E7CB4-6ECF-11D6-8FF8-00022D09712B": "A500",  # FreeBSD data
    "48465300-0000-11AA-AA11-00306543ECAC": "AF00",  # Apple HFS/HFS+
    "C12A7328-F81F-11D2-BA4B-00A0C93EC93B": "EF00",  # EFI System
    "21686148-6449-6E6F-744E-656564454649": "EF02",  # BIOS boot
    "A19D880F-05FC-4D3B-A006-743F0F84911E": "FD00",  # Linux RAID
}


def partition_code(table: TableKind, partition_type: str) -> str:
    """``partition_type`` as ``sfdisk --json`` prints it: a type byte in hexadecimal, or a GUID."""
    if table == "msdos":
        return partition_type.lower()
    return _GPT_CODES.get(partition_type.upper(), UNKNOWN)


def is_extended(table: TableKind, code: str) -> bool:
    """Whether the partition is only the room for the logical ones."""
    return table == "msdos" and code in {"5", "f", "85"}


def mark_cache(disks: Sequence[Disk]) -> tuple[Disk, ...]:
    """At most one partition of the machine is the CACHE: the first that meets the first rule any of them meets."""
    for rule in _RULES:
        for disk in disks:
            for partition in disk.partitions:
                if rule(disk, partition):
                    return tuple(_with_cache(each, partition) if each is disk else each for each in disks)
    return tuple(disks)


_RULES: Final[tuple[Callable[[Disk, Partition], bool], ...]] = (
    lambda _, partition: partition.label == CACHE,
    lambda disk, partition: disk.table == "gpt" and partition.name == CACHE,
    lambda disk, partition: disk.table == "msdos" and partition.code == _MSDOS_CACHE,
)


def _with_cache(disk: Disk, cache: Partition) -> Disk:
    code = _GPT_CACHE if (disk.table, cache.code) == ("gpt", _LINUX) else cache.code
    marked = replace(cache, cache=True, code=code)
    return replace(disk, partitions=tuple(marked if each is cache else each for each in disk.partitions))
