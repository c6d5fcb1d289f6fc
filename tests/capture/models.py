"""Partitions to be captured: plain files with real file systems, as made, full, or much used."""

from __future__ import annotations

import fcntl
import hashlib
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.capture import fat
from tests.capture.fat import Shape
from tests.image.partclone_programs import run
from tests.mounts import unmount

MIB: Final = 1 << 20
SHAPES: Final[tuple[Shape, ...]] = ("empty", "full", "fragmented")
_NOISE: Final = random.Random(31)
_PIECE: Final = 64 << 10
_WRITTEN: Final = 24 * MIB
"""So much of a large file system; what is full has the rest only reserved."""


class Kind(NamedTuple):
    """``size`` in MiB; ``program`` is partclone's, ``name`` what its images are called; ``check`` changes nothing."""

    size: int
    make: tuple[str, ...]
    program: str
    name: str
    check: tuple[str, ...]


_E2FSCK: Final = ("e2fsck", "-fn")
KINDS: Final[dict[str, Kind]] = {
    "ext2": Kind(20, ("mke2fs", "-q", "-F", "-t", "ext2"), "partclone.ext2", "EXTFS", _E2FSCK),
    "ext3": Kind(20, ("mke2fs", "-q", "-F", "-t", "ext3"), "partclone.ext3", "EXTFS", _E2FSCK),
    "ext4": Kind(20, ("mke2fs", "-q", "-F", "-t", "ext4"), "partclone.ext4", "EXTFS", _E2FSCK),
    "ntfs": Kind(20, ("mkfs.ntfs", "-qFf"), "partclone.ntfs", "NTFS", ("ntfsfix", "-n")),
    "xfs": Kind(300, ("mkfs.xfs", "-q", "-f"), "partclone.xfs", "XFS", ("xfs_repair", "-n", "-f")),
    "btrfs": Kind(128, ("mkfs.btrfs", "-q", "-f"), "partclone.btrfs", "BTRFS", ("btrfs", "check", "--readonly")),
    "f2fs": Kind(100, ("mkfs.f2fs", "-q"), "partclone.f2fs", "F2FS", ("fsck.f2fs", "--dry-run")),
    "fat16": Kind(20, ("mkfs.vfat", "-F", "16", "-s", "4"), "partclone.fat16", "FAT16", ("fsck.vfat", "-n")),
    "fat32": Kind(36, ("mkfs.vfat", "-F", "32", "-s", "1"), "partclone.fat32", "FAT32", ("fsck.vfat", "-n")),
    "exfat": Kind(16, ("mkfs.exfat",), "partclone.exfat", "EXFAT", ("fsck.exfat", "-n")),
}
_BY_HAND: Final = ("fat16", "fat32", "exfat")
_MOUNTED: Final = ("ext2", "ext3", "ext4", "ntfs", "xfs", "btrfs")


def make(path: Path, kind: str, shape: Shape) -> dict[str, str]:
    """What is in it: names, and a digest of each."""
    program, *options = KINDS[kind].make
    with path.open("xb") as file:
        file.truncate(KINDS[kind].size * MIB)
    run(program, *options, path)
    if kind in _BY_HAND:
        fat.fill(path, shape)
    elif kind in _MOUNTED:
        with _mounted(path, kind) as root:
            _fill(root, shape)
    else:
        tree = path.with_suffix(".tree")
        tree.mkdir()
        _fill(tree, shape, room=20 * MIB)
        if any(tree.iterdir()):
            run("sload.f2fs", "-f", tree, path)
    return files_of(path, kind)


def files_of(path: Path, kind: str) -> dict[str, str]:
    """Of an F2FS nothing: only the kernel reads it."""
    if kind in _BY_HAND:
        return {name: hashlib.sha256(content).hexdigest() for name, content in fat.files_of(path).items()}
    if kind not in _MOUNTED:
        return {}
    with _mounted(path, kind, read_only=True) as root:
        return {file.name: _digest(file) for file in root.iterdir() if file.is_file()}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _mounted(path: Path, kind: str, *, read_only: bool = False) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    root = path.with_name(f"{path.name}-mounted")
    root.mkdir(exist_ok=True)
    option = "ro" if read_only else "rw"
    if kind == "ntfs":
        run("ntfs-3g", "-o", option, path, root)
    else:
        # A journal that has to be replayed would be written to.
        also = {"xfs": ",norecovery", "ext3": ",noload", "ext4": ",noload"}.get(kind, "") if read_only else ""
        run("mount", "-t", kind, "-o", f"loop,{option}{also}", path, root)
    try:
        yield root
    finally:
        unmount(root)
        if kind == "ntfs":  # its program lets go of a file a moment after umount(2)
            with path.open("r+b") as file:
                fcntl.lockf(file, fcntl.LOCK_EX)


# --- what is written into it --------------------------------------------------------------------------------------


def _fill(root: Path, shape: Shape, room: int = 0) -> None:
    """``room``: what there is of it, where ``root`` is not where it counts."""
    if shape == "full":
        _fill_up(root, room)
    elif shape == "fragmented":
        _write_side_by_side(root)
        _write_sparse(root)
    run("sync", "--file-system", root)


def _fill_up(root: Path, room: int) -> None:
    status = os.statvfs(root)
    left = room or int(status.f_bavail * status.f_frsize * 0.9)
    for number in range(8):
        (root / f"full-{number}").write_bytes(_NOISE.randbytes(min(left, _WRITTEN) // 8))
    if left > _WRITTEN:
        with (root / "reserved").open("xb") as file, suppress(OSError):
            os.posix_fallocate(file.fileno(), 0, left - _WRITTEN)


def _write_side_by_side(root: Path) -> None:
    """And deletes every second, and writes once more into some of the holes."""
    paths = [root / f"side-{number}" for number in range(10)]
    for turn in range(8):
        for path in paths:
            with path.open("ab") as file:
                file.write(_NOISE.randbytes(_PIECE // 2 + turn))
                file.flush()
                os.fsync(file.fileno())
    for path in paths[::2]:
        path.unlink()
    (root / "last").write_bytes(_NOISE.randbytes(19 * _PIECE))


def _write_sparse(root: Path) -> None:
    with (root / "sparse").open("xb") as file:
        for number in range(6):
            file.seek(number * 5 * _PIECE)
            file.write(_NOISE.randbytes(3000))
        file.truncate(3 * MIB)
