"""The package put into the image of an ogLive by ``ogagent oglive add``."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.machine.tools import missing, run
from tests.package import roots
from tests.package.conftest import required

URL = "https://192.168.2.1"


def add(image: Path, deb: Path, *options: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ogagent", "oglive", "add", str(image), "--deb", str(deb), *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def packed(tree: Path, image: Path) -> bytes:
    run("mksquashfs", tree, image, "-comp", "lz4", "-b", "262144", "-noappend", "-no-progress")
    return image.read_bytes()


@pytest.fixture
def squashed(tmp_path: Path) -> Path:
    if os.geteuid() != 0:
        pytest.skip("packages are installed by root")
    if absent := missing("mksquashfs", "unsquashfs"):
        pytest.skip(f"not installed: {', '.join(absent)}")
    return tmp_path / "ogclient.sqfs"


def test_an_oglive_gets_the_agent(squashed: Path, deb: Path, tmp_path: Path) -> None:
    required(roots.recipe("bookworm"))
    before = packed(roots.root("bookworm"), squashed)
    ca = tmp_path / "ca.pem"
    ca.write_text("the CA\n", "utf-8")
    done = add(squashed, deb, "--ogcore", URL, "--ca", ca)
    assert (done.returncode, done.stderr) == (0, "")
    assert "nothing is wrong with it" in done.stdout
    assert squashed.with_name("ogclient.sqfs.ant").read_bytes() == before
    digest = hashlib.md5(squashed.read_bytes()).hexdigest()
    assert squashed.with_name("ogclient.sqfs.sum").read_text("utf-8") == f"{digest}\n"
    said = run("unsquashfs", "-stat", squashed)
    assert "Compression lz4\n" in said
    assert "Block size 262144\n" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("ca.pem", "ogclient.sqfs", "ogclient.sqfs.ant", "ogclient.sqfs.sum")
    ]
    told = tomllib.loads(run("unsquashfs", "-cat", squashed, "etc/ogagent/ogagent.toml"))["ogcore"]
    assert (told["url"], told["ca"]) == (URL, "/etc/ogagent/ogcore.pem")
    assert run("unsquashfs", "-cat", squashed, "etc/ogagent/ogcore.pem") == "the CA\n"
    listed = run("unsquashfs", "-lls", squashed)
    assert "/opt/ogagent/venv -> venv-" in listed
    assert deb.name not in listed


def test_an_image_that_lacks_what_is_needed_stays(squashed: Path, deb: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "tmp").mkdir(parents=True)
    (tree / "proc").mkdir()
    before = packed(tree, squashed)
    done = add(squashed, deb)
    assert done.returncode == 1
    assert "chroot failed with status 127" in done.stderr
    assert squashed.read_bytes() == before
    squashed.write_bytes(b"no image")
    done = add(squashed, deb)
    assert done.returncode == 1
    assert "is no SquashFS" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ogclient.sqfs", "tree"]


def test_what_it_is_told_is_looked_at_first(squashed: Path, deb: Path) -> None:
    squashed.write_bytes(b"")
    assert add(squashed, deb, "--ogcore", "http://192.168.2.1").returncode == 78
    assert "No such file" in add(squashed, Path("/no/such.deb")).stderr
