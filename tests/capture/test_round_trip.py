"""Each file system there and back: the image is partclone's to the byte, whoever restores it gets all of it."""

from __future__ import annotations

import asyncio
import filecmp
import hashlib
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from ogagent.image.codec import MAX_WINDOW
from ogagent.imagefile.check import verify
from ogagent.restore.progress import Progress
from tests.capture.engine import capture
from tests.capture.fat import Shape
from tests.capture.models import KINDS, MIB, SHAPES, files_of, make
from tests.image.partclone_programs import restore, run
from tests.restore.one_file import onto

HEADER: Final = 110
BESIDE: Final = (".info", ".full.sum", ".sum", ".index")


@pytest.mark.parametrize("kind", KINDS)
def test_there_and_back(kind: str, tmp_path: Path) -> None:
    """Partclone waits a second whenever it ends, so all shapes go at once."""
    with ThreadPoolExecutor(len(SHAPES)) as threads:
        for done in [threads.submit(there_and_back, tmp_path / shape, kind, shape) for shape in SHAPES]:
            done.result()


def there_and_back(directory: Path, kind: str, shape: Shape) -> None:
    directory.mkdir()
    model, image = directory / f"fs.{kind}", directory / "x.img"
    files = make(model, kind, shape)
    before = digest(model)
    made = capture(model, image)
    assert digest(model) == before, "the model stays as it is"
    assert (made.size, made.filesystem) == (image.stat().st_size, "vfat" if "fat" in kind[:3] else kind)
    expect_sidecars(image, made.used)

    plain, real = directory / "plain", directory / "real"
    run("zstd", "-q", "-d", image, "-o", plain)
    clone(kind, model, real)
    assert filecmp.cmp(plain, real, shallow=False), f"{kind}, {shape}: partclone makes another image"
    used = list(runs(real))
    assert made.used == sum(length for _, length in used)
    found = verify(image, None, 2, MAX_WINDOW, lambda _what, _done, _total: None)
    assert found.index is not None
    assert found.header.filesystem == KINDS[kind].name

    out = covered(directory / "out", model.stat().st_size)
    restore(plain, out)
    expect_blocks(out, model, used)
    out = covered(out, model.stat().st_size)
    assert restored(image, out).reused == 0
    expect_blocks(out, model, used)
    program, *options = KINDS[kind].check
    run(program, *options, out)
    assert files_of(out, kind) == files
    assert restored(image, out).reused == made.used, "region by region it finds all of it there"
    image.with_name("x.img.index").unlink()
    out = covered(out, model.stat().st_size)
    assert restored(image, out).reused == 0
    expect_blocks(out, model, used)


def test_an_ntfs_that_is_smaller_than_its_partition(tmp_path: Path) -> None:
    """Partclone asks for the partition's size, this image for no more than the volume's; all else is the same."""
    model, image, plain, real = (tmp_path / name for name in ("fs.ntfs", "x.img", "plain", "real"))
    make(model, "ntfs", "empty")
    size = model.stat().st_size
    with model.open("r+b") as file:
        file.truncate(size + 3 * MIB)
    capture(model, image)
    run("zstd", "-q", "-d", image, "-o", plain)
    clone("ntfs", model, real)
    ours, theirs = plain.read_bytes(), real.read_bytes()
    assert ours[HEADER:] == theirs[HEADER:]
    differing = {at for at in range(HEADER) if ours[at] != theirs[at]}
    assert differing <= {*range(52, 60), *range(106, 110)}
    assert int.from_bytes(theirs[52:60], "little") == size + 3 * MIB
    assert int.from_bytes(ours[52:60], "little") == size
    out = covered(tmp_path / "out", size)
    restored(image, out)
    expect_blocks(out, model, list(runs(real)))
    run("ntfsfix", "-n", out)


# --- what is expected ---------------------------------------------------------------------------------------------


def expect_sidecars(image: Path, used: int) -> None:
    data = image.read_bytes()
    assert beside(image, ".full.sum") == f"{hashlib.md5(data).hexdigest()}\n"
    assert beside(image, ".sum") == f"{hashlib.md5(data[-MIB:]).hexdigest()}\n"
    name = verify(image, None, 1, MAX_WINDOW, lambda _what, _done, _total: None).header.filesystem
    assert beside(image, ".info") == f"partclone:zstd:{name}:{-(-used // 1024)}:{socket.gethostname()}\n"
    assert {path.name for path in image.parent.glob("*x.img*")} == {"x.img", *(f"x.img{suffix}" for suffix in BESIDE)}


def beside(image: Path, suffix: str) -> str:
    return image.with_name(f"{image.name}{suffix}").read_text()


def expect_blocks(out: Path, model: Path, used: list[tuple[int, int]]) -> None:
    with out.open("rb") as one, model.open("rb") as other:
        for offset, length in used:
            for at in range(offset, offset + length, 16 * MIB):
                count = min(16 * MIB, offset + length - at)
                there = os.pread(one.fileno(), count, at)
                assert there == os.pread(other.fileno(), count, at), f"{out.parent.name}: bytes {at} to {at + count}"


def runs(image: Path) -> Iterator[tuple[int, int]]:
    """Offset and length, in bytes, of what an image says is in use: partclone's IMAGE_FORMATS.md, once more."""
    with image.open("rb") as file:
        fields = file.read(HEADER)
        total, block = int.from_bytes(fields[60:68], "little"), int.from_bytes(fields[84:88], "little")
        bits = int.from_bytes(file.read(-(-total // 8)), "little")
    digits = f"{bits:0{total}b}"[::-1][:total]
    for found in re.finditer("1+", digits):
        yield found.start() * block, (found.end() - found.start()) * block


# --- what is done -------------------------------------------------------------------------------------------------


def clone(kind: str, model: Path, image: Path) -> None:
    run(KINDS[kind].program, "-c", "-s", model, "-O", image, "-L", image.with_suffix(".log"), "-f", "1")


def covered(path: Path, size: int) -> Path:
    """What is not written shows."""
    with path.open("wb") as file:
        for _ in range(-(-size // MIB)):
            file.write(b"\xaa" * MIB)
        file.truncate(size)
    return path


def restored(image: Path, out: Path) -> Progress:
    progress = Progress()
    asyncio.run(onto(out, image, progress))
    return progress


def digest(path: Path) -> str:
    done = subprocess.run(["md5sum", path], capture_output=True, check=True)
    return done.stdout.decode().split()[0]
