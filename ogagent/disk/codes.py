"""Partition codes of OpenGnsys, which of them are no place for an image, and which partition is the CACHE."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from msgspec.structs import replace

from ogagent.disk.layout import is_extended, shares_bytes, span_of
from ogagent.model.disk import Disk, Partition, TableKind

CACHE: Final = "CACHE"
UNKNOWN: Final = "0000"
_LINUX: Final = "8300"
_GPT_CACHE: Final = "CA00"
_MSDOS_CACHE: Final = "ca"

# GPT partition types as `sfdisk --list-types --label gpt` prints them. OpenGnsys has one code for everything of Linux
# that is a file system, whatever it is mounted on. Where it has none the code is gdisk's, from which it took its own.
_GPT_CODES: Final = {
    "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7": "0700",  # Microsoft basic data
    "E3C9E316-0B5C-4DB8-817D-F92DF00215AE": "0C01",  # Microsoft reserved
    "DE94BBA4-06D1-4D40-A16A-BFD50179D6AC": "2700",  # Windows recovery environment
    "7412F7D5-A156-4B13-81DC-867174929325": "3000",  # ONIE boot
    "D4E6E2CD-4469-46F3-B5CB-1BFF57AFC149": "3001",  # ONIE config
    "9E1A2D38-C612-4316-AA26-8B49521E5A8B": "4100",  # PowerPC PReP boot
    "AF9B60A0-1431-4F62-BC68-3311714A69AD": "4200",  # Microsoft LDM data
    "5808C8AA-7E8F-42E0-85D2-E1E90434CFB3": "4201",  # Microsoft LDM metadata
    "E75CAF8F-F680-4CEE-AFA3-B001E56EFC2D": "4202",  # Microsoft Storage Spaces
    "FE3A2A5D-4F32-41A7-B725-ACCC3285A309": "7F00",  # ChromeOS kernel
    "2E0A753D-9E48-43B0-8337-B15192CB1B5E": "7F02",  # ChromeOS reserved
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
    "8DA63339-0007-60C0-C436-083AC8230908": "8301",  # Linux reserved
    "D3BFE2DE-3DAF-11DF-BA40-E3A556D89593": "8400",  # Intel Fast Flash
    "E6D6D379-F507-44C2-A23C-238F2A3DF928": "8E00",  # Linux LVM
    "516E7CB4-6ECF-11D6-8FF8-00022D09712B": "A500",  # FreeBSD data
    "83BD6B9D-7F41-11DC-BE0B-001560B84F0F": "A501",  # FreeBSD boot
    "85D5E45E-237C-11E1-B4B3-E89A8F7FC3A7": "A581",  # MidnightBSD boot
    "426F6F74-0000-11AA-AA11-00306543ECAC": "AB00",  # Apple boot
    "48465300-0000-11AA-AA11-00306543ECAC": "AF00",  # Apple HFS/HFS+
    "52414944-0000-11AA-AA11-00306543ECAC": "AF01",  # Apple RAID
    "52414944-5F4F-11AA-AA11-00306543ECAC": "AF02",  # Apple RAID offline
    "53746F72-6167-11AA-AA11-00306543ECAC": "AF05",  # Apple Core storage
    "6A82CB45-1DD2-11B2-99A6-080020736631": "BE00",  # Solaris boot
    "6A945A3B-1DD2-11B2-99A6-080020736631": "BF07",  # Solaris reserved 1
    "F4019732-066E-4E12-8273-346C5641494F": "ED00",  # Sony boot partition
    "BFBFAFE7-A34F-448A-9A5B-6213EB736C22": "ED01",  # Lenovo boot partition
    "C12A7328-F81F-11D2-BA4B-00A0C93EC93B": "EF00",  # EFI System
    "024DEE41-33E7-11D3-9D69-0008C781F39F": "EF01",  # MBR partition scheme
    "21686148-6449-6E6F-744E-656564454649": "EF02",  # BIOS boot
    "9198EFFC-31C0-11DB-8F78-000C2911D1B8": "FB01",  # VMware Reserved
    "9D275380-40AD-11DB-BF97-000C2911D1B8": "FC00",  # VMware Diagnostic
    "A19D880F-05FC-4D3B-A006-743F0F84911E": "FD00",  # Linux RAID
}

_ESP: Final = ("ef", "ef00")
_BIOS_BOOT: Final = "ef02"

# Firmware, boot loaders and makers' tools look for these, or they are pieces of something larger. What is merely data
# of another system is not in here.
_NO_PLACE: Final = {
    **dict.fromkeys(_ESP, "an EFI system partition"),
    _BIOS_BOOT: "a BIOS boot partition",
    "0c01": "a Microsoft reserved partition",
    **dict.fromkeys(("5", "f", "85"), "an extended partition"),
    **dict.fromkeys(("15", "1f", "91", "9b", "c5", "cf"), "a hidden extended partition"),
    **dict.fromkeys(("42", "4200", "4201"), "part of a dynamic disk of Windows"),
    "4202": "part of a storage pool of Windows",
    **dict.fromkeys(("86", "87"), "part of a volume set of Windows NT"),
    **dict.fromkeys(("af01", "af02", "af05"), "part of an Apple volume of several disks"),
    **dict.fromkeys(("ee", "f8", "ef01"), "what protects another partition table"),
    **dict.fromkeys(("41", "4100"), "a PReP boot partition"),
    **dict.fromkeys(("3000", "3001"), "an ONIE boot partition"),
    **dict.fromkeys(("ab", "ab00"), "an Apple boot partition"),
    **dict.fromkeys(("be", "be00"), "a Solaris boot partition"),
    **dict.fromkeys(("a501", "a581"), "a BSD boot partition"),
    **dict.fromkeys(("a", "df"), "a boot manager's partition"),
    "f0": "a PA-RISC boot partition",
    "7f00": "a ChromeOS kernel",
    **dict.fromkeys(("7f02", "8301", "bf07", "fb01"), "a reserved partition"),
    **dict.fromkeys(("18", "84", "a0", "a1", "8400"), "a hibernation partition"),
    **dict.fromkeys(("12", "de", "ed00", "ed01"), "a partition of the PC's maker"),
    **dict.fromkeys(("fc", "fc00"), "a VMware core dump partition"),
}


def partition_code(table: TableKind, partition_type: str) -> str:
    """``partition_type`` as ``sfdisk --json`` prints it: a type byte in hexadecimal, or a GUID."""
    if table == "msdos":
        return partition_type.lower()
    return _GPT_CODES.get(partition_type.upper(), UNKNOWN)


def partition_type(table: TableKind, code: str) -> str:
    """What a table says for a code, the other way round than ``partition_code``; empty when it has no word for it."""
    if table == "msdos":
        return code.lower()
    wanted = _LINUX if code.upper() in (_LINUX, _GPT_CACHE) else code.upper()
    return next((guid for guid, known in _GPT_CODES.items() if known == wanted), "")


def no_place_for_an_image(code: str) -> str:
    """What a partition with this code is, when an image must never be written over it; otherwise empty."""
    return _NO_PLACE.get(code.lower(), "")


def mark_cache(disks: Sequence[Disk]) -> tuple[Disk, ...]:
    """At most one partition of the machine is the CACHE: the first that meets the first rule any of them meets. On a
    disk that has a problem as a whole there is none.

    A partition that shares bytes with it has that for its problem, whatever else is wrong with it.
    """
    for rule in _RULES:
        for disk in disks:
            for partition in () if disk.problem else disk.partitions:
                if rule(disk, partition):
                    return tuple(_with_cache(each, partition) if each is disk else each for each in disks)
    return tuple(disks)


_RULES: Final[tuple[Callable[[Disk, Partition], bool], ...]] = (
    lambda _, partition: partition.label == CACHE,
    lambda disk, partition: disk.table == "gpt" and partition.name == CACHE,
    lambda disk, partition: disk.table == "msdos" and partition.code == _MSDOS_CACHE,
)


def is_esp(code: str) -> bool:
    return code.lower() in _ESP


def is_bios_boot(code: str) -> bool:
    """Where GRUB has its core on a GPT disk."""
    return code.lower() == _BIOS_BOOT


def may_be_a_cache(disk: Disk, partition: Partition) -> bool:
    """Whether it meets any of the rules: on another PC, or without the one that is used here, it would be the CACHE."""
    return any(rule(disk, partition) for rule in _RULES)


def _with_cache(disk: Disk, cache: Partition) -> Disk:
    code = _GPT_CACHE if (disk.table, cache.code) == ("gpt", _LINUX) else cache.code
    marked = replace(cache, cache=True, code=code)
    others = ((each, _beside(disk, each, cache)) for each in disk.partitions)
    return replace(disk, partitions=tuple(marked if each is cache else other for each, other in others))


def _beside(disk: Disk, partition: Partition, cache: Partition) -> Partition:
    shared = span_of(partition).meets(span_of(cache))
    if not shared or disk.table is None or is_extended(disk.table, partition.code):
        return partition
    return replace(partition, problem=f"{shares_bytes(cache.partition)}, the CACHE")
