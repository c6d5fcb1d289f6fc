"""What file systems are called, and by whom."""

from __future__ import annotations

import pytest

from ogagent.model.filesystem import FILESYSTEMS, by_blkid, family_of_code, of_image


@pytest.mark.parametrize(
    ("blkid", "name"),
    [
        ("ext4", "EXT4"),
        ("vfat", "FAT32"),
        ("swap", "LINUX-SWAP"),
        ("swsuspend", "LINUX-SWAP"),
        ("LVM2_member", "LINUX-LVM"),
        ("nilfs2", "NILFS2"),
    ],
)
def test_what_libblkid_finds(blkid: str, name: str) -> None:
    found = by_blkid(blkid)
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize(
    ("name", "family"),
    [
        *((name, "Linux") for name in ("EXTFS", "EXT2", "EXT4", "XFS", "BTRFS", "F2FS", "JFS", "NILFS", "REISERFS")),
        *((name, "Windows") for name in ("NTFS", "FAT", "FAT12", "FAT16", "FAT32", "EXFAT", "exfat")),
        *((name, "Apple") for name in ("HFS PLUS", "APFS")),
        ("UFS", "BSD"),
    ],
)
def test_what_images_hold(name: str, family: str) -> None:
    found = of_image(name)
    assert found is not None
    assert found.family == family


@pytest.mark.parametrize(
    ("code", "family"),
    [("83", "Linux"), ("8300", "Linux"), ("7", "Windows"), ("0700", "Windows"), ("AF00", "Apple"), ("a5", "BSD")],
)
def test_what_codes_are_for(code: str, family: str) -> None:
    assert family_of_code(code) == family


@pytest.mark.parametrize("name", ["", "what?", "raw"])
def test_what_nobody_knows(name: str) -> None:
    assert (by_blkid(name), of_image(name), family_of_code(name)) == (None, None, None)


def test_each_is_there_once() -> None:
    assert len({(each.name, each.blkid) for each in FILESYSTEMS}) == len(FILESYSTEMS)
