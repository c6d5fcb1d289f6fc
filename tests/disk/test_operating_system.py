"""os-release files, as text and inside file systems that debugfs reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ogagent.disk.operating_system import operating_system, parse_os_release

MIB = 1 << 20
UBUNTU = 'PRETTY_NAME="Ubuntu 24.04.1 LTS"\nNAME="Ubuntu"\nVERSION_ID="24.04"\nID=ubuntu\n'


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (UBUNTU, "Ubuntu 24.04"),
        ("NAME='Debian GNU/Linux'\nVERSION_ID=12\n", "Debian GNU/Linux 12"),
        ("NAME=Arch\\ Linux\nBUILD_ID=rolling", "Arch Linux"),
        ('# NAME="comment"\nVERSION_ID="1"\nNAME="Mint"\n', "Mint 1"),
        ('NAME="never closed\nVERSION_ID="1"\n', ""),
        ('NAME="a\x1b[31mb"\n', "a?[31mb"),
        ("", ""),
        ("nothing of the kind", ""),
    ],
)
def test_name_and_version(text: str, name: str) -> None:
    assert parse_os_release(text) == name


@given(st.text(max_size=300))
def test_any_text_gives_a_short_printable_name(text: str) -> None:
    name = parse_os_release(text)
    assert name.isprintable()
    assert len(name) <= 64


def tree(root: Path, place: str, text: str = UBUNTU) -> Path:
    file = root / place
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return root


async def test_file_in_etc(tool: Callable[..., str], sparse: Callable[[int], Path], tmp_path: Path) -> None:
    volume = sparse(16 * MIB)
    tool("mke2fs", "-q", "-t", "ext4", "-d", tree(tmp_path / "root", "etc/os-release"), volume)
    assert await operating_system(str(volume), 0, "ext4") == "Ubuntu 24.04"


async def test_link_in_etc(tool: Callable[..., str], sparse: Callable[[int], Path], tmp_path: Path) -> None:
    volume, root = sparse(16 * MIB), tree(tmp_path / "root", "usr/lib/os-release")
    (root / "etc").mkdir()
    (root / "etc/os-release").symlink_to("../usr/lib/os-release")
    tool("mke2fs", "-q", "-t", "ext3", "-d", root, volume)
    assert await operating_system(str(volume), 0, "ext3") == "Ubuntu 24.04"


async def test_inside_a_disk(tool: Callable[..., str], sparse: Callable[[int], Path], tmp_path: Path) -> None:
    disk, root = sparse(64 * MIB), tree(tmp_path / "root", "etc/os-release")
    tool("mke2fs", "-q", "-t", "ext4", "-d", root, "-E", f"offset={8 * MIB}", disk, "16M")
    assert await operating_system(str(disk), 8 * MIB, "ext4") == "Ubuntu 24.04"
    assert await operating_system(str(disk), 0, "ext4") == ""


async def test_data_partition(tool: Callable[..., str], sparse: Callable[[int], Path]) -> None:
    volume = sparse(16 * MIB)
    tool("mke2fs", "-q", "-t", "ext4", volume)
    assert await operating_system(str(volume), 0, "ext4") == ""


async def test_huge_file_is_not_read(tool: Callable[..., str], sparse: Callable[[int], Path], tmp_path: Path) -> None:
    volume, root = sparse(64 * MIB), tree(tmp_path / "root", "etc/os-release", UBUNTU + "#" * (8 * MIB))
    tool("mke2fs", "-q", "-t", "ext4", "-d", root, volume)
    assert await operating_system(str(volume), 0, "ext4") == ""


async def test_broken_file_system(sparse: Callable[[int], Path]) -> None:
    assert await operating_system(str(sparse(MIB)), 0, "ext4") == ""


async def test_device_that_is_not_there() -> None:
    assert await operating_system("/dev/ogagent-no-such", 0, "ext4") == ""


@pytest.mark.parametrize("filesystem", ["ntfs", "xfs", "swap", ""])
async def test_other_file_systems_are_not_asked(filesystem: str) -> None:
    assert await operating_system("/dev/ogagent-no-such", 0, filesystem) == ""
