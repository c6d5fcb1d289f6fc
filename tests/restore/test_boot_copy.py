"""NTFS' copy of its boot sector, which partclone does not bring; FAT32 and exFAT have theirs among what it does."""

from __future__ import annotations

import io
import random
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Final

import pytest

from ogagent.image.codec import MAX_WINDOW
from ogagent.image.index import encode
from ogagent.image.pack import Packing, pack
from ogagent.restore.progress import Progress
from tests.restore.one_file import onto

MIB: Final = 1 << 20
VOLUME: Final = 16 * MIB
OLD: Final = random.Random(8).randbytes(MIB)
SIZES: Final = {"as large": VOLUME, "a bit larger": VOLUME + 300 * 1024, "larger": VOLUME + 9 * MIB + 512}


def run(program: str, *arguments: str | Path) -> str:
    path = shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin")
    if path is None:
        pytest.skip(f"{program} is not installed")
    done = subprocess.run([path, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"{program} {arguments}: {done.stdout}{done.stderr}"
    return done.stdout


def made(folder: Path, *command: str) -> Path:
    volume = folder / "volume"
    with volume.open("xb") as file:
        file.truncate(VOLUME)
    run(command[0], *command[1:], volume)
    return volume


def cloned(volume: Path, program: str) -> Path:
    image = volume.with_name("x.img")
    run(program, "-c", "-F", "-L", volume.with_name("log"), "-s", volume, "-o", image)
    return image


def with_index(image: Path) -> Path:
    out = io.BytesIO()
    packed = pack(image.name, iter([image.read_bytes()]), out.write, Packing(None, 1, 1, MAX_WINDOW))
    image.write_bytes(out.getvalue())
    image.with_name("x.img.index").write_bytes(encode(packed.index))
    return image


def partition(folder: Path, size: int) -> Path:
    """With the remains of something else on it."""
    path = folder / "partition"
    path.write_bytes((OLD * (size // MIB + 1))[:size])
    return path


# --- real programs ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("way", ["stream", "index", "index, nothing new"])
@pytest.mark.parametrize("sector", [512, 1024, 4096])
async def test_ntfs(tmp_path: Path, sector: int, way: str, size: str) -> None:
    volume = made(tmp_path, "mkfs.ntfs", "-q", "-F", "-f", "-s", str(sector))
    image = cloned(volume, "partclone.ntfs")
    target = partition(tmp_path, SIZES[size])
    if way != "stream":
        with_index(image)
    await onto(target, image, sector_size=sector)
    if way == "index, nothing new":
        progress = Progress()
        await onto(target, image, progress, sector_size=sector)
        assert (progress.written, progress.reused) == (0, progress.total)
    content, original = target.read_bytes(), volume.read_bytes()
    (sectors,) = struct.unpack_from("<Q", original, 40)
    assert content[sector * sectors :][:sector] == original[:sector] == content[:sector]
    assert "alternate boot sector... OK" in run("ntfsfix", "-n", target)
    assert "Current volume size" in run("ntfsresize", "--info", "--force", "--no-progress-bar", target)
    assert f"Sector Size: {sector}" in run("ntfsinfo", "-m", target)


async def test_a_raw_image_brings_its_own(tmp_path: Path) -> None:
    """Byte for byte, also when it is damaged."""
    volume = made(tmp_path, "mkfs.ntfs", "-q", "-F", "-f")
    data = bytearray(volume.read_bytes())
    data[-512:] = bytes(512)
    image = tmp_path / "x.img"
    image.write_bytes(data)
    target = partition(tmp_path, VOLUME)
    await onto(target, image)
    assert target.read_bytes() == data


CHECKS: Final = {
    "FAT32": (("mkfs.vfat", "-F", "32"), "partclone.fat32", range(6 * 512, 9 * 512), ("fsck.vfat", "-n")),
    "FAT32, 4096": (
        ("mkfs.vfat", "-F", "32", "-S", "4096", "-s", "1"),
        "partclone.fat32",
        range(6 * 4096, 9 * 4096),
        (),
    ),
    "exFAT": (("mkfs.exfat",), "partclone.exfat", range(12 * 512, 24 * 512), ("fsck.exfat", "-n")),
}


@pytest.mark.parametrize("way", ["stream", "index"])
@pytest.mark.parametrize("kind", CHECKS)
async def test_boot_regions_among_the_blocks_are_brought(tmp_path: Path, kind: str, way: str) -> None:
    make, clone, copies, check = CHECKS[kind]
    volume = made(tmp_path, *make)
    image = cloned(volume, clone)
    if way == "index":
        with_index(image)
    target = partition(tmp_path, VOLUME)
    await onto(target, image, sector_size=4096 if "4096" in kind else 512)
    original = volume.read_bytes()[copies.start : copies.stop]
    assert any(original)
    assert target.read_bytes()[copies.start : copies.stop] == original
    if check:
        run(check[0], *check[1:], target)
