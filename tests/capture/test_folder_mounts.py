"""A repository that is a directory of a file system which is full, cannot be written, has no links, or loses its power.

They are mounted, which needs root.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from ogagent.capture.folder import Folder
from ogagent.errors import RepositoryFull, RepositoryUnreachable
from tests.capture.dav_server import MIB, pieces
from tests.capture.test_folder import ANY, CALLS, PART, place
from tests.mounts import unmount
from tests.simulator.repository_writer import files

_GETFLAGS: Final = 0x80086601  # linux/fs.h
_SETFLAGS: Final = 0x40086602
_IMMUTABLE: Final = 0x10

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    return tmp_path / "images"


@pytest.fixture
def folder(images: Path) -> Folder:
    return Folder(images)


@contextmanager
def mounted(place: Path, *arguments: str | Path) -> Iterator[None]:
    subprocess.run(["mount", *arguments, place], check=True)
    try:
        yield
    finally:
        unmount(place)


@pytest.mark.parametrize("call", ["put", "stream", "move", "copy", "remove"])
async def test_one_that_cannot_be_written(folder: Folder, images: Path, call: str) -> None:
    place(images / "x.img", b"image")
    with mounted(images, "-o", "bind,ro", images):
        with pytest.raises(RepositoryUnreachable, match="Read-only file system") as failure:
            await CALLS[call](folder)
        assert str(images) in failure.value.message
        assert failure.value.hint
    assert files(images) == {"x.img": b"image"}


async def test_one_that_is_full(folder: Folder, images: Path) -> None:
    with mounted(images, "-t", "tmpfs", "-o", "size=1m", "none"):
        assert await folder.room() == MIB
        with pytest.raises(RepositoryFull, match=r"has no room for the image: No space") as failure:
            await folder.stream(PART, pieces(bytes(5 * MIB), MIB))
        assert "make room" in failure.value.hint
        await folder.remove(PART)
        await folder.put("x.img.lock", b"before")
        with pytest.raises(RepositoryFull):
            await folder.put("x.img.lock", bytes(2 * MIB))
        assert files(images) == {"x.img.lock": b"before"}, "nobody finds half a lock"
        await folder.stream(PART, pieces(ANY))


async def test_one_without_hard_links(tmp_path: Path, images: Path, folder: Folder) -> None:
    """link(2) refuses a file that must not be changed as FAT refuses all: with EPERM."""
    with mounted(images, "-o", "loop", filesystem(tmp_path / "disk")):
        await folder.stream("x.img", pieces(ANY))
        with immutable(images / "x.img"):
            with pytest.raises(PermissionError):
                os.link(images / "x.img", images / "y.img")
            await folder.copy("x.img", "x.img.ant")
            assert (images / "x.img").stat().st_ino != (images / "x.img.ant").stat().st_ino
        assert (images / "x.img.ant").read_bytes() == ANY


def filesystem(file: Path) -> Path:
    file.touch()
    os.truncate(file, 16 * MIB)
    subprocess.run(["/usr/sbin/mke2fs", "-q", "-F", "-t", "ext4", "-E", "lazy_itable_init=0", file], check=True)
    return file


@contextmanager
def immutable(file: Path) -> Iterator[None]:
    with file.open("rb") as opened:
        (flags,) = struct.unpack("i", fcntl.ioctl(opened, _GETFLAGS, bytes(4)))
        fcntl.ioctl(opened, _SETFLAGS, struct.pack("i", flags | _IMMUTABLE))
        try:
            yield
        finally:
            fcntl.ioctl(opened, _SETFLAGS, struct.pack("i", flags))


@pytest.mark.parametrize(
    ("call", "there", "gone"),
    [
        ("put", "x.img", ""),
        ("stream", "x.img", ""),
        ("move", "y.img", "x.img"),
        ("copy", "y.img", ""),
        ("remove", "", "x.img"),
    ],
)  # fmt: skip
async def test_power_that_is_lost_afterwards(
    tmp_path: Path, images: Path, folder: Folder, call: str, there: str, gone: str
) -> None:
    """What has been said to be done is done: all that the disk has at that moment is looked at."""
    disk, later = filesystem(tmp_path / "disk"), tmp_path / "later"
    with mounted(images, "-o", "loop,commit=300", disk):
        if call in ("move", "copy", "remove"):
            await folder.put("x.img", ANY)
        await CALLS[call](folder)
        shutil.copyfile(disk, later)
    names = names_on(later)
    assert not there or there in names
    assert not gone or gone not in names


def names_on(disk: Path) -> set[str]:
    """With what its journal holds."""
    subprocess.run(["/usr/sbin/e2fsck", "-fy", disk], check=False, capture_output=True)
    listed = subprocess.run(["/usr/sbin/debugfs", "-R", "ls -p /", disk], check=True, capture_output=True, text=True)
    return {line.split("/")[5] for line in listed.stdout.splitlines() if line.count("/") > 5}
