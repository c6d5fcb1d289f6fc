"""Loop devices with file systems that can be made smaller, and all that their files have besides their content."""

from __future__ import annotations

import hashlib
import os
import random
import stat
from pathlib import Path

from ogagent.resize.resizer import wait_until_free
from tests.devices.conftest import LoopDisk
from tests.mounts import unmount
from tests.resize.movable import run

MIB = 1 << 20
SIZE = 192 * MIB + 12 * 1024
"""Not a whole number of what the undo file keeps at a time."""


def make(loop_disk: LoopDisk, folder: Path, kind: str) -> str:
    device = loop_disk(SIZE)
    run(*(("mkfs.ntfs", "-q", "-f", "-F") if kind == "ntfs" else ("mke2fs", "-q", "-t", kind)), device)
    root = mounted(device, kind, folder / "root")
    try:
        fill(root, linux=kind != "ntfs")
    finally:
        unmount(root)
    return device


def mounted(device: str, kind: str, root: Path, *options: str) -> Path:
    root.mkdir(exist_ok=True)
    wait_until_free(device)
    if kind == "ntfs":
        run("ntfs-3g", *options, device, root)
    else:
        run("mount", *options, device, root)
    return root


def fill(root: Path, *, linux: bool) -> None:
    """What lies before it goes again. One file has its blocks in many pieces, one is mostly holes."""
    chance = random.Random(5)
    (root / "filler").write_bytes(bytes(120 * MIB))
    pieces = [(root / f"piece{number}").open("wb", buffering=0) for number in range(3)]
    for _ in range(60):
        for piece in pieces:
            piece.write(chance.randbytes(9000))
            os.fsync(piece.fileno())
    for piece in pieces:
        piece.close()
    (root / "piece1").unlink()
    for number in range(120):
        folder = root / f"folder{number % 11}"
        folder.mkdir(exist_ok=True)
        (folder / f"file {number} ñ").write_bytes(chance.randbytes(chance.choice((0, 70, 4000, 90_000))))
    with (root / "holes").open("wb") as holes:
        holes.write(b"first")
        holes.truncate(40 * MIB)
        holes.seek(30 * MIB)
        holes.write(b"middle")
    if linux:
        dress(root)
    (root / "filler").unlink()


def dress(root: Path) -> None:
    file = root / "folder1/file 1 ñ"
    os.setxattr(file, "user.note", b"x" * 300)
    os.setxattr(file, "security.capability", bytes.fromhex("0100000200040000000000000000000000000000"))
    os.chown(root / "folder2", 1234, 5678)
    (root / "folder2").chmod(0o2775)
    os.mknod(root / "device", stat.S_IFCHR | 0o620, os.makedev(5, 1))
    (root / "link").symlink_to("y" * 120)
    os.link(file, root / "again")
    os.utime(root / "again", ns=(10**18 + 1, 10**18 + 7))


def files(device: str, kind: str, root: Path) -> dict[str, tuple[object, ...]]:
    mounted(device, kind, root, "-o", "ro" if kind == "ntfs" else "ro,noload" if kind != "ext2" else "ro")
    try:
        return {str(each.relative_to(root)): _told(each) for each in sorted(root.rglob("*"))}
    finally:
        unmount(root)


def _told(file: Path) -> tuple[object, ...]:
    status = file.lstat()
    told = (status.st_mode, status.st_uid, status.st_gid, status.st_nlink, status.st_size, status.st_mtime_ns)
    names = os.listxattr(file, follow_symlinks=False)
    kept = tuple((name, os.getxattr(file, name, follow_symlinks=False)) for name in sorted(names))
    if stat.S_ISREG(status.st_mode):
        return (*told, kept, hashlib.sha256(file.read_bytes()).hexdigest())
    return (*told, kept, status.st_rdev, str(file.readlink()) if file.is_symlink() else "")


def but_for_folders(told: dict[str, tuple[object, ...]]) -> dict[str, tuple[object, ...]]:
    """resize2fs sets the time of each folder in which something has another inode by then."""
    return {name: each for name, each in told.items() if not stat.S_ISDIR(int(str(each[0])))}


def check(device: str, kind: str) -> None:
    if kind == "ntfs":
        run("ntfsresize", "--info", device)
    else:
        wait_until_free(str(device))
        run("e2fsck", "-fn", device)


def blocks(device: str) -> str:
    return hashlib.sha256(Path(device).read_bytes()[4096:]).hexdigest()
