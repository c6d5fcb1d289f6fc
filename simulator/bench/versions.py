"""An image and its next version, in frames with an index, and the first one as a single stream."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from msgspec import Struct

from simulator.bench.content import image_of, make_filesystem, mounted, put_in_frames
from simulator.processes import measure

_LEVEL: Final = 3
_CHANGED: Final = 0.01
_TIMEOUT_S: Final = 1800.0
_WRITES: Final = 300
_LOG: Final = 2 << 20


class Versions(Struct, frozen=True):
    """``used`` is what the first one holds, in bytes of blocks; ``changed`` tells how many files of how many differ."""

    old: Path
    new: Path
    stream: Path
    size: int
    used: int
    changed: tuple[int, int]


def make_versions(directory: Path, size: int) -> Versions:
    """Raises LabError without root, and ToolMissing."""
    filesystem, plain = directory / "partition.raw", directory / "plain.img"
    old, new, stream = (directory / f"{name}.img" for name in ("old", "new", "stream"))
    make_filesystem(filesystem, size)
    image_of(filesystem, plain)
    used = plain.stat().st_size
    measure([["zstd", "-q", f"-{_LEVEL}", "-c", plain]], stdout=stream, timeout_s=_TIMEOUT_S)
    plain.rename(old)
    with mounted(filesystem, directory / "mnt") as place:
        changed = _change_files(place)
    image_of(filesystem, new)
    filesystem.unlink()
    for image in (old, new):
        put_in_frames(image, "--level", str(_LEVEL))
    return Versions(old=old, new=new, stream=stream, size=size, used=used, changed=changed)


def use_once(device: Path, place: Path) -> None:
    """What a system does that is started once: logs, and a few hundred small writes all over."""
    draw = random.Random(3)
    with mounted(device, place):
        (place / "log").write_bytes(draw.randbytes(_LOG))
        files = list(_files(place))
        for file in draw.choices(files, k=_WRITES):
            with file.open("r+b") as opened:
                opened.write(draw.randbytes(100))


def _change_files(place: Path) -> tuple[int, int]:
    """One in a hundred is written anew, as an update does it: beside the old one, and then in its place."""
    files = list(_files(place))
    changed = random.Random(5).sample(files, max(int(len(files) * _CHANGED), 1))
    for file in changed:
        fresh = file.with_name("fresh")
        shutil.copyfile(file, fresh)
        with fresh.open("r+b") as opened:
            opened.write(b"changed")
        fresh.rename(file)
    return len(changed), len(files)


def _files(place: Path) -> Iterator[Path]:
    """All but the one that is large because it is there to fill the partition."""
    return (path for path in sorted(place.rglob("*")) if path.is_file() and path.name != "noise")
