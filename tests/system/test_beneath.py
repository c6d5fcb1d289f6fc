"""What is opened below a directory that others may write into: files of this very directory, and nothing else."""

from __future__ import annotations

import os
import resource
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from ogagent.system import beneath
from tests.faults.audited import before_each_call
from tests.faults.deep import deep


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "victim").write_bytes(b"untouched")
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


@pytest.fixture
def within(root: Path) -> Iterator[int]:
    with beneath.directory(root) as fd:
        yield fd


def strangers(root: Path, outside: Path) -> None:
    (root / "link").symlink_to(outside / "victim")
    (root / "relative").symlink_to("../outside/victim")
    (root / "nowhere").symlink_to(outside / "new")
    (root / "magic").symlink_to("/proc/self/exe")
    os.mkfifo(root / "fifo")
    (root / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(root / "socket"))


NAMES = ("link", "relative", "nowhere", "magic", "fifo", "folder", "socket", "absent")


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_file_is_not_opened(root: Path, outside: Path, within: int, name: str) -> None:
    strangers(root, outside)
    for flags in (os.O_RDONLY, os.O_RDWR):
        assert beneath.open_file(within, name, flags) is None
    assert beneath.read_file(within, name, 10) is None


@pytest.mark.parametrize("name", [name for name in NAMES if name != "folder"])
def test_what_is_no_file_is_replaced(root: Path, outside: Path, within: int, name: str) -> None:
    strangers(root, outside)
    beneath.replace_file(within, name, b"new")
    assert (root / name).read_bytes() == b"new"
    assert not (root / name).is_symlink()
    (root / f"{name}.new").symlink_to(outside / "victim")
    beneath.replace_file(within, name, b"newer")
    assert (root / name).read_bytes() == b"newer"
    assert [path.name for path in outside.iterdir()] == ["victim"]
    assert (outside / "victim").read_bytes() == b"untouched"


def test_a_directory_stays(root: Path, outside: Path, within: int) -> None:
    strangers(root, outside)
    with pytest.raises(OSError, match="folder"):
        beneath.create_file(within, "folder")
    with pytest.raises(OSError, match="folder"):
        beneath.replace_file(within, "folder", b"new")
    assert (root / "folder").is_dir()


@pytest.mark.parametrize("make", [False, True])
@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("folder", "absent")])
def test_no_way_leads_through_what_is_no_directory(root: Path, outside: Path, name: str, make: bool) -> None:
    strangers(root, outside)
    (root / "way").symlink_to(outside)
    for way in ((name,), (name, "deeper"), ("way", "deeper"), ("folder", ".."), ("folder/..",), ("/",)):
        with pytest.raises(OSError):  # noqa: PT011 - which one depends on what it is
            os.close(beneath.open_directory(root, *way, make=make))
    assert [path.name for path in outside.iterdir()] == ["victim"]


def test_directories_are_made_one_in_the_other(root: Path) -> None:
    with pytest.raises(FileNotFoundError):
        beneath.open_directory(root, "a", "b")
    os.close(beneath.open_directory(root, "a", "b", make=True))
    assert (root / "a/b").is_dir()
    with beneath.directory(root, "a", "b") as fd:
        beneath.replace_file(fd, "file", b"content")
        assert beneath.read_file(fd, "file", 3) == b"con"
        assert beneath.files(fd) == ["file"]
        beneath.discard(fd, "file")
        beneath.discard(fd, "file")
    assert not list((root / "a/b").iterdir())


def test_what_there_is(root: Path, outside: Path, within: int) -> None:
    strangers(root, outside)
    (root / "file").touch()
    assert beneath.files(within) == ["file"]
    assert beneath.folders(within) == ["folder"]


def test_of_a_flood_no_more_is_seen_than_the_most(root: Path, within: int, caplog: pytest.LogCaptureFixture) -> None:
    """And it goes with its folder."""
    (root / "flood").mkdir()
    for number in range(beneath.MOST):
        (root / f"flood/{number}").touch()
    with beneath.directory(root, "flood") as flood:
        assert len(beneath.files(flood)) == beneath.MOST
        assert not caplog.records
        (root / "flood/folder").mkdir()
        assert len(beneath.files(flood)) + len(beneath.folders(flood)) == beneath.MOST
        assert beneath.is_file(flood, "0")
        assert beneath.is_file(flood, f"{beneath.MOST - 1}")
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2
    assert str(root / "flood") in caplog.text
    beneath.remove_folder(within, "flood")
    assert not list(root.iterdir())


def test_a_folder_goes_with_all_that_is_in_it(root: Path, outside: Path, within: int) -> None:
    (root / "folder/inner").mkdir(parents=True)
    strangers(root / "folder", outside)
    strangers(root / "folder/inner", outside)
    beneath.remove_folder(within, "folder")
    beneath.remove_folder(within, "folder")
    assert not list(root.iterdir())
    assert (outside / "victim").read_bytes() == b"untouched"


@contextmanager
def few_descriptors(most: int) -> Iterator[None]:
    """That can still be opened."""
    os.close(lowest := os.dup(0))
    before, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (before, hard))


@pytest.mark.parametrize("depth", [100, 1100])
def test_a_folder_goes_however_deep_it_is(root: Path, within: int, depth: int) -> None:
    with deep(root / "folder", depth), few_descriptors(10):
        beneath.remove_folder(within, "folder")
        assert not list(root.iterdir())


@pytest.mark.parametrize("stranger", ["link", "fifo"])
def test_what_becomes_something_else_while_it_is_opened(root: Path, outside: Path, within: int, stranger: str) -> None:
    path = root / "file"
    path.touch()

    def swap(_: int) -> None:
        path.unlink()
        if stranger == "fifo":
            os.mkfifo(path)
        else:
            path.symlink_to(outside / "victim")

    found: list[bytes | None] = []

    def read() -> None:
        with suppress(OSError):
            found.append(beneath.read_file(within, "file", 100))

    thread = threading.Thread(target=read, name="cache", daemon=True)
    with before_each_call(swap) as calls:
        thread.start()
        thread.join(20)
    assert not thread.is_alive()
    assert calls == [1]
    assert found in ([], [None])


def test_no_descriptor_is_left_open(root: Path, outside: Path, within: int) -> None:
    strangers(root, outside)
    before = sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names of links
    for name in NAMES:
        beneath.read_file(within, name, 10)
        with pytest.raises(OSError):  # noqa: PT011
            os.close(beneath.open_directory(root, name, "deeper"))
    assert sorted(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
