"""All of a partition becomes an image, whatever is in it."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Final

import pytest

from ogagent.capture.blocks import of_all_blocks
from ogagent.capture.look import Looked
from ogagent.capture.real import RealModels
from ogagent.disk.by_path import ByPath, target_at
from ogagent.errors import ModelNotClean, ModelNotRead
from ogagent.image.codec import MAX_WINDOW
from ogagent.imagefile.check import verify
from tests.capture.engine import capture
from tests.capture.in_memory import Kind, Medium, head_of
from tests.image.partclone_programs import restore, run
from tests.image.partclone_written import as_sealed, restored
from tests.restore.one_file import onto

KIB: Final = 1 << 10
MIB: Final = 1 << 20
NOISE: Final = random.Random(23)


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    run("partclone.imager", "-v")
    path = tmp_path / "noise.raw"
    path.write_bytes(NOISE.randbytes(2 * MIB) + bytes(MIB) + NOISE.randbytes(MIB + 5 * 512))
    return path


def test_what_is_no_file_system(noise: Path, tmp_path: Path) -> None:
    image, out = tmp_path / "x.img", tmp_path / "out"
    made = capture(noise, image, whole=True)
    assert (made.used, made.filesystem) == (noise.stat().st_size, "")
    found = verify(image, None, 2, MAX_WINDOW, lambda _what, _done, _total: None)
    assert found.index is not None
    assert (found.header.block_size, found.header.device_size) == (512, made.used)
    assert restored(image) == noise.read_bytes()
    plain = tmp_path / "plain"
    run("zstd", "-q", "-d", image, "-o", plain)
    restore(plain, out)
    assert out.read_bytes() == noise.read_bytes()


def test_the_image_is_that_of_the_real_one(noise: Path, tmp_path: Path) -> None:
    image, plain, real = tmp_path / "x.img", tmp_path / "plain", tmp_path / "real"
    capture(noise, image, whole=True)
    run("zstd", "-q", "-d", image, "-o", plain)
    run("partclone.imager", "-c", "-s", noise, "-O", real, "-L", tmp_path / "log", "-f", "1")
    assert plain.read_bytes() == real.read_bytes()


@pytest.mark.parametrize("count", [1024, 1027])
def test_a_disk_with_larger_sectors_takes_its_own_image(noise: Path, tmp_path: Path, count: int) -> None:
    """partclone.imager knows blocks of 512 bytes alone; partclone.restore takes others."""
    noise.write_bytes(NOISE.randbytes(count * 4 * KIB))
    image, plain, out = (tmp_path / name for name in ("x.img", "plain", "out"))
    capture(noise, image, whole=True, sector_size=4096)
    out.write_bytes(bytes(count * 4 * KIB))
    asyncio.run(onto(out, image, sector_size=4096))
    assert out.read_bytes() == restored(image) == noise.read_bytes()
    out.unlink()
    run("zstd", "-q", "-d", image, "-o", plain)
    restore(plain, out)
    assert out.read_bytes() == noise.read_bytes()


@pytest.mark.parametrize("beginning", [b"", b"partclone-image", head_of(Kind(512, 64, [1]), device_size=64 * 512)[:-1]])
def test_what_is_not_understood_is_not_changed(beginning: bytes) -> None:
    assert of_all_blocks(beginning, 4096) == beginning


def test_no_byte_at_the_end_is_passed_over(noise: Path) -> None:
    """Only a file has half a sector there."""
    noise.write_bytes(noise.read_bytes() + b"the end")
    with pytest.raises(ModelNotRead, match="blocks of 512") as caught:
        asyncio.run(RealModels(ByPath()).beginning(target_at(str(noise)), ""))
    assert "truncate" in caught.value.hint


def test_a_volume_that_is_smaller_than_its_partition(tmp_path: Path) -> None:
    """Of it as NTFS, the image asks for no more room than the volume; of all of it, for all."""
    model, image = tmp_path / "fs.ntfs", tmp_path / "x.img"
    model.write_bytes(bytes(8 * MIB))
    run("mkfs.ntfs", "-qFf", model)
    with model.open("r+b") as file:
        file.truncate(9 * MIB)
    data = model.read_bytes()
    for whole, size in ((False, 8 * MIB), (True, 9 * MIB)):
        capture(model, image, whole=whole)
        found = verify(image, None, 2, MAX_WINDOW, lambda _what, _done, _total: None)
        assert found.header.device_size == size
    assert restored(image) == data


def test_a_file_system_that_is_not_in_order_is_taken_as_it_is(tmp_path: Path) -> None:
    """Nobody asks its own map what is in use."""
    model, image = tmp_path / "fs.ext2", tmp_path / "x.img"
    model.write_bytes(bytes(4 * MIB))
    run("mke2fs", "-q", "-t", "ext2", model)
    run("debugfs", "-w", "-R", "ssv state 0", model)
    with pytest.raises(ModelNotClean):
        capture(model, image)
    assert not image.exists()
    capture(model, image, whole=True)
    assert restored(image) == model.read_bytes()


@pytest.mark.parametrize("name", ["EXTFS", "BTRFS"])
def test_what_another_system_has_left_in_the_boot_sector(name: str) -> None:
    """What partclone has looked at counts."""
    boot = bytearray(68 * KIB)
    boot[3:11] = b"NTFS    "
    boot[11:13] = (512).to_bytes(2, "little")
    boot[40:48] = (2 * MIB // 512 - 1).to_bytes(8, "little")
    kind = Kind(4 * KIB, 1024, [1, 2, 3])
    for found, size in ((name, 4 * MIB), ("NTFS", 2 * MIB)):
        small = kind if found != "NTFS" else kind._replace(total=512)
        looked = Looked(named(head_of(small, device_size=4 * MIB), found), bytes(boot))
        assert looked.blocks(Medium(4 * MIB), lambda _: None).contents.header.device_size == size


def named(beginning: bytes, filesystem: str) -> bytes:
    changed = beginning[:36] + filesystem.encode().ljust(16, b"\0") + beginning[52:]
    return as_sealed(changed) + beginning[110:]
