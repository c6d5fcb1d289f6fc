"""``image-test``, seen by the tools that it must please."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from simulator.ext4 import change, check, fill, make_filesystem, read_file, read_tree, used_blocks
from simulator.sample import FILESYSTEM_SIZE, Sample, make_sample
from simulator.tree import MIB, OS_RELEASE, Node, linux_tree

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
AS_NOBODY = """
import hashlib, os, sys, tempfile
from pathlib import Path
from simulator.sample import make_sample
os.chdir("/")
os.setgroups([]); os.setgid(65534); os.setuid(65534); os.umask(0o077)
with tempfile.TemporaryDirectory() as directory:
    sys.stdout.write(hashlib.sha256(make_sample(Path(directory)).image.read_bytes()).hexdigest())
"""


def tool(name: str) -> str:
    path = shutil.which(name, path=PATH)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


@pytest.fixture(scope="module")
def restored(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample, restored by the real partclone."""
    restore, zstd = tool("partclone.restore"), tool("zstd")
    directory = tmp_path_factory.mktemp("restored")
    image, target = directory / "image", directory / "target.raw"
    subprocess.run([zstd, "-q", "-d", sample.image, "-o", image], check=True)
    target.touch()
    os.truncate(target, FILESYSTEM_SIZE)
    command: list[str | Path] = [restore, "-C", "-q", "-L", directory / "log", "-s", image, "-O", target]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return target


def test_is_the_same_each_time(sample: Sample, tmp_path: Path) -> None:
    again = make_sample(tmp_path)
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        "image-test.img",
        "image-test.img.full.sum",
        "image-test.img.info",
        "image-test.img.sum",
    ]
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (sample.image.parent / path.name).read_bytes(), path.name
    assert again.tree == sample.tree


def test_is_the_same_without_root(sample: Sample) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to be somebody else")
    result = subprocess.run([sys.executable, "-c", AS_NOBODY], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout == hashlib.sha256(sample.image.read_bytes()).hexdigest()


def test_sums_and_info_are_those_of_the_file(sample: Sample) -> None:
    data = sample.image.read_bytes()
    assert _sidecar(sample, "full.sum") == hashlib.md5(data).hexdigest()
    assert _sidecar(sample, "sum") == hashlib.md5(data[-MIB:]).hexdigest()
    assert _sidecar(sample, "info").split(":")[:3] == ["partclone", "zstd", "EXTFS"]


def test_real_partclone_accepts_it(sample: Sample, tmp_path: Path) -> None:
    chkimg, zstd = tool("partclone.chkimg"), tool("zstd")
    subprocess.run([zstd, "-q", "-d", sample.image, "-o", tmp_path / "image"], check=True)
    command: list[str | Path] = [chkimg, "-L", tmp_path / "log", "-s", tmp_path / "image"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_what_real_partclone_restores_holds_the_tree(sample: Sample, restored: Path) -> None:
    check(restored)
    assert read_tree(restored) == sample.tree


def test_is_what_real_partclone_would_have_made(sample: Sample, restored: Path, tmp_path: Path) -> None:
    clone, zstd = tool("partclone.ext4"), tool("zstd")
    subprocess.run([zstd, "-q", "-d", sample.image, "-o", tmp_path / "ours"], check=True)
    command: list[str | Path] = [clone, "-c", "-q", "-L", tmp_path / "log", "-s", restored, "-O", tmp_path / "theirs"]
    subprocess.run(command, capture_output=True, check=True)
    ours, theirs = (tmp_path / "ours").read_bytes(), (tmp_path / "theirs").read_bytes()
    # All but partclone's own version, at 16-29, and the checksum of the header, at 106-109, that follows from it.
    assert [ours[:16], ours[30:106], ours[110:]] == [theirs[:16], theirs[30:106], theirs[110:]]


def test_tree_is_a_small_linux() -> None:
    tree = linux_tree("01936caf-facb-72ad-9446-97e7dbf2b96a")
    assert tree["/etc/os-release"] == Node(kind="symlink", mode=0o777, target="../usr/lib/os-release")
    assert tree["/usr/lib/os-release"].content == OS_RELEASE
    assert {node.kind for node in tree.values()} == {"directory", "file", "symlink", "hard link"}
    assert 25 * MIB < sum(len(node.content) for node in tree.values()) < 64 * MIB


def test_used_blocks_are_all_but_the_free_ones(tmp_path: Path) -> None:
    filesystem = tmp_path / "filesystem"
    make_filesystem(filesystem, 32 * MIB, uuid="01936caf-facb-72ad-9446-97e7dbf2b96a", label="")
    before = used_blocks(filesystem)
    fill(filesystem, {"/file": Node(kind="file", content=bytes(range(256)) * 16 * 10)})
    after = used_blocks(filesystem)
    assert before.block_count == after.block_count == 32 * MIB // 4096
    assert after.used == before.used + 10
    assert all(first.stop < second.start for first, second in zip(after.ranges, after.ranges[1:], strict=False))


def test_a_file_system_inside_a_disk_is_read_in_place(tmp_path: Path) -> None:
    disk, offset = tmp_path / "disk", 3 * MIB
    with disk.open("wb") as file:
        file.truncate(64 * MIB)
    make_filesystem(disk, 32 * MIB, uuid="01936caf-facb-72ad-9446-97e7dbf2b96a", label="", offset=offset)
    tree = {"/año nuevo": Node(kind="file", mode=0o640, uid=7, gid=8, content=b"felicidades\n")}
    fill(disk, tree, offset=offset)
    assert read_tree(disk, offset=offset) == tree
    assert read_file(disk, "/año nuevo", offset=offset) == "felicidades\n"
    assert read_file(disk, "/absent", offset=offset) == ""


def test_names_that_debugfs_would_not_take_for_one_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside the file system, and of where its files wait to be written."""
    odd = tmp_path / 'an odd "place"'
    odd.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(odd))
    disk = odd / 'a "disk'
    make_filesystem(disk, 32 * MIB, uuid="01936caf-facb-72ad-9446-97e7dbf2b96a", label="")
    tree = {
        '/a "b': Node(kind="directory"),
        '/a "b/"': Node(kind="file", content=b"first\n"),
        '/a "b/c "" d': Node(kind="symlink", mode=0o777, target='to "" there'),
        '/a "b/"e"': Node(kind="hard link", target='/a "b/"'),
    }
    fill(disk, tree)
    assert read_tree(disk) == tree
    assert read_file(disk, '/a "b/"') == "first\n"
    after = {'/a "b': tree['/a "b'], '/a "b/"': Node(kind="file", content=b"second\n")}
    change(disk, tree, after)
    assert read_tree(disk) == after


def _sidecar(sample: Sample, suffix: str) -> str:
    return sample.image.with_name(f"{sample.image.name}.{suffix}").read_text().strip()
