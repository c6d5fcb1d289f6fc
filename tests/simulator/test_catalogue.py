from __future__ import annotations

import gzip
import hashlib
import os
from pathlib import Path

import pytest

from simulator.repository.catalogue import Catalogue, Image
from simulator.sample import Sample

NAMES_OF_NO_IMAGE = ["../X.img", "/etc/X.img", "a/../../X.img", ".X.img", "a/b/X.img", "X", "X.img\0", "ñ.img", ""]


def put(directory: Path, name: str, data: bytes, *, total: str | None = None, info: str = "") -> Path:
    path = directory / f"{name}.img"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    if total is not None:
        path.with_name(f"{path.name}.full.sum").write_text(total)
    if info:
        path.with_name(f"{path.name}.info").write_text(info)
    return path


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def only(catalogue: Catalogue) -> Image:
    (image,) = catalogue.images()
    return image


def test_the_sample_is_ok(sample: Sample) -> None:
    image = only(Catalogue(sample.image.parent))
    assert (image.name, image.state, image.container) == ("image-test", "ok", "zstd")
    assert image.format == "partclone 0002"
    assert image.size == sample.image.stat().st_size
    assert image.info.startswith("partclone:zstd:EXTFS:")


@pytest.mark.parametrize(
    "total", [md5(b"data"), md5(b"data").upper() + "\n", md5(b"data") + "  X.img\n", f"MD5 (X.img) = {md5(b'data')}"]
)
def test_a_sum_is_compared_with_the_file(tmp_path: Path, total: str) -> None:
    put(tmp_path, "X", b"data", total=total)
    assert only(Catalogue(tmp_path)).state == "ok"


def test_a_file_that_is_not_the_one_that_was_summed_is_corrupt(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path)
    path = put(tmp_path, "X", b"data", total=md5(b"data"))
    assert only(catalogue).state == "ok"
    path.write_bytes(b"dat")
    found = only(catalogue)
    assert found.state == "corrupt"
    assert "X.img.full.sum" in found.reason


def test_another_sum_is_another_judgement(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path)
    put(tmp_path, "X", b"data", total=md5(b"other"))
    assert only(catalogue).state == "corrupt"
    put(tmp_path, "X", b"data", total=md5(b"data"))
    assert only(catalogue).state == "ok"


def test_without_a_sum_nothing_is_known(tmp_path: Path) -> None:
    put(tmp_path, "X", b"data")
    put(tmp_path, "Y", b"data", total="\n")
    assert [image.state for image in Catalogue(tmp_path).images()] == ["unchecked", "unchecked"]


def test_a_file_is_not_read_again_without_need(tmp_path: Path) -> None:
    catalogue = Catalogue(tmp_path)
    path = put(tmp_path, "X", b"data", total=md5(b"data"))
    assert only(catalogue).state == "ok"
    times = (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    path.write_bytes(b"DATA")
    os.utime(path, ns=times)
    assert only(catalogue).state == "ok", "same size and time: what is known of it stands"


def test_containers_are_told_from_the_first_bytes(tmp_path: Path) -> None:
    header = b"partclone-image\0" + b"0.3.23".ljust(14, b"\0") + b"0001" + bytes(100)
    put(tmp_path, "a", gzip.compress(header))
    put(tmp_path, "b", header)
    put(tmp_path, "c", b"\x89LZO\x00\r\n\x1a\n" + bytes(50))
    put(tmp_path, "d", b"\x28\xb5\x2f\xfd" + b"\xff" * 50)
    put(tmp_path, "e", b"")
    found = [(image.container, image.format) for image in Catalogue(tmp_path).images()]
    assert found == [
        ("gzip", "partclone 0001"),
        ("none", "partclone 0001"),
        ("lzop", ""),
        ("zstd", ""),
        ("none", ""),
    ]


def test_one_directory_below_counts_and_no_more(tmp_path: Path) -> None:
    put(tmp_path, "aula/X", b"data")
    (tmp_path / "aula/deeper").mkdir()
    put(tmp_path, "aula/deeper/Y", b"data")
    (tmp_path / "directory.img").mkdir()
    assert only(Catalogue(tmp_path)).name == "aula/X"


@pytest.mark.parametrize("name", NAMES_OF_NO_IMAGE)
def test_names_that_no_image_has(tmp_path: Path, name: str) -> None:
    images = tmp_path / "images"
    images.mkdir()
    put(tmp_path, "X", b"data")
    assert Catalogue(images).file(name) is None


def test_a_symlink_out_of_the_directory_leads_nowhere(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    inside, outside = put(images, "inside", b"data"), put(tmp_path, "outside", b"data")
    (images / "bad.img").symlink_to(outside)
    (images / "good.img").symlink_to(inside)
    catalogue = Catalogue(images)
    assert catalogue.file("bad.img") is None
    assert catalogue.file("good.img") == inside
    assert [image.name for image in catalogue.images()] == ["good", "inside"]
