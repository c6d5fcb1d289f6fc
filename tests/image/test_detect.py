"""What an image is, told from its content."""

from __future__ import annotations

import gzip
import io
import os
import random
import re
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Final

import pytest

from ogagent.errors import ImageCorrupt, ImageError, UnknownImage
from ogagent.image.detect import open_image
from ogagent.image.filesystem import PROBE_SIZE, recognize
from ogagent.image.piece import Image
from ogagent.model.filesystem import of_image

MIB: Final = 1 << 20
NOISE: Final = random.Random(2).randbytes(MIB)
FILE_SYSTEMS: Final = (
    ("EXT4", 8, ("mke2fs", "-q", "-t", "ext4")),
    ("EXT3", 8, ("mke2fs", "-q", "-t", "ext3")),
    ("EXT2", 8, ("mke2fs", "-q", "-t", "ext2")),
    ("NTFS", 8, ("mkfs.ntfs", "-qFf")),
    ("FAT", 8, ("mkfs.vfat", "-F", "12")),
    ("FAT", 20, ("mkfs.vfat", "-F", "16")),
    ("FAT", 40, ("mkfs.vfat", "-F", "32")),
    ("XFS", 300, ("mkfs.xfs", "-q", "-f")),
    ("BTRFS", 120, ("mkfs.btrfs", "-q")),
)


def open_bytes(data: bytes, chunk: int = 4096) -> Image:
    return open_image(data[start : start + chunk] for start in range(0, len(data), chunk))


def head_of(size_mib: int, command: tuple[str, ...], path: Path) -> bytes:
    program = shutil.which(command[0], path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if program is None:
        pytest.skip(f"{command[0]} is not installed")
    with path.open("xb") as file:
        file.truncate(size_mib * MIB)
    subprocess.run([program, *command[1:], path], check=True, capture_output=True, timeout=300)
    with path.open("rb") as file:
        return file.read(MIB)


@pytest.mark.parametrize(
    ("sector", "size", "command"),
    [
        (1024, 8, ("mke2fs", "-q", "-b", "1024")),
        (4096, 8, ("mke2fs", "-q", "-b", "4096")),
        (512, 8, ("mkfs.ntfs", "-qFf")),
        (4096, 8, ("mkfs.ntfs", "-qFf", "-s", "4096")),
        (512, 40, ("mkfs.vfat", "-F", "32")),
        (4096, 300, ("mkfs.vfat", "-F", "32", "-S", "4096")),
        (512, 8, ("mkfs.exfat",)),
        (512, 300, ("mkfs.xfs", "-q", "-f")),
        (4096, 300, ("mkfs.xfs", "-q", "-f", "-s", "size=4096")),
        (4096, 120, ("mkfs.btrfs", "-q", "--sectorsize", "4096")),
        (16384, 120, ("mkfs.btrfs", "-q", "--sectorsize", "16384")),
        (4096, 64, ("mkfs.f2fs", "-q")),
    ],
)
def test_the_sectors_of_a_file_system(sector: int, size: int, command: tuple[str, ...], tmp_path: Path) -> None:
    assert open_bytes(head_of(size, command, tmp_path / "raw")).header.sector_size == sector


def test_what_an_older_file_system_has_left_before_the_one_that_is_meant(tmp_path: Path) -> None:
    """mke2fs leaves the first KiB alone."""
    old, new = head_of(8, ("mkfs.ntfs", "-qFf"), tmp_path / "old"), head_of(8, ("mke2fs", "-q"), tmp_path / "new")
    head = (old[:1024] + new[1024:])[:PROBE_SIZE]
    for name, found in (("EXTFS", "EXT2"), ("NTFS", "NTFS"), ("", "NTFS")):
        superblock = recognize(head, name)
        assert superblock is not None
        assert superblock.filesystem == found
    assert recognize(head, "XFS") is None


def test_each_is_known_by_its_name_elsewhere() -> None:
    for name in {name for name, _, _ in FILE_SYSTEMS} | {"EXFAT", "F2FS"}:
        assert of_image(name) is not None


@pytest.mark.parametrize(("filesystem", "size", "command"), FILE_SYSTEMS)
def test_a_raw_partition(filesystem: str, size: int, command: tuple[str, ...], tmp_path: Path) -> None:
    head = head_of(size, command, tmp_path / "raw")
    for chunk in (7777, MIB):
        header = open_bytes(head, chunk).header
        assert (header.format, header.container, header.used_bytes) == ("raw", "none", None)
        assert (header.filesystem, header.device_size) == (filesystem, size * MIB)


def test_a_raw_partition_in_a_container(tmp_path: Path) -> None:
    head = head_of(8, ("mke2fs", "-q", "-t", "ext4"), tmp_path / "raw")
    for program in ("gzip", "zstd", "lzop"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
        packed = subprocess.run([program], input=head, capture_output=True, check=True, timeout=300).stdout
        header = open_bytes(packed).header
        assert (header.container, header.format, header.filesystem) == (program, "raw", "EXT4")


def test_a_superblock_of_an_impossible_size() -> None:
    for head in (
        b"XFSB" + b"\xff" * 200,
        bytes(3) + b"NTFS    " + b"\xff" * 200,
        bytes(3) + b"EXFAT   " + b"\xff" * 200,
    ):
        with pytest.raises(ImageCorrupt, match="superblock of the image claims"):
            open_bytes(head + bytes(MIB))


def a_zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("disk.img", NOISE)
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html><body>404 Not Found</body></html>", "HTML"),
        (b"<HTML><body>" + NOISE, "HTML"),
        (b"<!DOCTYPE html><html><body>", re.escape("begins with '<!DOCTYPE html><html><bo'")),
        (b"\xef\xbb\xbf\r\n <!doctype HTML>" + NOISE, "HTML"),
        (b'{"error": "not found"}\n', re.escape('begins with \'{"error": "not found"}\\n\'')),
        (gzip.compress(bytes(257) + b"ustar" + NOISE), "tar archive.*inside gzip"),
        (gzip.compress(b"", mtime=0), "begins with nothing inside gzip"),
        (b"QFI\xfb\0\0\0\3" + NOISE, "qcow2 disk, and begins with 51 46 49 fb 00 00 00 03"),
        (bytes(512) + b"EFI PART" + NOISE, "whole disk"),
        (a_zip(), "zip"),
        (b"\xfd7zXZ\x00" + NOISE, "xz"),
        (b"BZh9" + NOISE, "bzip2"),
        (bytes(257) + b"ustar" + NOISE, "tar"),
        (NOISE, "begins with"),
        (bytes(MIB), "begins with"),
        (b"x", "begins with"),
        (b"partclone-imagf" + NOISE, "begins with"),
        (b"\0artclone-image\0" + NOISE, "begins with"),
        (b"partclone-image" + bytes(15) + b"0003" + NOISE, "format"),
        (b"partclone-image" + bytes(15) + b"0002\xc0\xde" + NOISE, "big-endian"),
    ],
)
@pytest.mark.parametrize("chunk", [1000, 2 * MIB])
def test_what_is_no_image(data: bytes, what: str, chunk: int) -> None:
    with pytest.raises(UnknownImage, match=what) as caught:
        open_bytes(data, chunk)
    assert (caught.value.number, caught.value.code) == (33, "image-unknown-format")


@pytest.mark.parametrize("place", range(15))
def test_each_damaged_byte_of_the_magic(place: int) -> None:
    magic = bytearray(b"partclone-image")
    magic[place] ^= 0x10
    with pytest.raises(UnknownImage):
        open_bytes(bytes(magic) + bytes(15) + b"0002\xde\xc0" + NOISE)


@pytest.mark.parametrize("magic", [b"\x28\xb5\x2f\xfd", b"\x1f\x8b", b"\x89LZO\x00\r\n\x1a\n", b"partclone-image\0"])
def test_a_magic_and_nothing_good_behind_it(magic: bytes) -> None:
    for rest in (b"", b"\0", bytes(MIB), NOISE):
        with pytest.raises(ImageError) as caught:
            open_bytes(magic + rest)
        assert caught.value.number == 33
