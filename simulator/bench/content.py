"""A partition as a computer room has it, and its image in every container."""

from __future__ import annotations

import itertools
import os
import random
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from msgspec import Struct

from simulator.errors import LabError
from simulator.processes import measure, run
from simulator.tree import MIB

FILLED: Final = 0.75
"""How much of a partition is in use."""

_SHARES: Final = (("/usr/lib", 0.45), ("/usr/share", 0.35))
"""Libraries and programs, then text of all kinds, as this machine has them. What is left to fill is noise."""

_SMALLEST: Final = 4096
_NEARLY: Final = 0.98
ZSTD: Final = "zstd -q -T0 -c"
_COPY_TIMEOUT_S: Final = 1800.0


class Images(Struct, frozen=True):
    """``size`` is the partition's, ``used`` what its image holds of it, in bytes."""

    plain: Path
    zstd: Path
    lzop: Path
    gzip: Path
    indexed: Path
    size: int
    used: int


def make_images(directory: Path, size: int) -> Images:
    """Raises LabError without root, and ToolMissing."""
    plain = make_plain(directory, size)
    zstd, lzop, gzip = (directory / f"bench-{name}.img" for name in ("zstd", "lzop", "gzip"))
    for tool, into in ((ZSTD, zstd), ("lzop -c", lzop), ("pigz -c", gzip)):
        pack(plain, tool, into)
    indexed, used = directory / "bench-indexed.img", plain.stat().st_size
    shutil.copyfile(plain, indexed)
    put_in_frames(indexed)
    return Images(plain=plain, zstd=zstd, lzop=lzop, gzip=gzip, indexed=indexed, size=size, used=used)


def make_plain(directory: Path, size: int, *, content: int | None = None) -> Path:
    """``content`` is how many bytes of files to put in, when it is not most of the partition.

    Raises LabError without root, and ToolMissing.
    """
    filesystem, plain = directory / "partition.raw", directory / "bench.img"
    make_filesystem(filesystem, size, content=content)
    image_of(filesystem, plain)
    filesystem.unlink()
    return plain


def pack(plain: Path, tool: str, into: Path) -> None:
    measure([[*tool.split(), plain]], stdout=into, timeout_s=_COPY_TIMEOUT_S)


def make_filesystem(path: Path, size: int, *, content: int | None = None) -> None:
    with path.open("wb") as file:
        file.truncate(size)
    run(["mke2fs", "-q", "-F", "-t", "ext4", path])
    with mounted(path, path.with_name("mnt")) as place:
        fill(place, int(size * FILLED) if content is None else content)


def image_of(filesystem: Path, image: Path) -> None:
    """What partclone makes of it, in no container."""
    log = image.with_name("partclone.log")
    run(["partclone.extfs", "-c", "-s", filesystem, "-O", image, "-L", log], timeout_s=_COPY_TIMEOUT_S)


def put_in_frames(image: Path, *options: str) -> None:
    """And its index beside it; ``options`` are those of ``ogagent image index``."""
    run([sys.executable, "-m", "ogagent", "image", "index", *options, image], timeout_s=_COPY_TIMEOUT_S)


@contextmanager
def mounted(filesystem: Path, place: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        raise LabError("only root may mount", hint="run the benchmark as root")
    place.mkdir()
    run(["mount", *([] if filesystem.is_block_device() else ["-o", "loop"]), filesystem, place])
    try:
        yield place
    finally:
        run(["umount", place], timeout_s=_COPY_TIMEOUT_S)
        place.rmdir()


def fill(place: Path, size: int) -> None:
    """With about ``size`` bytes of files."""
    left = size
    for source, share in _SHARES:
        target = place / Path(source).name
        left -= _copy(Path(source), target, int(size * share))
    noise = random.Random(7)
    with (place / "noise").open("wb") as file:
        for _ in range(left // MIB):
            file.write(noise.randbytes(MIB))


def _copy(source: Path, target: Path, size: int) -> int:
    """Files of ``source`` until they are about ``size`` bytes, never more; from its start again when it has fewer."""
    done = 0
    for round_ in itertools.count():
        before = done
        for file in _files(source):
            if done >= size * _NEARLY:
                return done
            if file.stat().st_size <= size - done:
                into = target / str(round_) / file.relative_to(source)
                into.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, into)
                done += into.stat().st_size
        if done == before:
            raise LabError(f"there are no files below {source} to fill a partition with")
    return done


def _files(directory: Path) -> Iterator[Path]:
    for parent, directories, names in os.walk(directory):
        directories.sort()
        for name in sorted(names):
            file = Path(parent, name)
            if not file.is_symlink() and file.is_file() and file.stat().st_size >= _SMALLEST:
                yield file
