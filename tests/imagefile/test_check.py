"""Image files verified, and compared with one another."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ogagent.errors import ImageCorrupt, ImageNotFound, InvalidField, SignatureRefused, UnknownImage
from ogagent.imagefile.diff import Difference, difference, load_beside
from tests.imagefile.beside import KEY, KIB, MIB, NOISE, check, flip, make, md5, verified

# --- verifying ---------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("form", ["{}", "{}  x.img\n", "MD5 (x.img) = {}\n"])
def test_the_sum_of_an_image_without_an_index(image: Path, form: str) -> None:
    """A bit that has changed since: nothing else tells it of a raw image."""
    full_sum = image.with_name("x.img.full.sum")
    full_sum.write_text(form.format(md5(image.read_bytes())))
    assert check(image) == "no index, none"
    flip(image, 5 * MIB)
    with pytest.raises(ImageCorrupt, match="MD5"):
        check(image)
    full_sum.write_text(f"{md5(b'another')}  y.img\n")
    assert check(image) == "no index, none"


def test_an_old_sum_beside_an_index_is_told(image: Path) -> None:
    """Whoever restores goes by the index."""
    make(image)
    assert not verified(image).warnings
    image.with_name("x.img.full.sum").write_text(md5(b"old"))
    assert [warning[:4] for warning in verified(image).warnings] == ["033-"]


def test_sums_of_many_images_in_one_file(image: Path) -> None:
    lines = [f"{md5(b'another')}  {number}.img\n" for number in range(1000)]
    image.with_name("x.img.full.sum").write_text("".join([*lines, f"{md5(image.read_bytes())}  x.img\n"]))
    assert check(image) == "no index, none"
    make(image)


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
