"""A tree that is not believed: nothing in it leads out of it, and what is no file is not opened."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from ogagent.system.tree import TooLarge, Tree


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "outside").write_text("secret")
    folder = tmp_path / "root"
    (folder / "a/b").mkdir(parents=True)
    (folder / "a/b/file").write_text("content")
    return folder


@pytest.fixture
def tree(root: Path) -> Iterator[Tree]:
    tree = Tree(os.open(root, os.O_RDONLY | os.O_DIRECTORY))
    yield tree
    tree.close()


@pytest.mark.parametrize("target", ["a/b/file", "/a/b/file", "../../../a/b/file", "/../a/./b/../b/file"])
def test_a_link_means_what_it_means_in_there(root: Path, tree: Tree, target: str) -> None:
    (root / "link").symlink_to(target)
    assert tree.read("link", 100) == b"content"


@pytest.mark.parametrize(
    "target", ["../outside", "/outside", "{tmp}/outside", "/proc/self/root{tmp}/outside", "link", "a", "nothing"]
)
def test_nothing_leads_out(root: Path, tree: Tree, tmp_path: Path, target: str) -> None:
    (root / "link").symlink_to(target.format(tmp=tmp_path))
    assert tree.read("link", 100) is None
    assert tree.read("link/outside", 100) is None
    assert tree.read("../outside", 100) is None
    assert tree.read(f"{tmp_path}/outside", 100) is None


def test_a_magic_link_is_no_way(root: Path, tmp_path: Path) -> None:
    tree = Tree(os.open("/", os.O_RDONLY | os.O_DIRECTORY))
    outside = os.open(tmp_path / "outside", os.O_RDONLY)
    assert tree.read(f"proc/self/fd/{outside}", 100) is None
    os.close(outside)
    tree.close()


def test_what_is_no_file_is_not_opened(root: Path, tree: Tree) -> None:
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(root / "socket"))
    for name in ("fifo", "socket", "a", "none", "a/b/file/none", "x" * 5000, ""):
        assert tree.read(name, 100) is None
        assert tree.names(name) == (["b"] if name == "a" else [])


def test_a_limit(tree: Tree) -> None:
    assert tree.read("a/b/file", 7) == b"content"
    with pytest.raises(TooLarge, match="/a/b/file has more than 6 bytes"):
        tree.read("a/b/file", 6)


def test_names_of_any_case(root: Path, tree: Tree) -> None:
    (root / "a/b/FILE2").touch()
    assert tree.find("A", "B", "file2") == "a/b/FILE2"
    assert tree.find("A", "C") is None
    assert tree.find("A", "..") is None


def test_a_root_in_a_root(root: Path, tree: Tree) -> None:
    (root / "a/out").symlink_to("/b/file")
    inner = tree.below("a")
    assert inner is not None
    assert inner.read("../../b/file", 100) == b"content"
    assert inner.read("out", 100) == b"content"
    inner.close()
    assert tree.below("a/b/file") is None


def test_whoever_has_asked_can_stop(root: Path) -> None:
    class Stop(Exception):
        pass

    def stop() -> None:
        raise Stop

    tree = Tree(os.open(root, os.O_RDONLY | os.O_DIRECTORY), stop)
    for call in (lambda: tree.read("a/b/file", 7), lambda: tree.names("a"), lambda: tree.below("a")):
        with pytest.raises(Stop):
            call()
    tree.close()


def test_no_descriptor_is_left_open(root: Path, tree: Tree) -> None:
    os.mkfifo(root / "fifo")
    before = sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names of links
    for name in ("a/b/file", "fifo", "a", "none"):
        tree.read(name, 100)
        tree.names(name)
    with pytest.raises(TooLarge):
        tree.read("a/b/file", 1)
    assert sorted(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
