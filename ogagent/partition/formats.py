"""The file systems that can be made, and the tools that make them.

Fast formats: nothing is discarded, and no table of inodes is written that the kernel fills in later.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Final

from msgspec import Struct

from ogagent.disk import blkid
from ogagent.errors import FilesystemNotSupported, PartitioningFailed, ToolFailed, ToolMissing
from ogagent.model.units import GIB, KIB, MIB, format_bytes
from ogagent.system import process
from ogagent.system.patience import in_thread

NOTHING: Final = "EMPTY"
"""OpenGnsys' word for a partition without a file system."""
_TIMEOUT_S: Final = 1800.0  # a slow disk, and a file system that writes all of its tables


class Format(Struct, frozen=True, kw_only=True):
    """``least`` and ``most`` in bytes; ``least_sectors`` for what counts in sectors of the disk; ``signature`` is
    libblkid's name.
    """

    name: str
    signature: str
    package: str
    command: tuple[str, ...]
    label_option: str
    label_length: int
    least: int = 0
    least_sectors: int = 0
    most: int = 1 << 63

    def problem_of(self, size: int, sector_size: int) -> str:
        """Why it cannot be made in so many bytes; empty when it can."""
        least = max(self.least, self.least_sectors * sector_size)
        if size < least:
            return f"{self.name} needs {format_bytes(least)}, it has {format_bytes(size)}"
        if size > self.most:
            return f"{self.name} can have {format_bytes(self.most)} at most, it has {format_bytes(size)}"
        return ""

    def argv(self, device: str, label: str) -> list[str]:
        if len(label.encode()) > self.label_length:
            raise ValueError(f"a label of {self.name} has {self.label_length} bytes at most: {label!r}")
        return [*self.command, *((self.label_option, label) if label else ()), device]


# Exactly these, whatever /etc/mke2fs.conf of the day adds: GRUB 2.06 reads neither metadata_csum_seed nor orphan_file.
_EXT2: Final = "none,ext_attr,resize_inode,dir_index,filetype,sparse_super,large_file"
_EXT3: Final = f"{_EXT2},has_journal"
_EXT4: Final = f"{_EXT3},extent,64bit,flex_bg,huge_file,dir_nlink,extra_isize,metadata_csum"


def _ext(kind: str, features: str, least: int) -> Format:
    """Written directly (-D), in the order in which mke2fs writes: what it is known by comes last."""
    return Format(
        name=kind.upper(),
        signature=kind,
        package="e2fsprogs",
        command=("mke2fs", "-qFD", "-t", kind, "-I", "256", "-O", features, "-E", "nodiscard,lazy_itable_init=1"),
        label_option="-L",
        label_length=16,
        least=least,
        least_sectors=2560 if "has_journal" in features else 0,  # mke2fs makes no journal in less than 2048 blocks
    )


FORMATS: Final = {
    each.name: each
    for each in (
        _ext("ext2", _EXT2, MIB),
        _ext("ext3", _EXT3, 4 * MIB),
        _ext("ext4", _EXT4, 4 * MIB),
        Format(
            name="NTFS",
            signature="ntfs",
            package="ntfs-3g",
            command=("mkfs.ntfs", "-q", "-Q", "-F"),
            label_option="-L",
            label_length=128,
            least=8 * MIB,
        ),
        Format(
            name="FAT16",
            signature="vfat",
            package="dosfstools",
            command=("mkfs.vfat", "-I", "-F", "16"),
            label_option="-n",
            label_length=11,
            least=16 * MIB,
            least_sectors=16 * KIB,  # 4085 clusters of the 4 sectors that mkfs.vfat takes
            most=2 * GIB,
        ),
        Format(
            name="FAT32",
            signature="vfat",
            package="dosfstools",
            command=("mkfs.vfat", "-I", "-F", "32"),
            label_option="-n",
            label_length=11,
            least_sectors=66 * KIB,  # 65525 clusters of a sector, and what describes them
        ),
        Format(
            name="XFS",
            signature="xfs",
            package="xfsprogs",
            command=("mkfs.xfs", "-q", "-f", "-K"),
            label_option="-L",
            label_length=12,
            least=300 * MIB,  # mkfs.xfs(8) makes no smaller one since 5.19
        ),
        Format(
            name="BTRFS",
            signature="btrfs",
            package="btrfs-progs",
            command=("mkfs.btrfs", "-q", "-f", "-K"),
            label_option="-L",
            label_length=255,
            least=128 * MIB,
        ),
        Format(
            name="F2FS",
            signature="f2fs",
            package="f2fs-tools",
            command=("mkfs.f2fs", "-q", "-f", "-t", "0"),
            label_option="-l",
            label_length=512,
            least=64 * MIB,
        ),
        Format(
            name="EXFAT",
            signature="exfat",
            package="exfatprogs",
            command=("mkfs.exfat",),
            label_option="-L",
            label_length=22,
            least=8 * MIB,
        ),
        Format(
            name="LINUX-SWAP",
            signature="swap",
            package="util-linux",
            command=("mkswap", "-f"),
            label_option="-L",
            label_length=16,
            least=40 * KIB,  # mkswap(8): ten pages
        ),
    )
}
_OTHER_NAMES: Final = {"CACHE": "EXT4", "SWAP": "LINUX-SWAP", "VFAT": "FAT32", "": NOTHING}


def format_of(name: str) -> Format | None:
    """None for ``EMPTY``: nothing is made. Raises FilesystemNotSupported for a name that nobody here knows."""
    name = _OTHER_NAMES.get(name.upper(), name.upper())
    if name == NOTHING:
        return None
    if name not in FORMATS:
        known = ", ".join([*FORMATS, NOTHING])
        raise FilesystemNotSupported(f"no file system {name} can be made here", hint=f"use one of {known}", field="sfi")
    return FORMATS[name]


def require_tools(names: Iterable[str], is_installed: Callable[[str], bool] = process.is_installed) -> None:
    """Raises FilesystemNotSupported, which names the package, when one of these file systems cannot be made."""
    for each in filter(None, map(format_of, names)):
        if not is_installed(each.command[0]):
            raise FilesystemNotSupported(
                f"{each.name} cannot be made: {each.command[0]} is not installed (package {each.package})",
                hint=f"apt install {each.package}",
                field="sfi",
            )


async def make_filesystem(name: str, device: str, label: str) -> None:
    """Returns when it is on the medium, and found there. Raises PartitioningFailed."""
    made = format_of(name)
    if made is None:
        return
    try:
        await process.run(made.argv(device, label), timeout_s=_TIMEOUT_S)
        found = await in_thread(_flushed, device)
    except (ToolFailed, ToolMissing) as error:
        raise _failed(name, device, error.message, error.hint) from error
    except OSError as error:
        raise _failed(name, device, error.strerror or str(error), "look at the kernel log (dmesg)") from error
    if found != made.signature:
        raise _failed(name, device, f"{made.command[0]} has left {found or 'nothing that is known'} there")


def _flushed(device: str) -> str:
    """What libblkid finds on the medium when all is there, and not in what the kernel remembers of it."""
    fd = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        return blkid.superblock(fd, 0, os.lseek(fd, 0, os.SEEK_END)).get("TYPE", "")
    finally:
        os.close(fd)


def _failed(name: str, device: str, reason: str, hint: str = "") -> PartitioningFailed:
    return PartitioningFailed(f"{device} could not be formatted as {name}: {reason}", hint=hint)
