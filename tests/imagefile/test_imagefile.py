"""Image files where they lie: remade with all that is beside them, verified, compared."""

from __future__ import annotations

import fcntl
import hashlib
import os
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ogagent.errors import (
    AgentError,
    ImageChanged,
    ImageCorrupt,
    ImageLocked,
    ImageNotFound,
    InvalidField,
    SignatureRefused,
    UnknownImage,
)
from ogagent.image.codec import MAX_WINDOW
from ogagent.image.index import ImageIndex, decode
from ogagent.imagefile.check import verify
from ogagent.imagefile.diff import Difference, difference, load_beside
from ogagent.imagefile.exchange import opened_alone
from ogagent.imagefile.make import Wanted, make_index

MIB: Final = 1 << 20
KIB: Final = 1 << 10
NOISE: Final = random.Random(11)
KEY: Final = Ed25519PrivateKey.generate()


@pytest.fixture(scope="module")
def filesystem(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A raw ext4; what is in its blocks does not matter here."""
    mke2fs = shutil.which("mke2fs", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if mke2fs is None:
        pytest.skip("mke2fs is not installed")
    path = tmp_path_factory.mktemp("raw") / "fs"
    with path.open("xb") as file:
        file.truncate(6 * MIB)
    subprocess.run([mke2fs, "-q", "-t", "ext4", path], check=True, capture_output=True)
    data = bytearray(path.read_bytes())
    data[3 * MIB : 4 * MIB] = NOISE.randbytes(MIB)
    return bytes(data)


@pytest.fixture
def image(filesystem: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "x.img"
    path.write_bytes(filesystem)
    return path


def make(
    path: Path, key: Ed25519PrivateKey | None = None, region_size: int | None = None, level: int | None = None
) -> ImageIndex:
    return make_index(path, Wanted(region_size, level, 2, MAX_WINDOW, key), lambda _what, _done, _total: None)[0]


def check(path: Path, key: Ed25519PrivateKey | None = None) -> str:
    found = verify(path, key.public_key() if key else None, 2, MAX_WINDOW, lambda _what, _done, _total: None)
    return f"{'index' if found.index else 'no index'}, {found.signature}"


def names(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.iterdir())


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


# --- making ------------------------------------------------------------------------------------------------------


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


def lock(image: Path) -> None:
    image.with_name("x.img.lock").touch()


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


# --- verifying ---------------------------------------------------------------------------------------------------


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def swap_two_frames(image: Path) -> None:
    """Each frame is whole and its own: only the index knows where it belongs."""
    index, data = load_beside(image), image.read_bytes()
    (start, first), (_, second) = index.frame(3), index.frame(4)
    middle, end = start + first, start + first + second
    image.write_bytes(data[:start] + data[middle:end] + data[start:middle] + data[end:])


@pytest.mark.parametrize(
    "spoil",
    [
        *(lambda image, place=place: flip(image, place) for place in (0, 9, 3000, MIB // 2, -20, -1)),
        lambda image: image.write_bytes(image.read_bytes()[:-1]),
        lambda image: image.write_bytes(image.read_bytes() + b"\x50\x2a\x4d\x18\0\0\0\0"),
        swap_two_frames,
        lambda image: flip(image.with_name("x.img.index"), 40),
    ],
)
def test_an_image_its_index_does_not_fit_is_found(image: Path, spoil: Callable[[Path], None]) -> None:
    make(image)
    assert check(image) == "index, none"
    spoil(image)
    with pytest.raises((ImageCorrupt, UnknownImage)):
        check(image)


def test_an_older_index_or_that_of_another_image_is_found(image: Path, filesystem: bytes) -> None:
    old = image.with_name("old.img")
    old.write_bytes(filesystem)
    make(old, KEY)
    image.write_bytes(filesystem[: 4 * MIB] + NOISE.randbytes(MIB) + filesystem[5 * MIB :])
    make(image, KEY)
    for suffix in (".index", ".index.sig"):
        shutil.copy(f"{old}{suffix}", f"{image}{suffix}")
    with pytest.raises(ImageCorrupt, match=r"that of old\.img"):
        check(image, KEY)
    shutil.copy(old, image)
    with pytest.raises(ImageCorrupt, match=r"that of old\.img"):
        check(image, KEY)


def test_signatures(image: Path) -> None:
    other = Ed25519PrivateKey.generate()
    assert check(image) == "no index, none"
    for refused in (KEY, other):
        with pytest.raises(SignatureRefused):
            check(image, refused)
    make(image)
    with pytest.raises(SignatureRefused, match="not signed"):
        check(image, KEY)
    make(image, KEY)
    assert (check(image), check(image, KEY)) == ("index, unchecked", "index, good")
    with pytest.raises(SignatureRefused):
        check(image, other)
    flip(image.with_name("x.img.index.sig"), 5)
    with pytest.raises(SignatureRefused):
        check(image, KEY)


# --- comparing ---------------------------------------------------------------------------------------------------


def test_what_differs(image: Path, filesystem: bytes) -> None:
    new = image.with_name("new.img")
    new.write_bytes(filesystem[: 3 * MIB + 5] + b"other" + filesystem[3 * MIB + 10 :] + b"a seventh region")
    with pytest.raises(ImageNotFound, match="no index"):
        load_beside(new)
    old_index, new_index = make(image), make(new)
    found = difference(old_index, new_index)
    fetched = sum(new_index.frame(place)[1] for place in (3, 6))
    assert fetched > MIB
    assert found == Difference(
        same=5, changed=1, added=1, removed=0, bytes_to_fetch=fetched, bytes_of_image=new_index.size
    )
    assert difference(new_index, old_index).removed == 1
    assert difference(new_index, new_index).bytes_to_fetch == 0
    with pytest.raises(InvalidField, match="65536"):
        difference(make(image, region_size=64 * KIB), new_index)
