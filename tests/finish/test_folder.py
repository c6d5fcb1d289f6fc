"""The twin keeps the promises of ``ogagent.finish.files.Files``."""

from __future__ import annotations

from pathlib import Path

import pytest

from ogagent.finish.files import Edit, Files, Tail, undone
from ogagent.system.tree import TooLarge
from tests.finish.folder import Folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    place = tmp_path / "root"
    (place / "Windows/System32").mkdir(parents=True)
    (place / "Windows/System32/Kernel").write_bytes(b"kernel")
    (tmp_path / "secret").write_bytes(b"not of that system")
    return place


def test_it_is_one(root: Path) -> None:
    files: Files = Folder(root)
    assert files.read("Windows/System32/Kernel") == b"kernel"


def test_what_is_not_there_is_none(root: Path) -> None:
    files = Folder(root)
    assert files.read("nothing") is None
    assert files.read("Windows") is None
    assert files.link("Windows") is None
    assert files.names("nothing") == []
    assert files.find("Windows", "nothing") is None


def test_names_have_no_case(root: Path) -> None:
    assert Folder(root).find("WINDOWS", "system32", "KERNEL") == "Windows/System32/Kernel"


def test_what_is_longer_is_refused(root: Path) -> None:
    with pytest.raises(TooLarge):
        Folder(root).read("Windows/System32/Kernel", 5)


def test_links_do_not_lead_out(root: Path) -> None:
    (root / "out").symlink_to("../secret")
    (root / "far").symlink_to("/Windows/System32")
    (root / "loop").symlink_to("loop")
    files = Folder(root)
    assert files.read("out") is None
    assert files.read("far/../System32/Kernel") == b"kernel"
    assert files.read("loop") is None
    assert files.link("far") == "/Windows/System32"


def test_a_file_is_replaced_where_its_link_leads(root: Path) -> None:
    (root / "far").symlink_to("Windows/System32/Kernel")
    (root / "Windows/System32/Kernel").chmod(0o600)
    files = Folder(root)
    files.replace("far", b"new")
    files.replace("made/now", b"x", 0o640)
    assert (root / "far").is_symlink()
    assert (root / "Windows/System32/Kernel").read_bytes() == b"new"
    assert (root / "Windows/System32/Kernel").stat().st_mode & 0o777 == 0o600
    assert (root / "made/now").stat().st_mode & 0o777 == 0o640
    assert files.replaced == ["far", "made/now"]


def test_edits_are_made_and_found_made(root: Path) -> None:
    files = Folder(root)
    edits = [Edit(path="a", content=b"1"), Edit(path="b/c", to="/a"), Edit(path="Windows/System32/Kernel")]
    assert undone(edits, files) == edits
    for edit in edits:
        edit.make(files)
    assert undone(edits, files) == []
    assert files.read("b/c") == b"1"


def test_a_tail_is_put_behind_what_is_there(root: Path) -> None:
    files = Folder(root)
    tail = Tail(path="Windows/System32/Kernel", content=b"tail", aligned=4)
    assert undone([tail], files) == [tail]
    tail.make(files)
    assert undone([tail], files) == []
    assert files.read("Windows/System32/Kernel") == b"kernel\0\0tail"
    assert files.end("nothing", 1) is None
