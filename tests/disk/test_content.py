"""What libblkid finds on what the real tools make, in a file of its own and in the middle of another."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ogagent.disk.content import Content, probe

MIB = 1 << 20
MAKERS = {
    "ext2": ("mke2fs", "-q", "-F", "-t", "ext2", "-L", "some name"),
    "ext3": ("mke2fs", "-q", "-F", "-t", "ext3", "-L", "some name"),
    "ext4": ("mke2fs", "-q", "-F", "-t", "ext4", "-L", "some name"),
    "xfs": ("mkfs.xfs", "-q", "-f", "-L", "some_name"),
    "btrfs": ("mkfs.btrfs", "-q", "-f", "-L", "some name"),
    "vfat": ("mkfs.vfat", "-n", "SOME NAME"),
    "ntfs": ("mkfs.ntfs", "-q", "-Q", "-F", "-L", "some name"),
    "swap": ("mkswap", "-L", "some name"),
}
LABELS = {"xfs": "some_name", "vfat": "SOME NAME"}
SIZE = 320 * MIB  # mkfs.xfs makes none that is smaller than 300 MiB


@contextmanager
def opened(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY)
    try:
        yield fd
    finally:
        os.close(fd)


def probed(path: Path, offset: int, size: int) -> Content:
    with opened(path) as fd:
        return probe(fd, offset, size)


@pytest.mark.parametrize("filesystem", MAKERS)
def test_file_system(filesystem: str, tool: Callable[..., str], sparse: Callable[[int], Path]) -> None:
    volume = sparse(SIZE)
    volume.chmod(0o600)
    tool(*MAKERS[filesystem], volume)
    content = probed(volume, 0, SIZE)
    assert (content.filesystem, content.label) == (filesystem, LABELS.get(filesystem, "some name"))


@pytest.mark.parametrize("filesystem", ["ext4", "vfat", "ntfs"])
def test_in_the_middle_of_a_disk(filesystem: str, tool: Callable[..., str], sparse: Callable[[int], Path]) -> None:
    volume, disk = sparse(32 * MIB), sparse(96 * MIB)
    tool(*MAKERS[filesystem], volume)
    with disk.open("r+b") as file:
        file.seek(48 * MIB)
        file.write(volume.read_bytes())
    assert probed(disk, 48 * MIB, 32 * MIB) == probed(volume, 0, 32 * MIB)
    assert probed(disk, 0, 96 * MIB) == Content()


def test_nothing(sparse: Callable[[int], Path]) -> None:
    assert probed(sparse(MIB), 0, MIB) == Content()


def test_signatures_that_contradict_each_other(tool: Callable[..., str], sparse: Callable[[int], Path]) -> None:
    """An ext4 that was laid over an XFS, whose first block it leaves alone."""
    volume, other = sparse(SIZE), sparse(SIZE)
    tool(*MAKERS["xfs"], volume)
    tool(*MAKERS["ext4"], other)
    with volume.open("r+b") as file, other.open("rb") as source:
        file.seek(1024)
        source.seek(1024)
        file.write(source.read(4096))
    assert probed(volume, 0, SIZE) == Content()


def test_label_is_fit_to_be_shown(tool: Callable[..., str], sparse: Callable[[int], Path]) -> None:
    volume = sparse(16 * MIB)
    tool("mke2fs", "-q", "-L", "a\x1b[31m\tb", volume)
    assert probed(volume, 0, 16 * MIB).label == "a?[31m?b"


def test_superblock_that_is_cut_off(tool: Callable[..., str], sparse: Callable[[int], Path]) -> None:
    volume = sparse(16 * MIB)
    tool("mke2fs", "-q", volume)
    assert probed(volume, 0, 1500) == Content()


@pytest.mark.parametrize("size", [0, -1])
def test_no_room_holds_nothing(size: int, tool: Callable[..., str], sparse: Callable[[int], Path]) -> None:
    volume = sparse(16 * MIB)
    tool("mke2fs", "-q", volume)
    assert probed(volume, 0, size) == Content()


def test_partition_beyond_the_end_of_its_disk(sparse: Callable[[int], Path]) -> None:
    with pytest.raises(OSError, match="libblkid cannot use the device"):
        probed(sparse(MIB), 2 * MIB, MIB)


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="libblkid cannot"):
        probed(tmp_path, 0, MIB)


def test_file_descriptor_is_left_open(sparse: Callable[[int], Path]) -> None:
    with opened(sparse(MIB)) as fd:
        for _ in range(100):
            probe(fd, 0, MIB)
        os.fstat(fd)
