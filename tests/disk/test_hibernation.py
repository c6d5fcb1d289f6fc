"""Systems that sleep: in swap space, by every signature that libblkid knows, and in Windows' own file."""

from __future__ import annotations

import os
import random
import shutil
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from ogagent.disk.content import Content, probe
from ogagent.disk.device import BlockDevice
from ogagent.disk.hibernation import discard_image
from ogagent.disk.ntfs_file import beginning_of
from ogagent.disk.volume import Volume
from tests.mounts import unmount

KIB: Final = 1 << 10
MIB: Final = 1 << 20
SIZE: Final = 16 * MIB
TUXONICE: Final = b"\xed\xc3\x02\xe9\x98\x56\xe5\x0c"
IMAGES: Final = (b"S1SUSPEND\0", b"S2SUSPEND\0", b"ULSUSPEND\0", b"LINHIB0001")
Tool = Callable[..., str]
Sparse = Callable[[int], Path]


def probed(path: Path) -> Content:
    with path.open("rb") as file:
        return probe(file.fileno(), 0, path.stat().st_size)


@contextmanager
def opened(path: Path) -> Iterator[BlockDevice]:
    fd, size = os.open(path, os.O_RDWR), path.stat().st_size
    with BlockDevice(fd, base=0, size=size, sector_size=512, name=str(path)) as device:
        yield device


def write(path: Path, place: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        file.write(data)


# --- Linux --------------------------------------------------------------------------------------------------------


def swap(tool: Tool, path: Path, page: int) -> bytes:
    path.chmod(0o600)
    path.write_bytes(random.Random(page).randbytes(SIZE))
    tool("mkswap", "-q", "-p", str(page), "-L", "resume", "-U", "0b5c7a2e-7a0b-4d5e-8f43-25a4e4c0f7aa", path)
    return path.read_bytes()


@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("page", [4 * KIB, 8 * KIB, 16 * KIB, 32 * KIB, 64 * KIB])
def test_swap_space_in_which_a_linux_sleeps(page: int, image: bytes, tool: Tool, sparse: Sparse) -> None:
    path = sparse(SIZE)
    plain = swap(tool, path, page)
    assert (probed(path).filesystem, probed(path).hibernated) == ("swap", False)
    write(path, page - 10, image)
    assert (probed(path).filesystem, probed(path).hibernated) == ("swsuspend", True)
    with opened(path) as device:
        assert discard_image(device)
        assert not discard_image(device)
    assert path.read_bytes() == plain
    assert probed(path) == Content(filesystem="swap", label="resume")


def test_tuxonice(tool: Tool, sparse: Sparse) -> None:
    path = sparse(SIZE)
    plain = swap(tool, path, 4 * KIB)
    write(path, 0, TUXONICE)
    assert probed(path).hibernated
    with opened(path) as device:
        assert discard_image(device)
    assert path.read_bytes() == bytes(len(TUXONICE)) + plain[len(TUXONICE) :]
    assert (probed(path).filesystem, probed(path).hibernated) == ("swap", False)


def test_where_none_sleeps_nothing_is_written(tool: Tool, sparse: Sparse) -> None:
    path = sparse(SIZE)
    plain = swap(tool, path, 4 * KIB)
    with opened(path) as device:
        assert not discard_image(device)
    assert path.read_bytes() == plain


@pytest.mark.parametrize("size", [0, 4 * KIB, 40 * KIB])
def test_less_than_the_largest_page(size: int, sparse: Sparse) -> None:
    path = sparse(size)
    if size:
        write(path, 4 * KIB - 10, b"S1SUSPEND\0")
    with opened(path) as device:
        assert discard_image(device) == bool(size)


# --- Windows ------------------------------------------------------------------------------------------------------

NTFS: Final = ("mkfs.ntfs", "-q", "-F", "-f")
ASLEEP: Final = b"HIBR" + bytes(9000)


@pytest.fixture
def volume(tool: Tool, sparse: Sparse) -> Path:
    path = sparse(64 * MIB)
    tool(*NTFS, path)
    return path


def put(tool: Tool, volume: Path, name: str, content: bytes) -> None:
    file = volume.with_name("file")
    file.write_bytes(content)
    tool("ntfscp", "-q", volume, file, name)


@pytest.mark.parametrize(
    ("content", "hibernated"),
    [
        (b"hibr" + bytes(8188), True),
        (b"HIBR" + bytes(8188), True),
        (b"HIBR", True),
        (b"wake" + bytes(8188), False),
        (b"RSTR" + bytes(8188), False),
        (bytes(8192), False),
        (b"HIB", False),
        (b"", False),
    ],
)
def test_what_the_file_begins_with(content: bytes, hibernated: bool, tool: Tool, volume: Path) -> None:
    put(tool, volume, "hiberfil.sys", content)
    assert (probed(volume).filesystem, probed(volume).hibernated) == ("ntfs", hibernated)


def test_without_the_file(volume: Path) -> None:
    assert not probed(volume).hibernated


def test_in_another_directory(tool: Tool, volume: Path) -> None:
    put(tool, volume, "hiberfil.bak", ASLEEP)
    assert not probed(volume).hibernated


@pytest.mark.parametrize("name", ["hiberfil.sys", "HIBERFIL.SYS", "Hiberfil.Sys"])
def test_its_name_is_written_in_any_case(name: str, tool: Tool, volume: Path) -> None:
    put(tool, volume, name, ASLEEP)
    assert probed(volume).hibernated


@pytest.mark.parametrize("cluster", [512, 4096, 65536])
def test_clusters_of_any_size(cluster: int, tool: Tool, sparse: Sparse) -> None:
    volume = sparse(64 * MIB)
    tool(*NTFS, "-c", str(cluster), volume)
    put(tool, volume, "hiberfil.sys", ASLEEP)
    assert probed(volume).hibernated


@contextmanager
def mounted(volume: Path) -> Iterator[Path]:
    program = shutil.which("ntfs-3g", path="/usr/sbin:/usr/bin:/sbin:/bin")
    if program is None or os.geteuid() or not Path("/dev/fuse").exists():
        pytest.skip("ntfs-3g cannot mount here")
    root = volume.with_name("root")
    root.mkdir()
    subprocess.run([program, volume, root], check=True, capture_output=True)
    try:
        yield root
    finally:
        unmount(root)


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A volume that was full of small files, every other of which has gone. The directory lies in pieces, and so does
    what came last, in so many that its record does not hold them.
    """
    volume = tmp_path_factory.mktemp("ntfs") / "volume"
    with volume.open("xb") as file:
        file.truncate(32 * MIB)
    program = shutil.which("mkfs.ntfs", path="/usr/sbin:/usr/bin:/sbin:/bin")
    if program is None:
        pytest.skip("mkfs.ntfs is not installed")
    subprocess.run([program, *NTFS[1:], volume], check=True, capture_output=True)
    with mounted(volume) as root:
        names = [root / f"a file {number}" for number in range(3000)]
        for name in names:
            name.write_bytes(b"x" * 4096)
        for name in names[::2]:
            name.unlink()
        (root / "hiberfil.sys").write_bytes(b"HIBR" + bytes(5 * MIB))
        (root / "directory").mkdir()
        (root / "directory/inside.sys").write_bytes(ASLEEP)
    return volume


def test_a_crowded_volume(crowded: Path) -> None:
    assert probed(crowded).hibernated
    with crowded.open("rb") as file:
        volume = Volume(file.fileno(), 0, 32 * MIB)
        assert beginning_of(volume, "a file 2999", 8) == b"x" * 8
        assert beginning_of(volume, "a file 2998", 8) == b""
        assert beginning_of(volume, "inside.sys", 8) == b""


def test_damaged_volumes_cost_nothing_but_the_answer(crowded: Path, tmp_path: Path) -> None:
    """Also by those who mean it."""
    draw = random.Random(8)
    whole = crowded.read_bytes()
    records = [at for at in range(0, len(whole), 512) if whole[at : at + 4] in (b"FILE", b"INDX")]
    path = tmp_path / "damaged"
    path.write_bytes(whole)
    for _ in range(300):
        places = [draw.choice(records[:200]) + draw.randrange(512) for _ in range(20)] + [draw.randrange(90)]
        for place in places:
            write(path, place, struct.pack("<Q", draw.choice((0, 1, 0xFF, 1 << 15, 1 << 63, draw.getrandbits(64)))))
        probed(path)
        for place in places:
            write(path, place, whole[place : place + 8])
    assert probed(path).hibernated
