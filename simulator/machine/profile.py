"""Machines as data: what a PC's disks look like. The files are in ``profiles``, each with the reason it exists."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec import Struct

from simulator.errors import LabError
from simulator.machine.gpt import EFI_SYSTEM, LINUX_FILESYSTEM
from simulator.tree import MIB

Kind = Literal["efi", "linux", "windows", "reserved", "recovery", "swap", "cache"]
Content = Literal["", "ext4", "old-system", "vfat", "ntfs", "noise"]

DIRECTORY: Final = Path(__file__).parent / "profiles"
# By kind: the GPT type, and the type byte of an MSDOS table. A CACHE has no GPT type of its own, its name tells.
GPT_TYPES: Final[dict[Kind, str]] = {
    "efi": EFI_SYSTEM,
    "linux": LINUX_FILESYSTEM,
    "windows": "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7",
    "reserved": "E3C9E316-0B5C-4DB8-817D-F92DF00215AE",
    "recovery": "DE94BBA4-06D1-4D40-A16A-BFD50179D6AC",
    "swap": "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F",
    "cache": LINUX_FILESYSTEM,
}
MSDOS_TYPES: Final[dict[Kind, int]] = {
    "efi": 0xEF, "linux": 0x83, "windows": 0x07, "reserved": 0x00, "recovery": 0x27, "swap": 0x82, "cache": 0xCA,
}  # fmt: skip


class PartitionProfile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``mounted`` is where ogLive has it mounted, empty for nowhere."""

    number: int
    start_mib: int
    size_mib: int
    kind: Kind
    name: str = ""
    label: str = ""
    content: Content = ""
    mounted: str = ""

    @property
    def start(self) -> int:
        return self.start_mib * MIB

    @property
    def size(self) -> int:
        return self.size_mib * MIB


class DiskProfile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    model: str
    size_mib: int
    table: Literal["gpt", "msdos"] | None
    """None: a disk that nobody has partitioned."""
    sector_size: Literal[512, 4096] = 512
    partitions: tuple[PartitionProfile, ...]

    @property
    def size(self) -> int:
        return self.size_mib * MIB

    def partition(self, number: int) -> PartitionProfile:
        return next(each for each in self.partitions if each.number == number)


class MachineProfile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``target`` is the disk and the partition that an image is meant for, where one has to be made first as well."""

    reason: str
    target: tuple[int, int]
    disks: tuple[DiskProfile, ...]


def read_profile(path: Path) -> MachineProfile:
    try:
        return msgspec.json.decode(path.read_bytes(), type=MachineProfile)
    except OSError as error:
        raise LabError(f"{path} cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        hint = f"the profiles in {DIRECTORY} show how it is written"
        raise LabError(f"{path} is no machine profile: {error}", hint=hint) from None


def known_profile(name: str) -> MachineProfile:
    return read_profile(DIRECTORY / f"{name}.json")
