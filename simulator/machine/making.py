"""Makes the disks of a machine profile, as files."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Final

from simulator.errors import ToolMissing
from simulator.ext4 import fill, make_filesystem
from simulator.machine.gpt import Entry, write_table
from simulator.machine.mbr import MbrEntry, write_mbr
from simulator.machine.profile import GPT_TYPES, MSDOS_TYPES, DiskProfile, PartitionProfile
from simulator.processes import run
from simulator.tree import MIB, Node, noise

_OLD_SYSTEM: Final = {
    "/etc": Node(kind="directory"),
    "/etc/hostname": Node(kind="file", mode=0o644, content=b"antiguo\n"),
    "/usr": Node(kind="directory"),
    "/usr/lib": Node(kind="directory"),
    "/usr/lib/os-release": Node(kind="file", mode=0o644, content=b'NAME="Sistema antiguo"\nVERSION_ID="1"\n'),
}
_OLD_BYTES: Final = 8 * MIB


def make_disk(path: Path, profile: DiskProfile) -> None:
    with path.open("wb") as file:
        file.truncate(profile.size)
        if profile.table == "gpt":
            write_table(file, profile.size, gpt_entries(profile), sector_size=profile.sector_size)
        elif profile.table == "msdos":
            write_mbr(file, [_mbr_entry(partition) for partition in profile.partitions])
    for partition in profile.partitions:
        _CONTENTS[partition.content](path, partition)


def gpt_entries(profile: DiskProfile) -> list[Entry]:
    return [
        Entry(number=each.number, start=each.start, size=each.size, type=GPT_TYPES[each.kind], name=each.name)
        for each in profile.partitions
    ]


def copy_sparse(source: Path, target: Path) -> None:
    """Holes stay holes."""
    with source.open("rb") as origin, target.open("wb") as copy:
        size = os.fstat(origin.fileno()).st_size
        copy.truncate(size)
        position = _next_data(origin.fileno(), 0, size)
        while position < size:
            stop = os.lseek(origin.fileno(), position, os.SEEK_HOLE)
            while position < stop:
                piece = os.pread(origin.fileno(), min(MIB, stop - position), position)
                position += os.pwrite(copy.fileno(), piece, position)
            position = _next_data(origin.fileno(), position, size)


def _next_data(fd: int, position: int, size: int) -> int:
    try:
        return os.lseek(fd, position, os.SEEK_DATA)
    except OSError as error:
        if error.errno != errno.ENXIO:  # nothing but a hole is left
            raise
        return size


def _mbr_entry(partition: PartitionProfile) -> MbrEntry:
    return MbrEntry(
        number=partition.number, start=partition.start, size=partition.size, type=MSDOS_TYPES[partition.kind]
    )


def _nothing(_disk: Path, _partition: PartitionProfile) -> None:
    """A partition that nobody has formatted."""


def _noise(disk: Path, partition: PartitionProfile) -> None:
    _write(disk, partition.start, noise("datos", partition.size))


def _ext4(disk: Path, partition: PartitionProfile) -> None:
    identity = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{partition.number} {partition.label}"))
    make_filesystem(disk, partition.size, uuid=identity, label=partition.label, offset=partition.start)


def _old_system(disk: Path, partition: PartitionProfile) -> None:
    _ext4(disk, partition)
    old = _OLD_SYSTEM | {"/var": Node(kind="file", content=noise("antiguo", min(_OLD_BYTES, partition.size // 4)))}
    fill(disk, old, offset=partition.start)


def _vfat(disk: Path, partition: PartitionProfile) -> None:
    _by_tool(disk, partition, ["mkfs.vfat", "-n", partition.label or "EFI"])


def _ntfs(disk: Path, partition: PartitionProfile) -> None:
    # Told where the partition begins, since it cannot ask the kernel about a file.
    start = str(partition.start // 512)
    _by_tool(disk, partition, ["mkfs.ntfs", "-q", "-Q", "-F", "-p", start, "-L", partition.label or "Windows"])


_CONTENTS: Final[dict[str, Callable[[Path, PartitionProfile], None]]] = {
    "": _nothing, "ext4": _ext4, "old-system": _old_system, "vfat": _vfat, "ntfs": _ntfs, "noise": _noise,
}  # fmt: skip


def _by_tool(disk: Path, partition: PartitionProfile, command: list[str]) -> None:
    """For tools that make a file system in a whole file only. Left empty where the tool is not installed."""
    scratch = disk.with_name(f"{disk.name}.{partition.number}")
    try:
        with scratch.open("wb") as file:
            file.truncate(partition.size)
        run([*command, scratch])
        for offset in range(0, partition.size, MIB):
            with scratch.open("rb") as file:
                file.seek(offset)
                piece = file.read(MIB)
            if any(piece):
                _write(disk, partition.start + offset, piece)
    except ToolMissing:
        pass
    finally:
        scratch.unlink()


def _write(disk: Path, offset: int, data: bytes) -> None:
    with disk.open("r+b") as file:
        file.seek(offset)
        file.write(data)
