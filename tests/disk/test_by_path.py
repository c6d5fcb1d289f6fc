"""What an operator names by hand is what was looked at, or it is not opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from ogagent.disk.by_path import ByPath, target_at
from ogagent.errors import DiskChanged, DiskNotFound

SIZE = 1 << 20


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(bytes(SIZE))
    return path


def test_what_was_looked_at(file: Path) -> None:
    with ByPath().open_target(target_at(str(file))) as device:
        device.write(0, memoryview(b"\xaa" * 4096))
        device.flush()
    assert file.read_bytes() == b"\xaa" * 4096 + bytes(SIZE - 4096)


def test_another_file_by_the_same_name(file: Path) -> None:
    target = target_at(str(file))
    file.rename(file.with_name("moved"))
    file.write_bytes(bytes(SIZE))
    with pytest.raises(DiskChanged), ByPath().open_target(target):
        raise AssertionError


def test_a_link_that_leads_elsewhere_by_now(file: Path, tmp_path: Path) -> None:
    link, other = tmp_path / "link", tmp_path / "other"
    link.symlink_to(file)
    target = target_at(str(link))
    other.write_bytes(bytes(SIZE))
    link.unlink()
    link.symlink_to(other)
    with pytest.raises(DiskChanged), ByPath().open_target(target):
        raise AssertionError


def test_a_file_where_a_device_was(file: Path) -> None:
    with pytest.raises(DiskChanged):
        target_at(str(file), 0x700)
    assert target_at(str(file), 0).size == SIZE


@pytest.mark.parametrize("name", ["none", ".", "/dev/null"])
def test_what_can_be_no_target(name: str, tmp_path: Path) -> None:
    with pytest.raises(DiskNotFound):
        target_at(str(tmp_path / name))
