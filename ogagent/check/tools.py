"""The programs that jobs start, by the packages that bring them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from ogagent.check.finding import Finding, ok, problem, warning
from ogagent.errors import ToolFailed, ToolMissing
from ogagent.system import process
from ogagent.system.packages import PACKAGES

_ASK_S: Final = 10.0
NEEDED: Final = frozenset({"e2fsprogs", "fdisk", "mount", "util-linux"})
"""No disk is looked at, and no CACHE is used, without them."""
BY_HAND: Final = frozenset({"coreutils", "squashfs-tools"})
"""For what is done where ogLives are made, and by no job."""


PURPOSES: Final = MappingProxyType({
    "fdisk": "disks and partition tables",
    "e2fsprogs": "the CACHE; ext2 to ext4 that are made, grown, shrunk",
    "mount": "the CACHE; captures; looks into partitions",
    "util-linux": "swap space that is made; captures that shrink",
    "partclone": "captures",
    "ntfs-3g": "NTFS that is made, grown, shrunk, made ready",
    "xfsprogs": "XFS that is made, grown",
    "btrfs-progs": "btrfs that is made, grown",
    "f2fs-tools": "F2FS that is made, grown",
    "dosfstools": "FAT that is made",
    "exfatprogs": "exFAT that is made",
    "libwin-hivex-perl": "the name of a Windows PC; what is installed on it",
    "grub2-common grub-pc-bin": "Linux made ready to boot by BIOS",
    "efibootmgr": "systems made ready, and started, by UEFI",
    "udpcast": "the method multicast",
    "uftp": "the method uftp",
    "kexec-tools": "systems started without the firmware: machine.kexec",
    "systemd": "restarts, shutdowns; messages to who is logged in",
})  # fmt: skip
"""By package, or packages, what it is for: all that is called but by hand, and partclone, whose programs are many."""


async def tools(
    skip: Collection[str] = (), is_installed: Callable[[str], bool] = process.is_installed
) -> list[Finding]:
    """``skip``: packages that this machine, or its configuration, has no use for."""
    wanted = [name for name in PURPOSES if name not in skip]
    versions = await _versions([package for name in wanted for package in name.split()])
    return [_found(name, versions, is_installed) for name in wanted]


def _found(name: str, versions: Mapping[str, str], is_installed: Callable[[str], bool]) -> Finding:
    purpose = PURPOSES[name]
    if absent := [program for program in _programs(name) if not is_installed(program)]:
        complain = problem if name in NEEDED else warning
        return complain(name, f"{', '.join(absent)} not installed, for {purpose}", f"apt install {name}")
    version = " ".join(filter(None, (versions.get(package) for package in name.split())))
    return ok(name, f"{version}, for {purpose}" if version else f"for {purpose}")


def _programs(name: str) -> list[str]:
    if name == "partclone":
        return ["partclone.extfs"]
    return [program for program, packages in PACKAGES.items() if packages == name]


async def _versions(packages: list[str]) -> dict[str, str]:
    """Of those that dpkg knows. Empty where there is no dpkg: the programs may be there all the same."""
    query = ["dpkg-query", "--show", "--showformat", "${Package}\t${Version}\n", *packages]
    try:
        said = await process.run(query, timeout_s=_ASK_S, good=(0, 1))  # 1: there is one that it does not know
    except (ToolMissing, ToolFailed):
        return {}
    return dict(_pairs(said.decode(errors="replace")))


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        name, _, version = line.partition("\t")
        yield name, version
