"""How much memory an image takes that was made to take as much as it can, and is a good one all the same."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from msgspec import Struct

from simulator.bench.content import put_in_frames
from simulator.processes import measure


class Hostile(Struct, frozen=True):
    """``peak_rss`` in bytes, of the process that restored it; ``written`` in bytes, of blocks."""

    name: str
    peak_rss: int
    written: int


def restore_hostile(plain: Path, size: int, scratch: Path) -> list[Hostile]:
    """An image of a partition of ``size`` bytes in other containers, onto a file."""
    window, regions = scratch / "window.img", scratch / "regions.img"
    largest_window(plain, window)
    largest_regions(plain, regions)
    return [
        _restored("a zstd image, largest window", window, size),
        _restored("an indexed image, largest regions", regions, size),
    ]


def largest_window(plain: Path, image: Path) -> None:
    """A window of 128 MiB, also where less would do: zstd does not know how much will come."""
    measure([["cat", plain], ["zstd", "-q", "-1", "-T0", "--long=27", "-c"]], stdout=image)


def largest_regions(plain: Path, image: Path) -> None:
    shutil.copyfile(plain, image)
    put_in_frames(image, "--region-size", "16M")


def _restored(name: str, image: Path, size: int) -> Hostile:
    target = image.with_suffix(".raw")
    with target.open("wb") as file:
        file.truncate(size)
    used = measure([[sys.executable, "-m", "ogagent", "restore", "--yes", "--json", image, target]])
    target.unlink()
    return Hostile(name, used.peak_rss, json.loads(used.said)["bytes"]["written"])
