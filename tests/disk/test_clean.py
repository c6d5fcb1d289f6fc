"""File systems that were left in order and that were not, as their own tools make, mark and repair them."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from ogagent.disk.clean import Unclean, uncleanliness
from ogagent.disk.volume import Volume

MIB: Final = 1 << 20
SIZE: Final = 320 * MIB
MAKE: Final = {
    "ext2": ("mke2fs", "-q", "-t", "ext2"),
    "ext3": ("mke2fs", "-q", "-t", "ext3"),
    "ext4": ("mke2fs", "-q", "-t", "ext4", "-O", "orphan_file"),
    "vfat": ("mkfs.vfat", "-F", "32"),
    "vfat 16": ("mkfs.vfat", "-F", "16"),
    "vfat 12": ("mkfs.vfat", "-F", "12", "-s", "128"),
    "exfat": ("mkfs.exfat",),
    "ntfs": ("mkfs.ntfs", "-q", "-Q", "-F", "-c", "4096"),
    "btrfs": ("mkfs.btrfs", "-q", "-f"),
    "f2fs": ("mkfs.f2fs", "-q", "-f"),
    "f2fs with more checksum": ("mkfs.f2fs", "-q", "-f", "-i"),
    "xfs": ("mkfs.xfs", "-q", "-f"),
    "xfs 4": ("mkfs.xfs", "-q", "-f", "-m", "crc=0"),
    "xfs of large records": ("mkfs.xfs", "-q", "-f", "-l", "su=256k"),
}

NOT_UNMOUNTED: Final = "it was not unmounted cleanly"
ERRORS: Final = "errors were found in it, and nobody repaired them"
JOURNAL: Final = "its journal has yet to be replayed"
REPLAY: Final = "its log has yet to be replayed"
UNKNOWN: Final = "its state cannot be understood"

Tool = Callable[..., str]
Make = Callable[[str], Path]
Sparse = Callable[[int], Path]


@pytest.fixture
def make(sparse: Sparse, tool: Tool) -> Make:
    def made(kind: str) -> Path:
        path = sparse(SIZE // 2 if kind == "vfat 12" else SIZE)
        tool(*MAKE[kind], path)
        return path

    return made


def found(path: Path, kind: str) -> Unclean | None:
    with path.open("rb") as file:
        return uncleanliness(Volume(file.fileno(), 0, path.stat().st_size), kind.partition(" ")[0])


def reason(path: Path, kind: str) -> str:
    unclean = found(path, kind)
    assert unclean is not None
    assert unclean.hint
    return unclean.reason


def write(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def read(path: Path, at: int, length: int) -> bytes:
    with path.open("rb") as file:
        file.seek(at)
        return file.read(length)


def repair(*command: str | Path) -> None:
    """A tool that tells by its status that it repaired something."""
    program = shutil.which(command[0], path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    assert program
    subprocess.run([program, *command[1:]], check=False, capture_output=True)


@pytest.mark.parametrize("kind", MAKE)
def test_as_it_was_made(kind: str, make: Make) -> None:
    assert found(make(kind), kind) is None


@pytest.mark.parametrize("kind", ["", "swap", "crypto_LUKS", "LVM2_member", "hfsplus", "reiserfs"])
def test_of_others_nothing_is_said(kind: str, sparse: Sparse) -> None:
    with sparse(MIB).open("rb") as file:
        assert uncleanliness(Volume(file.fileno(), 0, MIB), kind) is None


# --- ext --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ext2", "ext3", "ext4"])
@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ("set_super_value state 0", NOT_UNMOUNTED),
        ("set_super_value state 3", ERRORS),
        ("set_super_value last_orphan 11", "it holds files that were being deleted when it was last in use"),
    ],
)
def test_ext(kind: str, request_: str, expected: str, make: Make, tool: Tool) -> None:
    path = make(kind)
    tool("debugfs", "-w", "-R", request_, path)
    assert reason(path, kind) == expected
    repair("e2fsck", "-f", "-y", path)
    assert found(path, kind) is None


@pytest.mark.parametrize(
    ("feature", "expected"),
    [
        ("needs_recovery", JOURNAL),
        ("orphan_present", "it holds files that were being deleted when it was last in use"),
    ],
)
def test_ext4_features(feature: str, expected: str, make: Make, tool: Tool) -> None:
    path = make("ext4")
    tool("debugfs", "-w", "-R", f"feature {feature}", path)
    assert reason(path, "ext4") == expected
    repair("e2fsck", "-f", "-y", path)
    assert found(path, "ext4") is None


# --- FAT and exFAT ----------------------------------------------------------------------------------------------------


def mark_fat(path: Path, kind: str, bit: int) -> None:
    """Takes the bit of FAT[1]; counted from the highest that there is."""
    size = 2 if kind == "vfat 16" else 4
    at = int.from_bytes(read(path, 14, 2), "little") * 512 + size
    highest = 15 if size == 2 else 27
    entry = int.from_bytes(read(path, at, size), "little") & ~(1 << (highest - bit))
    write(path, at, entry.to_bytes(size, "little"))


@pytest.mark.parametrize("kind", ["vfat", "vfat 16"])
def test_fat(kind: str, make: Make) -> None:
    path = make(kind)
    mark_fat(path, kind, 0)
    assert reason(path, kind) == NOT_UNMOUNTED
    repair("fsck.vfat", "-a", path)
    assert found(path, kind) is None
    mark_fat(path, kind, 1)
    assert reason(path, kind) == "its disk failed while it was last in use"


@pytest.mark.parametrize(("kind", "at"), [("vfat", 65), ("vfat 16", 37), ("vfat 12", 37)])
def test_fat_that_linux_marked(kind: str, at: int, make: Make) -> None:
    path = make(kind)
    write(path, at, b"\1")
    assert reason(path, kind) == NOT_UNMOUNTED
    repair("fsck.vfat", "-a", path)
    assert found(path, kind) is None


def test_fat12_has_no_such_bits(make: Make) -> None:
    path = make("vfat 12")
    write(path, int.from_bytes(read(path, 14, 2), "little") * 512 + 1, bytes(3))
    assert found(path, "vfat") is None


def test_exfat(make: Make) -> None:
    path = make("exfat")
    write(path, 106, b"\2")
    assert reason(path, "exfat") == NOT_UNMOUNTED
    repair("fsck.exfat", "-p", path)
    assert found(path, "exfat") is None


# --- btrfs and F2FS ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("byte", range(8))
def test_btrfs(byte: int, make: Make) -> None:
    path = make("btrfs")
    write(path, (64 << 10) + 96 + byte, b"\1")
    assert reason(path, "btrfs") == REPLAY


BLOCK: Final = 4096
UMOUNT, ERROR, FSCK = 0x1, 0x8, 0x10


def checkpoint(path: Path, pack: int, *, remove: int = 0, add: int = 0, newer: int = 0) -> int:
    """Writes the first one again, changed, in its place or as the second; where it ends."""
    first = int.from_bytes(read(path, 1024 + 76, 4), "little") * BLOCK
    blocks = int.from_bytes(read(path, first + 136, 4), "little")
    start = first + pack * 512 * BLOCK
    for at in (0, (blocks - 1) * BLOCK):
        block = bytearray(read(path, first + at, BLOCK))
        version, flags, place = struct.unpack_from("<Q124xI28xI", block)
        struct.pack_into("<Q", block, 0, version + newer)
        struct.pack_into("<I", block, 132, flags & ~remove | add)
        crc = ~zlib.crc32(block[place + 4 :], zlib.crc32(block[:place], ~0xF2F52010 & 0xFFFFFFFF)) & 0xFFFFFFFF
        struct.pack_into("<I", block, place, crc)
        write(path, start + at, bytes(block))
    return start + blocks * BLOCK


@pytest.mark.parametrize("kind", ["f2fs", "f2fs with more checksum"])
@pytest.mark.parametrize(
    ("remove", "add", "expected"), [(UMOUNT, 0, NOT_UNMOUNTED), (0, ERROR, ERRORS), (0, FSCK, ERRORS)]
)
def test_f2fs(kind: str, remove: int, add: int, expected: str, make: Make) -> None:
    path = make(kind)
    checkpoint(path, 0, remove=remove, add=add)
    assert reason(path, kind) == expected
    repair("fsck.f2fs", "-f", path)
    assert found(path, kind) is None


def test_the_newer_checkpoint_counts_when_it_is_whole(make: Make) -> None:
    path = make("f2fs")
    end = checkpoint(path, 1, remove=UMOUNT, newer=1)
    assert reason(path, "f2fs") == NOT_UNMOUNTED
    write(path, end - BLOCK + 8, b"\xff" * 8)
    assert found(path, "f2fs") is None


def test_a_checkpoint_with_the_end_of_another_is_not_whole(make: Make) -> None:
    path = make("f2fs")
    end = checkpoint(path, 1, newer=1)
    last = read(path, end - BLOCK, BLOCK)
    checkpoint(path, 1, remove=UMOUNT, newer=2)
    write(path, end - BLOCK, last)
    assert found(path, "f2fs") is None


def test_an_older_checkpoint_counts_for_nothing(make: Make) -> None:
    path = make("f2fs")
    checkpoint(path, 1, remove=UMOUNT, newer=-1)
    assert found(path, "f2fs") is None


def test_no_checkpoint_is_whole(make: Make) -> None:
    path = make("f2fs")
    for pack in (1, 0):
        write(path, checkpoint(path, pack) - BLOCK + 8, b"\xff" * 8)
    assert reason(path, "f2fs") == UNKNOWN


# --- NTFS -------------------------------------------------------------------------------------------------------------


def test_ntfs_that_is_to_be_checked(make: Make, tool: Tool) -> None:
    path = make("ntfs")
    tool("ntfsfix", path)
    assert found(path, "ntfs") == Unclean("Windows marked it as dirty", "let Windows check it (chkdsk /f)")
    tool("ntfsfix", "-d", path)
    assert found(path, "ntfs") is None


# --- XFS --------------------------------------------------------------------------------------------------------------


def test_xfs_that_needs_a_repair(make: Make) -> None:
    path = make("xfs")
    write(path, 219, bytes([read(path, 219, 1)[0] | 0x10]))
    assert found(path, "xfs") == Unclean(ERRORS, "run xfs_repair on it")


@pytest.mark.parametrize(("at", "data"), [(48, bytes(8)), (4, bytes(4)), (96, bytes(4)), (96, b"\xff" * 4)])
def test_xfs_without_a_log_that_can_be_read(at: int, data: bytes, make: Make) -> None:
    path = make("xfs")
    write(path, at, data)
    assert reason(path, "xfs") == UNKNOWN
