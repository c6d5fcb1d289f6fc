"""File systems in files, with content at their ends that has to move, and what is in them."""

from __future__ import annotations

import hashlib
import os
import random
import struct
import subprocess
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final

from ogagent.disk.ntfs import DATA, attribute, content, first_record, geometry_of, runs
from ogagent.disk.volume import Volume
from ogagent.image.filesystem import PROBE_SIZE, recognize

MIB: Final = 1 << 20
EXT_SIZE: Final = 96 * MIB
NTFS_SIZE: Final = 160 * MIB + 3584
"""Not a whole number of clusters, as of most partitions."""
_LOG: Final = 2
_BITMAP: Final = 6


def run(*command: str | Path, good: Collection[int] = (0,)) -> bytes:
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    argv = [str(each) for each in command]
    done = subprocess.run(argv, capture_output=True, timeout=300, check=False, env={"PATH": path})
    assert done.returncode in good, f"{argv}: {(done.stdout + done.stderr).decode(errors='replace')}"
    return done.stdout


def make_tree(root: Path, files: int = 200) -> None:
    """Files of all sizes, some of which go again so that others lie between holes."""
    chance = random.Random(7)
    for number in range(files):
        folder = root / f"folder{number % 23}" / f"below{number % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"file{number}").write_bytes(chance.randbytes(chance.choice((0, 90, 5000, 40_000, 150_000))))
    (root / "folder0/long").symlink_to("x" * 200)
    os.link(root / "folder1/below1/file1", root / "folder2/again")
    (root / "folder1/below1/file1").chmod(0o4751)
    os.utime(root / "folder2/again", ns=(10**18, 10**18 + 7))


def make_ext(path: Path, kind: str, tree: Path, *options: str | Path, block_size: int = 4096) -> None:
    """What is in the tree lies in pieces, most of it at the end: the blocks between were taken for bad ones when it was
    written. What each group of blocks needs for itself fits before them.
    """
    bad = path.with_suffix(".bad")
    blocks = range(8 * MIB // block_size, 72 * MIB // block_size)
    bad.write_text("".join(f"{block}\n" for block in blocks if block * block_size % (8 * MIB) >= 2 * MIB))
    size = str(EXT_SIZE // block_size)
    made = ("mke2fs", "-q", "-t", kind, "-b", str(block_size), "-E", "root_owner=0:0", "-l", str(bad))
    run(*made, *options, "-d", tree, path, size)
    bad.write_text("")
    run("e2fsck", "-fyD", "-L", bad, path, good=(0, 1))


def ext_files(path: Path, scratch: Path) -> dict[str, tuple[object, ...]]:
    """Of each file mode, time, length, and hash."""
    scratch.mkdir()
    run("debugfs", "-R", f'rdump / "{scratch}"', path)
    return {str(each.relative_to(scratch)): _told(each) for each in sorted(scratch.rglob("*"))}


def _told(file: Path) -> tuple[object, ...]:
    status = file.lstat()
    if file.is_symlink():
        return ("link", file.readlink())
    if file.is_dir():
        return ("folder", status.st_mode)
    return (status.st_mode, int(status.st_mtime), status.st_size, hashlib.sha256(file.read_bytes()).hexdigest())


def make_ntfs(path: Path) -> dict[str, bytes]:
    """What is in it: files behind a large one, which is small by now."""
    chance = random.Random(8)
    files = {f"file{number}": chance.randbytes(chance.choice((300, 9000, 400_000, 3_000_000))) for number in range(12)}
    path.touch()
    os.truncate(path, NTFS_SIZE)
    run("mkfs.ntfs", "-q", "-F", "-f", path)
    part = path.with_suffix(".content")
    for name, data in [("filler", bytes(120 * MIB)), *files.items(), ("filler", b"small")]:
        part.write_bytes(data)
        run("ntfscp", "-q", path, part, name)
    part.unlink()
    return files


def ntfs_files(path: Path | str, names: Iterable[str]) -> dict[str, bytes]:
    return {name: run("ntfscat", path, name) for name in names}


def ntfs_in_use(path: Path | str) -> str:
    """Hash of all clusters that the bitmap counts, but for those of the log."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        volume = Volume(file.fileno(), 0, file.seek(0, os.SEEK_END))
        geometry = geometry_of(volume.read(0, 512))
        used = attribute(first_record(volume, geometry, _BITMAP), DATA)
        bitmap = b"".join(content(volume, geometry, [used], -(-geometry.clusters // 8)))
        log = runs(attribute(first_record(volume, geometry, _LOG), DATA))
        apart = {cluster + each for cluster, count in log for each in range(count)}
        for cluster in range(geometry.clusters):
            if bitmap[cluster // 8] >> cluster % 8 & 1 and cluster not in apart:
                digest.update(volume.read(cluster * geometry.cluster_size, geometry.cluster_size))
    return digest.hexdigest()


def write_log(path: Path, version: int, flags: int) -> None:
    """As Windows would: with restart pages, of which the second is the newer one."""
    with path.open("r+b") as file:
        volume = Volume(file.fileno(), 0, path.stat().st_size)
        geometry = geometry_of(volume.read(0, 512))
        cluster, _ = next(runs(attribute(first_record(volume, geometry, _LOG), DATA)))
        for number, (kind, state) in enumerate(((1, 2), (version, flags))):
            page = b"RSTR" + struct.pack("<20xHHH2x", 48, 1, kind) + bytes(16)
            area = struct.pack("<qHHHH", number + 5, 1, 0xFFFF, 0, state)
            os.pwrite(file.fileno(), (page + area).ljust(4096, b"\0"), cluster * geometry.cluster_size + number * 4096)


def copy_of_boot_sector(path: Path) -> bytes:
    """The sector behind those that the volume counts."""
    return path.read_bytes()[size_of(path) - 512 : size_of(path)]


def size_of(path: Path | str) -> int:
    with open(path, "rb") as file:
        found = recognize(file.read(PROBE_SIZE))
    assert found is not None
    return found.size


def lose_writes(path: Path, before: Path, seed: int) -> None:
    """A power cut: of what was written since ``before`` about half never reached the disk."""
    chance = random.Random(seed)
    with before.open("rb") as was, path.open("r+b") as now:
        for at in range(0, before.stat().st_size, 4096):
            old, new = os.pread(was.fileno(), 4096, at), os.pread(now.fileno(), 4096, at)
            if old != new and chance.random() < 0.5:
                os.pwrite(now.fileno(), old, at)
