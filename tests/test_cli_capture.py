"""``ogagent capture`` as an operator calls it: real processes, real file systems."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.content import filled
from tests.image.partclone_programs import run
from tests.image.partclone_written import restored
from tests.mounts import unmount

MIB: Final = 1 << 20
SIDECARS: Final = (".full.sum", ".index", ".info", ".sum")


def ogagent(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ogagent", *map(str, arguments)]
    environment = {**os.environ, "COLUMNS": "40"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env=environment)
    assert "Traceback" not in done.stdout + done.stderr
    return done


def capture(*arguments: str | Path) -> str:
    """What it prints; nothing goes to standard error where that is no terminal."""
    done = ogagent("capture", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def refused(*arguments: str | Path, status: int = 1) -> str:
    """One line for people, and nothing on standard output."""
    done = ogagent("capture", *arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.startswith("ogagent: ")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.rstrip().endswith(")"), "a hint says what to do"
    return done.stderr


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


@pytest.fixture
def model(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ext4 with some files."""
    path = tmp_path / "fs.ext4"
    with path.open("xb") as file:
        file.truncate(16 * MIB)
    run("mke2fs", "-q", "-F", "-t", "ext4", "-d", filled(tmp_path_factory.mktemp("content")), path)
    run("partclone.ext4", "-v")
    return path


@pytest.fixture
def image(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    return tmp_path / "images" / "x.img"


# --- what is made -------------------------------------------------------------------------------------------------


def test_an_image(model: Path, image: Path, tmp_path: Path) -> None:
    before = model.read_bytes()
    said = capture(model, image)
    assert said.startswith(f"{image}: ")
    assert re.search(r" MiB of ext4 \(\d+\.\d : 1\), read back and proven, in \d+\.\d s; most of the time ", said)
    assert len(said.splitlines()) == 1
    assert names(image.parent) == {"x.img", *(f"x.img{suffix}" for suffix in SIDECARS)}
    assert model.read_bytes() == before
    assert "good. partclone 0002 in zstd, EXTFS of 16.0 MiB" in ogagent("image", "verify", image).stdout
    target = tmp_path / "target"
    target.write_bytes(b"\xaa" * (16 * MIB))
    done = ogagent("restore", image, target, "--yes")
    assert done.returncode == 0, done.stderr
    run("e2fsck", "-fn", target)


def test_an_image_that_is_there_stays_as_the_one_before(model: Path, image: Path) -> None:
    capture(model, image)
    first = {path.name: path.read_bytes() for path in image.parent.iterdir()}
    run("debugfs", "-w", "-R", "mkdir another", model)
    capture(model, image)
    kept = {name.replace("x.img", "x.img.ant"): content for name, content in first.items()}
    assert names(image.parent) == {*first, *kept}
    assert {name: (image.parent / name).read_bytes() for name in kept} == kept
    assert image.read_bytes() != first["x.img"]
    assert "good" in ogagent("image", "verify", image).stdout


def test_json(model: Path, image: Path) -> None:
    said = json.loads(capture(model, image, "--json"))
    made, counts = said["image"], said["bytes"]
    assert (made["size"], made["filesystem"]) == (image.stat().st_size, "ext4")
    assert made["size"] == counts["image"] == counts["packed"] == counts["delivered"] == counts["verified"]
    assert made["used"] == counts["total"] == counts["read"] < 16 * MIB
    assert re.fullmatch("[0-9a-f]{64}", made["digest"])
    assert {"checking", "capturing", "verifying", "committing"} <= said["timings"].keys()


def test_without_reading_it_back(model: Path, image: Path) -> None:
    said = json.loads(capture(model, image, "--json", "--no-verify"))
    assert said["bytes"]["verified"] == 0
    assert "not read back" in capture(model, image, "--no-verify")
    assert "good" in ogagent("image", "verify", image).stdout


def test_a_higher_level_makes_it_smaller(model: Path, image: Path) -> None:
    sizes = [json.loads(capture(model, image, "--json", "--level", level))["image"]["size"] for level in ("1", "19")]
    assert sizes[1] < sizes[0]


def test_the_number_of_threads_changes_nothing(model: Path, image: Path) -> None:
    digests = {json.loads(capture(model, image, "--json", "--threads", n))["image"]["digest"] for n in ("1", "3")}
    assert len(digests) == 1


def test_a_signature(model: Path, image: Path, tmp_path: Path) -> None:
    key, public, other = tmp_path / "key.pem", tmp_path / "public.pem", tmp_path / "other.pem"
    for each, made in ((key, public), (tmp_path / "another.pem", other)):
        run("openssl", "genpkey", "-algorithm", "ed25519", "-out", each)
        run("openssl", "pkey", "-in", each, "-pubout", "-out", made)
    capture(model, image, "--key", key)
    assert "the signature is good" in ogagent("image", "verify", image, "--key", public).stdout
    assert ogagent("image", "verify", image, "--key", other).returncode == 1
    run("openssl", "pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin", "-in", f"{image}.index",
        "-sigfile", f"{image}.index.sig")  # fmt: skip
    capture(model, image)
    assert ogagent("image", "verify", image, "--key", public).returncode == 1, "nobody has signed this one"


def test_all_of_it(tmp_path: Path, image: Path) -> None:
    run("partclone.imager", "-v")
    noise = tmp_path / "noise"
    noise.write_bytes(random.Random(37).randbytes(2 * MIB + 512))
    assert "holds no file system (take all of it: --whole)" in refused(noise, image)
    assert not any(image.parent.iterdir())
    said = capture(noise, image, "--whole")
    assert " for 2.0 MiB (1.0 : 1), read back and proven" in said
    assert restored(image) == noise.read_bytes()


@pytest.mark.parametrize("label", ["gpt", "dos"])
def test_a_whole_disk_is_no_partition(tmp_path: Path, image: Path, label: str) -> None:
    disk = tmp_path / "disk"
    with disk.open("xb") as file:
        file.truncate(8 * MIB)
    subprocess.run(["sfdisk", "-q", disk], input=f"label: {label}\nsize=4MiB\n", text=True, check=True)
    for options in ((), ("--whole",)):
        said = refused(disk, image, *options)
        assert f"{disk} is a whole disk with its partition table" in said
        assert "(name one of its partitions)" in said
    assert not any(image.parent.iterdir())


def test_names_are_taken_and_shown_as_they_are(model: Path, image: Path) -> None:
    odd = image.with_name("[red] a b%20ñ :smile: [.img")
    said = capture(model, odd)
    assert said.startswith(f"{odd}: ")
    assert odd.name in names(odd.parent)
    assert "good" in ogagent("image", "verify", odd).stdout
    assert capture(model, image.as_uri()).startswith(f"{image.as_uri()}: ")
    assert image.exists()


# --- what is refused ----------------------------------------------------------------------------------------------


def test_what_is_not_in_order(model: Path, image: Path) -> None:
    run("debugfs", "-w", "-R", "ssv state 0", model)
    said = refused(model, image)
    assert said == f"ogagent: {model} cannot be captured: it was not unmounted cleanly (run e2fsck on it)\n"
    assert not any(image.parent.iterdir())


def test_what_an_image_may_be_called(model: Path, image: Path) -> None:
    for target in (image.with_suffix(".gz"), image.with_name("img"), "https://127.0.0.1/x", "https://127.0.0.1/x.img/"):
        assert "does not end in .img" in refused(model, target)
    for url in ("http://127.0.0.1/x.img", "ftp://127.0.0.1/x.img"):
        assert "https" in refused(model, url)
    assert "password" in refused(model, "https://user:secret@127.0.0.1/x.img")
    assert not any(image.parent.iterdir())


def test_a_directory_that_is_not_there(model: Path, tmp_path: Path) -> None:
    missing = tmp_path / "share" / "images"
    assert f"{missing.parent} is not there" in refused(model, missing / "x.img")
    assert names(tmp_path) == {"fs.ext4"}


def test_a_partition_is_not_its_own_image(model: Path) -> None:
    """It would have the name of the image then, and the partition would be gone."""
    model = model.rename(model.with_name("fs.img"))
    link = model.with_name("link.img")
    link.symlink_to(model)
    before = model.read_bytes()
    for target in (model, link, model.as_uri()):
        assert "is the partition itself" in refused(model, target)
    assert model.read_bytes() == before
    assert names(model.parent) == {"fs.img", "link.img"}


def test_what_is_no_partition(model: Path, image: Path) -> None:
    empty = model.with_name("empty")
    empty.touch()
    for options in ((), ("--whole",)):
        assert "has no bytes" in refused(empty, image, *options)
    for nothing in (model.with_name("none"), model.parent, Path("/dev/null")):
        done = ogagent("capture", nothing, image)
        assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
        assert done.stderr.startswith(f"ogagent: {nothing} ")
    assert not any(image.parent.iterdir())


def test_a_key_that_is_none(model: Path, image: Path) -> None:
    missing = ogagent("capture", model, image, "--key", model.with_name("none.pem"))
    assert (missing.returncode, len(missing.stderr.splitlines())) == (1, 1)
    assert "openssl genpkey" in refused(model, image, "--key", model, status=78)
    assert not any(image.parent.iterdir())


def test_options_that_are_none(model: Path, image: Path) -> None:
    for options in (("--level", "0"), ("--level", "20"), ("--threads", "0"), ("--threads", "x"), ("--quick",)):
        assert ogagent("capture", model, image, *options).returncode == 2
    assert ogagent("capture", model).returncode == 2
    assert not any(image.parent.iterdir())


def test_an_image_that_somebody_else_works_on(model: Path, image: Path) -> None:
    lock = image.with_name("x.img.lock")
    lock.write_text("somebody else\n")
    assert "is locked" in refused(model, image)
    assert names(image.parent) == {lock.name}


@pytest.fixture
def loop(model: Path) -> Iterator[str]:
    if os.geteuid() != 0:
        pytest.skip("loop devices need root")
    done = subprocess.run(["losetup", "--find", "--show", model], capture_output=True, text=True, check=True)
    yield done.stdout.strip()
    subprocess.run(["losetup", "--detach", done.stdout.strip()], check=True)


def test_a_device_that_is_mounted(loop: str, image: Path, tmp_path: Path) -> None:
    root = tmp_path / "mounted"
    root.mkdir()
    run("mount", "-o", "ro", loop, root)
    try:
        assert refused(loop, image) == f"ogagent: {loop} is in use by somebody else (unmount it first)\n"
        assert not any(image.parent.iterdir())
    finally:
        unmount(root)
    assert capture(loop, image).startswith(f"{image}: ")
