"""Percentages against what the tools of each file system say, and against superblocks that lie."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ogagent.disk.usage import used_percent, used_percent_of_mount
from ogagent.disk.volume import Volume

MIB = 1 << 20
SIZE = 320 * MIB


@pytest.fixture
def volume(sparse: Callable[[int], Path]) -> Iterator[tuple[Path, Volume]]:
    path = sparse(SIZE)
    fd = os.open(path, os.O_RDWR)
    yield path, Volume(fd, 0, SIZE)
    os.close(fd)


@pytest.fixture
def payload(tmp_path: Path) -> Path:
    """A directory that holds 100 MiB."""
    directory = tmp_path / "payload"
    directory.mkdir()
    (directory / "data").write_bytes(os.urandom(MIB) * 100)
    return directory


def number(pattern: str, text: str) -> int:
    found = re.search(pattern, text, re.MULTILINE)
    assert found, text
    return int(found[1])


@pytest.mark.parametrize("kind", ["ext2", "ext3", "ext4"])
def test_ext(kind: str, volume: tuple[Path, Volume], payload: Path, tool: Callable[..., str]) -> None:
    path, opened = volume
    tool("mke2fs", "-q", "-t", kind, "-d", payload, path)
    said = tool("dumpe2fs", "-h", path)
    space = number(r"^Block count: +(\d+)", said) - number(r"^Overhead clusters: +(\d+)", said)
    expected = round(100 * (space - number(r"^Free blocks: +(\d+)", said)) / space)
    assert expected > 30
    assert used_percent(opened, kind) == expected


def test_xfs(volume: tuple[Path, Volume], tool: Callable[..., str]) -> None:
    path, opened = volume
    tool("mkfs.xfs", "-q", "-f", path)
    said = tool("xfs_db", "-r", "-c", "sb 0", "-c", "print dblocks fdblocks logblocks", path)
    space = number(r"^dblocks = (\d+)", said) - number(r"^logblocks = (\d+)", said)
    free = number(r"^fdblocks = (\d+)", said)
    assert used_percent(opened, "xfs") == round(100 * (space - free) / space)
    # half full, as far as the superblock knows
    os.pwrite(opened.fd, (space // 2).to_bytes(8, "big"), 144)
    assert used_percent(opened, "xfs") == 50


def test_btrfs(volume: tuple[Path, Volume], payload: Path, tool: Callable[..., str]) -> None:
    path, opened = volume
    tool("mkfs.btrfs", "-q", "--rootdir", payload, path)
    said = tool("btrfs", "inspect-internal", "dump-super", path)
    expected = round(100 * number(r"^bytes_used\s+(\d+)", said) / number(r"^total_bytes\s+(\d+)", said))
    assert expected > 30
    assert used_percent(opened, "btrfs") == expected


@pytest.mark.parametrize("bits", ["16", "32"])
def test_fat(bits: str, volume: tuple[Path, Volume], tool: Callable[..., str]) -> None:
    path, opened = volume
    tool("mkfs.vfat", "-F", bits, path)
    said = tool("fsck.vfat", "-n", path)
    used, clusters = number(r"(\d+)/\d+ clusters", said), number(r"\d+/(\d+) clusters", said)
    assert used_percent(opened, "vfat") == round(100 * used / clusters) == 0
    boot = os.pread(opened.fd, 512, 0)
    if bits == "32":
        place = int.from_bytes(boot[48:50], "little") * 512 + 488
        os.pwrite(opened.fd, (clusters // 4).to_bytes(4, "little"), place)
        assert used_percent(opened, "vfat") == 75
        os.pwrite(opened.fd, b"\xff\xff\xff\xff", place)
        assert used_percent(opened, "vfat") is None
    else:
        table = int.from_bytes(boot[14:16], "little") * int.from_bytes(boot[11:13], "little")
        os.pwrite(opened.fd, b"\xff\xff" * (clusters // 4), table + 4)
        assert used_percent(opened, "vfat") == 25


def test_fat12_is_not_counted(sparse: Callable[[int], Path], tool: Callable[..., str]) -> None:
    path = sparse(2 * MIB)
    tool("mkfs.vfat", "-F", "12", path)
    with path.open("rb") as file:
        assert used_percent(Volume(file.fileno(), 0, 2 * MIB), "vfat") is None


@pytest.mark.parametrize("cluster", ["512", "4096", "65536", "131072"])
def test_ntfs(cluster: str, volume: tuple[Path, Volume], tool: Callable[..., str]) -> None:
    path, opened = volume
    tool("mkfs.ntfs", "-q", "-Q", "-F", "-c", cluster, path)
    said = tool("ntfsinfo", "-m", path)
    clusters = number(r"Volume Size in Clusters: (\d+)", said)
    used = clusters - number(r"Free Clusters: (\d+)", said)
    assert used_percent(opened, "ntfs") == round(100 * used / clusters)


def test_ntfs_with_data(volume: tuple[Path, Volume], payload: Path, tool: Callable[..., str]) -> None:
    path, opened = volume
    tool("mkfs.ntfs", "-q", "-Q", "-F", path)
    tool("ntfscp", "-q", path, payload / "data", "data")
    said = tool("ntfsinfo", "-m", path)
    clusters = number(r"Volume Size in Clusters: (\d+)", said)
    expected = round(100 * (clusters - number(r"Free Clusters: (\d+)", said)) / clusters)
    assert expected > 30
    assert used_percent(opened, "ntfs") == expected


def test_ntfs_of_odd_size(sparse: Callable[[int], Path], tool: Callable[..., str]) -> None:
    """The last byte of its bitmap has bits beyond the last cluster, all set."""
    size = 8 * MIB + 5 * 4096
    path = sparse(size)
    tool("mkfs.ntfs", "-q", "-Q", "-F", "-c", "4096", path)
    said = tool("ntfsinfo", "-m", path)
    clusters = number(r"Volume Size in Clusters: (\d+)", said)
    assert clusters % 8
    with path.open("rb") as file:
        percent = used_percent(Volume(file.fileno(), 0, size), "ntfs")
    assert percent == round(100 * (clusters - number(r"Free Clusters: (\d+)", said)) / clusters)


@pytest.mark.parametrize(("byte", "percent"), [(0, 0), (37, 37), (100, 100), (101, None), (255, None)])
def test_exfat_says_it_itself(byte: int, percent: int | None, volume: tuple[Path, Volume]) -> None:
    os.pwrite(volume[1].fd, bytes((byte,)), 112)
    assert used_percent(volume[1], "exfat") == percent


@pytest.mark.parametrize("filesystem", ["swap", "crypto_LUKS", "LVM2_member", ""])
def test_what_has_no_percentage(filesystem: str, volume: tuple[Path, Volume]) -> None:
    assert used_percent(volume[1], filesystem) is None


@pytest.mark.parametrize("filesystem", ["btrfs", "ext4", "ntfs", "vfat", "xfs"])
def test_nothing_there_is_no_percentage(filesystem: str, volume: tuple[Path, Volume]) -> None:
    assert used_percent(volume[1], filesystem) is None
    assert used_percent(Volume(volume[1].fd, 0, 100), filesystem) is None
    assert used_percent(Volume(volume[1].fd, SIZE, 1 << 20), filesystem) is None


MAKERS = {
    "ext4": ("mke2fs", "-q", "-F"),
    "xfs": ("mkfs.xfs", "-q", "-f"),
    "btrfs": ("mkfs.btrfs", "-q", "-f"),
    "vfat": ("mkfs.vfat",),
    "ntfs": ("mkfs.ntfs", "-q", "-Q", "-F", "-c", "4096"),
}
# Where each keeps what is read: (start, length).
PLACES = {
    "ext4": ((1024, 1024),),
    "xfs": ((0, 512),),
    "btrfs": ((64 << 10, 4096),),
    "vfat": ((0, 1024), (512, 512), (16384, 1024)),
    "ntfs": ((0, 512), (4 * 4096 + 6 * 1024, 1024)),
}


@pytest.fixture(scope="module", params=list(MAKERS))
def honest(
    request: pytest.FixtureRequest, tool: Callable[..., str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Volume]]:
    path = tmp_path_factory.mktemp("honest") / "volume"
    with path.open("xb") as file:
        file.truncate(SIZE)
    tool(*MAKERS[request.param], path)
    fd = os.open(path, os.O_RDWR)
    assert used_percent(Volume(fd, 0, SIZE), request.param) is not None
    yield request.param, Volume(fd, 0, SIZE)
    os.close(fd)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_superblock_that_lies_harms_nobody(honest: tuple[str, Volume], data: st.DataObject) -> None:
    filesystem, volume = honest
    start, length = data.draw(st.sampled_from(PLACES[filesystem]))
    at = start + data.draw(st.integers(0, length - 1))
    lie = data.draw(
        st.sampled_from((b"\0", b"\xff", b"\xff\xff\xff\xff", bytes(8), b"\xff" * 8))
        | st.binary(min_size=1, max_size=8)
    )
    truth = volume.read(at, len(lie))
    os.pwrite(volume.fd, lie, at)
    try:
        percent = used_percent(volume, filesystem)
    finally:
        os.pwrite(volume.fd, truth, at)
    assert percent is None or 0 <= percent <= 100


def test_mount(tmp_path: Path) -> None:
    percent = used_percent_of_mount(str(tmp_path))
    assert percent is None or 0 <= percent <= 100
    assert used_percent_of_mount(str(tmp_path / "nothing")) is None
