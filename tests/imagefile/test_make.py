"""An image file remade, with all that is beside it."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from pathlib import Path

import pytest

from ogagent.errors import AgentError, ImageChanged, ImageCorrupt, ImageLocked, UnknownImage
from ogagent.image.codec import MAX_WINDOW
from ogagent.image.index import decode
from ogagent.imagefile.exchange import opened_alone
from ogagent.imagefile.make import Wanted, make_index
from tests.imagefile.beside import KEY, KIB, MIB, check, flip, lock, make, md5, names


def test_what_lies_beside_the_image_afterwards(image: Path) -> None:
    before = image.read_bytes()
    image.with_name("x.img.full.sum").write_text(f"{md5(before)}  x.img\n")
    for name in ("x.img.sum", "x.img.torrent", "x.img.index", "x.img.index.sig"):
        image.with_name(name).write_text("old")
    image.with_name("x.img.info").write_text("PARTCLONE:LZOP:EXTFS:6144:pc-7\n")
    image.chmod(0o640)
    index = make(image)
    data = image.read_bytes()
    assert len(data) == index.size < len(before)
    assert names(image) == ["x.img", "x.img.full.sum", "x.img.index", "x.img.info", "x.img.sum"]
    assert image.with_name("x.img.full.sum").read_text() == f"{md5(data)}\n"
    assert image.with_name("x.img.sum").read_text() == f"{md5(data[-MIB:])}\n"
    assert image.with_name("x.img.info").read_text() == "PARTCLONE:ZSTD:EXTFS:6144:pc-7\n"
    assert decode(image.with_name("x.img.index").read_bytes()) == index
    assert {file.stat().st_mode & 0o777 for file in image.parent.iterdir() if file.suffix != ".info"} == {0o640}
    assert check(image) == "index, none"


def test_an_info_that_is_none_stays(image: Path) -> None:
    image.with_name("x.img.info").write_text("something else")
    make(image)
    assert image.with_name("x.img.info").read_text() == "something else"


def test_an_image_in_frames_is_not_packed_again(image: Path) -> None:
    """It is signed, renamed, or left alone."""
    make(image)
    inode = image.stat().st_ino
    make(image, KEY)
    assert check(image, KEY) == "index, good"
    make(image)
    assert check(image, KEY) == "index, good"
    for suffix in ("", ".index", ".index.sig"):
        image.with_name(f"x.img{suffix}").rename(image.with_name(f"y.img{suffix}"))
    renamed = image.with_name("y.img")
    assert make(renamed).image == "y.img"
    assert check(renamed) == "index, none"
    assert renamed.stat().st_ino == inode


def test_another_region_size_or_level_packs_again(image: Path) -> None:
    assert make(image).count == 6
    inode = image.stat().st_ino
    assert make(image, region_size=64 * KIB).count == 96
    assert image.stat().st_ino != inode
    inode = image.stat().st_ino
    make(image, level=9, region_size=64 * KIB)
    assert image.stat().st_ino != inode
    assert check(image) == "index, none"


def test_an_index_that_lies_is_made_anew(image: Path, filesystem: bytes) -> None:
    index = make(image)
    image.write_bytes(filesystem)
    image.with_name("x.img.full.sum").unlink()
    assert make(image) == index
    image.with_name("x.img.index").write_bytes(b"none")
    assert make(image) == index


def spoil_sum(image: Path) -> None:
    image.with_name("x.img.full.sum").write_text(md5(b"another"))


def spoil_sum_of_bsd(image: Path) -> None:
    image.with_name("x.img.full.sum").write_text(f"MD5 (x.img) = {md5(b'another')}\n")


def spoil_content(image: Path) -> None:
    image.write_bytes(image.read_bytes()[: 5 * MIB])


def spoil_all(image: Path) -> None:
    image.write_bytes(b"<html>")


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (spoil_sum, ImageCorrupt),
        (spoil_sum_of_bsd, ImageCorrupt),
        (spoil_content, ImageCorrupt),
        (spoil_all, UnknownImage),
        (lock, ImageLocked),
    ],
)
def test_what_cannot_be_proven_stays_as_it_was(
    image: Path, spoil: Callable[[Path], None], error: type[AgentError]
) -> None:
    image.with_name("x.img.torrent").touch()
    spoil(image)
    before = {file: file.read_bytes() for file in image.parent.iterdir()}
    with pytest.raises(error):
        make(image)
    assert {file: file.read_bytes() for file in image.parent.iterdir()} == before


@pytest.mark.parametrize("how", ["replaced", "written", "locked"])
def test_an_image_that_somebody_else_changes_meanwhile(image: Path, filesystem: bytes, how: str) -> None:
    other = filesystem[: 6 * MIB - 1] + b"!"

    def disturb(what: str, _done: int, _total: int) -> None:
        if what != "proving":
            return
        if how == "replaced":
            fresh = image.with_name("fresh")
            fresh.write_bytes(other)
            fresh.replace(image)
        elif how == "written":
            image.write_bytes(other)
        else:
            lock(image)

    with pytest.raises(ImageLocked if how == "locked" else ImageChanged):
        make_index(image, Wanted(None, None, 2, MAX_WINDOW, None), disturb)
    assert image.read_bytes() == (filesystem if how == "locked" else other)
    assert names(image) == (["x.img", "x.img.lock"] if how == "locked" else ["x.img"])


def test_a_disk_that_does_not_keep_what_was_written(image: Path, filesystem: bytes) -> None:
    """The new file is proven before it takes the place of the old one."""

    spoilt = False

    def spoil(what: str, _done: int, total: int) -> None:
        nonlocal spoilt
        if what == "proving" and not spoilt:
            spoilt = True
            flip(image.with_name("x.img.partial"), total // 2)

    with pytest.raises(ImageCorrupt):
        make_index(image, Wanted(None, None, 2, MAX_WINDOW, None), spoil)
    assert image.read_bytes() == filesystem
    assert names(image) == ["x.img"]


def test_only_one_at_a_time(image: Path) -> None:
    with opened_alone(image), pytest.raises(ImageLocked, match="already"):
        make(image)
    with image.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        with pytest.raises(ImageLocked):
            make(image)


def test_what_a_killed_run_left_behind(image: Path) -> None:
    image.with_name("x.img.partial").write_bytes(b"half")
    image.with_name("x.img.index.partial").write_bytes(b"half")
    make(image)
    assert check(image) == "index, none"
    assert not [name for name in names(image) if name.endswith(".partial")]


def test_a_link_to_an_image_stays_one(image: Path) -> None:
    link = image.with_name("link.img")
    link.symlink_to(image)
    assert make(link).image == "x.img"
    assert link.is_symlink()
    assert check(image) == "index, none"
