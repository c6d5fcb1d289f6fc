"""``ogagent image`` as an operator calls it, with keys as openssl makes them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import libtorrent as lt
import pytest

from ogagent.cli import main

MIB = 1 << 20


def ogagent(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ogagent", "image", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert "Traceback" not in done.stdout + done.stderr
    return done


def run(program: str, *arguments: str | Path) -> None:
    found = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{program} is not installed")
    subprocess.run([found, *arguments], check=True, capture_output=True)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    raw, path = tmp_path / "fs", tmp_path / "x.img"
    with raw.open("xb") as file:
        file.truncate(5 * MIB)
    run("mke2fs", "-q", "-t", "ext4", raw)
    run("zstd", "-q", raw, "-o", path)
    return path


def test_index_verify_diff(image: Path, tmp_path: Path) -> None:
    key, public = tmp_path / "key.pem", tmp_path / "public.pem"
    run("openssl", "genpkey", "-algorithm", "ed25519", "-out", key)
    run("openssl", "pkey", "-in", key, "-pubout", "-out", public)
    done = ogagent("index", image, "--key", key, "--region-size", "256K", "--level", "5", "--threads", "2")
    assert (done.returncode, done.stderr) == (0, "")
    assert "20 regions of 256.0 KiB" in done.stdout
    assert done.stdout.endswith(", signed\n")
    assert "the signature is good" in ogagent("verify", image, "--key", public).stdout
    assert "not checked" in ogagent("verify", image).stdout
    Path(f"{image}.full.sum").write_text("0" * 32)
    good, warning = ogagent("verify", image).stdout.splitlines()
    assert ": good." in good
    assert warning.startswith("033-the image file has the MD5 ")
    assert "20 the same, 0 changed" in ogagent("diff", image, image).stdout
    assert json.loads(ogagent("diff", "--json", image, image).stdout)["bytes_to_fetch"] == 0
    run("openssl", "pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin", "-in", f"{image}.index",
        "-sigfile", f"{image}.index.sig")  # fmt: skip


def test_a_torrent_for_the_tracker_of_the_repository(image: Path) -> None:
    announce = "http://repository.example:6969/announce"
    done = ogagent("index", image, "--torrent", announce)
    assert (done.returncode, done.stderr) == (0, "")
    torrent = lt.load_torrent_file(f"{image}.torrent")
    assert torrent.ti is not None
    assert (torrent.trackers, torrent.ti.name(), torrent.ti.total_size()) == (
        [announce],
        image.name,
        image.stat().st_size,
    )
    assert image.with_name(f"{image.name}.index").exists()


def test_what_is_refused(image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    encrypted = tmp_path / "key.pem"
    run("openssl", "genpkey", "-algorithm", "ed25519", "-aes256", "-pass", "pass:x", "-out", encrypted)
    refused: tuple[tuple[int, tuple[str | Path, ...]], ...] = (
        (1, ("verify", tmp_path / "none.img")),
        (1, ("index", tmp_path / "none.img")),
        (1, ("diff", image, image)),
        (1, ("verify", image, "--key", tmp_path / "none.pem")),
        (78, ("verify", image, "--key", image)),
        (78, ("index", image, "--key", encrypted)),
    )
    for status, arguments in refused:
        assert main(["image", *map(str, arguments)]) == status
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith("ogagent: ")
    for option in (("--region-size", "3M"), ("--region-size", "1K"), ("--region-size", "x"), ("--level", "0")):
        with pytest.raises(SystemExit, match="2"):
            main(["image", "index", str(image), *option])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fs", "key.pem", "x.img"]
