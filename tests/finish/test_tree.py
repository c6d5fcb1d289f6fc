"""Files of a mounted system: nothing that an image holds leads anybody out of it, or stops anybody."""

from __future__ import annotations

import os
import stat
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ogagent.finish.files import Edit, Tail
from ogagent.finish.tree import MountedFiles
from ogagent.system.tree import TooLarge


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("of this machine")
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    return root


@pytest.fixture
def files(root: Path) -> Iterator[MountedFiles]:
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    yield MountedFiles(fd)
    os.close(fd)


LINKS: dict[str, Callable[[Path], str]] = {
    "up and out": lambda _: "../../outside/secret",
    "far up and out": lambda root: "../" * 40 + str(root.parent / "outside/secret").lstrip("/"),
    "from the top": lambda root: str(root.parent / "outside/secret"),
    "by a process": lambda root: f"/proc/self/cwd/{root.parent}/outside/secret",
}


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("where", ["the file", "its directory"])
def test_no_link_leads_out(files: MountedFiles, root: Path, link: str, where: str) -> None:
    to, path = LINKS[link](root), "etc/hostname"
    if where == "the file":
        (root / path).symlink_to(to)
    else:
        (root / "etc").rmdir()
        (root / "etc").symlink_to(Path(to).parent)
        path = "etc/secret"
    before = {each: each.stat() for each in (root.parent / "outside").iterdir()}
    assert files.read(path) is None
    if where == "its directory":
        assert files.names("etc") == []
    edit = Edit(path=path, content=b"pc1\n")
    if where == "the file":
        edit.make(files)
        assert edit.holds(files)
    else:
        with pytest.raises(FileExistsError):
            edit.make(files)
    assert {each: each.stat() for each in (root.parent / "outside").iterdir()} == before
    assert (root.parent / "outside/secret").read_text() == "of this machine"
    files.remove(path)
    assert (root.parent / "outside/secret").exists()


def test_a_link_means_what_it_means_to_its_system(files: MountedFiles, root: Path) -> None:
    (root / "usr/lib").mkdir(parents=True)
    (root / "usr/lib/os-release").write_text("ID=debian")
    (root / "etc/os-release").symlink_to("../usr/lib/os-release")
    (root / "etc/absolute").symlink_to("/usr/lib/os-release")
    (root / "lib").symlink_to("usr/lib")
    (root / "etc/twice").symlink_to("/lib/os-release")
    for path in ("etc/os-release", "etc/absolute", "lib/os-release", "etc/twice", "/etc/../lib/./os-release"):
        assert files.read(path) == b"ID=debian", path
    assert files.link("etc/os-release") == "../usr/lib/os-release"
    assert files.link("usr/lib/os-release") is None
    files.replace("etc/twice", b"ID=other")
    assert (root / "usr/lib/os-release").read_text() == "ID=other"
    assert (root / "etc/twice").is_symlink()


def test_what_is_no_file_is_not_opened(files: MountedFiles, root: Path) -> None:
    os.mkfifo(root / "etc/fifo")
    (root / "etc/loop").symlink_to("loop")
    (root / "etc/one").symlink_to("two")
    (root / "etc/two").symlink_to("one")
    for path in ("etc/fifo", "etc/loop", "etc/one", "etc", "etc/nothing", "etc/fifo/nothing", "n" * 300):
        assert files.read(path) is None, path
    assert files.names("etc/fifo") == []


def test_a_fifo_in_the_place_of_a_file_is_replaced(files: MountedFiles, root: Path) -> None:
    os.mkfifo(root / "etc/hostname")
    files.replace("etc/hostname", b"pc1\n")
    assert (root / "etc/hostname").read_text() == "pc1\n"


def test_what_has_no_end_is_not_read_to_it(files: MountedFiles, root: Path) -> None:
    with (root / "etc/hosts").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(TooLarge, match="/etc/hosts has more than 1048576 bytes"):
        files.read("etc/hosts")
    edit = Edit(path="etc/hosts", content=b"127.0.0.1 localhost\n")
    assert not edit.holds(files)
    edit.make(files)
    assert edit.holds(files)


def test_what_a_file_was_dressed_in_stays(files: MountedFiles, root: Path) -> None:
    path = root / "etc/hosts"
    path.write_text("old")
    path.chmod(0o640)
    os.setxattr(path, "user.who", b"somebody")
    if os.geteuid() == 0:
        os.chown(path, 12, 34)
        os.setxattr(path, "security.selinux", b"system_u:object_r:net_conf_t:s0\0")
    before = path.stat()
    files.replace("etc/hosts", b"new")
    after = path.stat()
    assert path.read_text() == "new"
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert os.getxattr(path, "user.who") == b"somebody"
    if os.geteuid() == 0:
        assert os.getxattr(path, "security.selinux").startswith(b"system_u:")
    assert [each.name for each in path.parent.iterdir()] == ["hosts"]


def test_what_is_long_gets_another_end(files: MountedFiles, root: Path) -> None:
    path = root / "etc/initrd"
    path.write_bytes(b"\x01" * (64 << 20) + b"end")
    path.chmod(0o600)
    tail = Tail(path="etc/initrd", content=b"behind", aligned=4)
    tracemalloc.start()
    try:
        assert not tail.holds(files)
        tail.make(files)
        assert tail.holds(files)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert path.read_bytes() == b"\x01" * (64 << 20) + b"end\0behind"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["initrd"]


def test_what_is_no_file_has_no_end(files: MountedFiles, root: Path) -> None:
    os.mkfifo(root / "etc/fifo")
    (root / "etc/short").write_bytes(b"ab")
    assert files.end("etc/short", 3) == b"ab"
    for path in ("etc/fifo", "etc/nothing"):
        assert files.end(path, 3) is None
        with pytest.raises(FileNotFoundError):
            files.append(path, b"x", 4)
    assert sorted(each.name for each in (root / "etc").iterdir()) == ["fifo", "short"]


def test_new_ones_and_their_directories(files: MountedFiles, root: Path) -> None:
    files.replace("var/lib/new/file", b"new", 0o600)
    assert stat.S_IMODE((root / "var/lib/new/file").stat().st_mode) == 0o600
    files.make_link("var/lib/new/link", "/etc/machine-id")
    assert (root / "var/lib/new/link").readlink() == Path("/etc/machine-id")
    files.make_link("var/lib/new/link", "elsewhere")
    assert files.link("var/lib/new/link") == "elsewhere"
    for _ in range(2):
        files.remove("var/lib/new/link")
        files.remove("nowhere/at/all")
    assert files.names("var/lib/new") == ["file"]
    assert files.find("VAR", "Lib", "NEW") == "var/lib/new"
    assert files.find("var", "nothing") is None


def test_what_an_agent_that_died_has_left_is_replaced(files: MountedFiles, root: Path) -> None:
    (root / "etc/hostname.ogagent-new").symlink_to("/outside")
    files.replace("etc/hostname", b"pc1\n")
    assert sorted(each.name for each in (root / "etc").iterdir()) == ["hostname"]
