"""The proof finds what is wrong: a proof that cannot fail proves nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from simulator.errors import LabError
from simulator.ext4 import fill, make_filesystem
from simulator.machine.gpt import LINUX_FILESYSTEM, Entry, write_table
from simulator.machine.system import installed_system
from simulator.proof import digest_of_neighbours, prove_contents
from simulator.tree import MIB, OS_RELEASE, Node, Tree

SYSTEM = Entry(number=1, start=MIB, size=16 * MIB, type=LINUX_FILESYSTEM)
UUID = "01936caf-facb-72ad-9446-97e7dbf2b96a"
TREE = {
    "/usr": Node(kind="directory"),
    "/usr/lib": Node(kind="directory"),
    "/usr/lib/os-release": Node(kind="file", mode=0o644, content=OS_RELEASE),
    "/link": Node(kind="symlink", mode=0o777, target="usr"),
    "/secret": Node(kind="file", mode=0o600, uid=5, gid=6, content=b"x" * 5000),
    "/other": Node(kind="hard link", target="/secret"),
}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("proof") / "disk", TREE)


@pytest.fixture
def disk(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(original, tmp_path / "disk"))


def make(disk: Path, tree: Tree) -> Path:
    with disk.open("wb") as file:
        file.truncate(18 * MIB)
        write_table(file, 18 * MIB, (SYSTEM,))
    make_filesystem(disk, SYSTEM.size, uuid=UUID, label="", offset=SYSTEM.start)
    fill(disk, tree, offset=SYSTEM.start)
    return disk


def overwrite(disk: Path, at: int, data: bytes) -> None:
    with disk.open("r+b") as file:
        file.seek(at)
        file.write(data)


def test_what_is_right_is_proven(disk: Path) -> None:
    # A hard link is found under the name that comes first.
    expected = TREE | {"/other": TREE["/secret"], "/secret": Node(kind="hard link", target="/other")}
    assert prove_contents(disk, SYSTEM, expected) == len(TREE)
    assert installed_system(disk, 1) == "Ubuntu 24.04 LTS"


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        ("/secret", {"content": b"x" * 4999 + b"y"}),
        ("/secret", {"content": b"x" * 4999}),
        ("/secret", {"mode": 0o644}),
        ("/secret", {"uid": 0}),
        ("/link", {"target": "usr/lib"}),
        ("/usr", {"kind": "file"}),
    ],
)
def test_a_difference_is_found(tmp_path: Path, path: str, changes: dict[str, object]) -> None:
    tree = {name: node for name, node in TREE.items() if name != "/other"}
    disk = make(tmp_path / "disk", tree)
    assert prove_contents(disk, SYSTEM, tree) == len(tree)
    with pytest.raises(LabError, match=path):
        prove_contents(disk, SYSTEM, tree | {path: replace(tree[path], **changes)})


def test_what_is_missing_and_what_is_too_much_is_found(tmp_path: Path) -> None:
    tree = {"/a": Node(kind="file", content=b"a")}
    disk = make(tmp_path / "disk", tree)
    with pytest.raises(LabError, match="1 places: /b"):
        prove_contents(disk, SYSTEM, tree | {"/b": Node(kind="file")})
    with pytest.raises(LabError, match="1 places: /a"):
        prove_contents(disk, SYSTEM, {})


def test_a_damaged_file_system_is_found(disk: Path) -> None:
    overwrite(disk, SYSTEM.start + 1024 + 40, b"\xff\xff")
    with pytest.raises(LabError):
        prove_contents(disk, SYSTEM, TREE)


@pytest.mark.parametrize(("at", "changed"), [(0, True), (18 * MIB - 1, True), (MIB, False), (17 * MIB - 1, False)])
def test_neighbours_are_all_but_the_partition(disk: Path, at: int, *, changed: bool) -> None:
    before = digest_of_neighbours(disk, SYSTEM)
    overwrite(disk, at, b"\x77")
    assert (digest_of_neighbours(disk, SYSTEM) != before) is changed


def test_a_partition_without_its_first_mib_does_not_boot(disk: Path) -> None:
    overwrite(disk, SYSTEM.start, bytes(MIB))
    with pytest.raises(LabError, match="beginning is empty"):
        installed_system(disk, 1)


def test_a_partition_without_a_system_does_not_boot(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="os-release"):
        installed_system(make(tmp_path / "disk", {"/a": Node(kind="file")}), 1)


def test_a_partition_that_is_not_there_does_not_boot(disk: Path) -> None:
    with pytest.raises(LabError, match="no partition 2"):
        installed_system(disk, 2)
