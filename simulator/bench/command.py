"""``ogsim bench restore``: measures, says what it found, and what of that was aimed at."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct
from rich.console import Console

from simulator.bench.aims import Aim, aims
from simulator.bench.content import Images, make_images
from simulator.bench.contestants import DECOMPRESS, OPENGNSYS
from simulator.bench.network import Arrival, Link, over_link, over_loopback
from simulator.bench.restore import Row, compare
from simulator.bench.served import Served, restore_and_watch
from simulator.bench.table import aims_table, machine, markdown
from simulator.errors import LabError

_GIB: Final = 1 << 30
_LARGE: Final = 40 * _GIB
_LARGE_CONTENT: Final = 512 << 20


class Result(Struct, frozen=True, kw_only=True):
    """Sizes in bytes. ``link`` is None where no link could be made."""

    machine: str
    size: int
    used: int
    image_sizes: dict[str, int]
    rows: list[Row]
    served: Served
    served_large: Served
    loopback: Arrival
    loopback_zstd: Arrival
    link: Link | None
    aims: list[Aim]


def bench_restore(size: int, json_file: Path | None) -> None:
    """Raises LabError, without root, say."""
    console = Console()
    with tempfile.TemporaryDirectory(prefix="ogsim-bench-") as scratch, console.status("making the images") as status:
        result = _measure(size, Path(scratch), status.update)
    if json_file is not None:
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(result)))
    for part in (result.machine, _described(result), "", _contestants(result.rows), "", aims_table(result.aims)):
        console.print(part, soft_wrap=True, highlight=False, markup=False)


def _measure(size: int, scratch: Path, say: Callable[[str], None]) -> Result:
    large = scratch / "large"
    large.mkdir()
    images = make_images(scratch, size)
    rows = compare(images, scratch, say)
    say("over the network")
    loopback, loopback_zstd = over_loopback(images.plain, scratch), over_loopback(images.zstd, scratch)
    try:
        link = over_link(images.zstd, scratch)
    except LabError as error:
        say(f"no link could be made: {error.message}")
        link = None
    say("the whole agent")
    served = restore_and_watch(images.zstd, size, scratch)
    say("the whole agent, a large partition")
    served_large = restore_and_watch(make_images(large, _LARGE, content=_LARGE_CONTENT).zstd, _LARGE, scratch)
    return Result(
        machine=machine(),
        size=size,
        used=images.used,
        image_sizes=_sizes(images),
        rows=rows,
        served=served,
        served_large=served_large,
        loopback=loopback,
        loopback_zstd=loopback_zstd,
        link=link,
        aims=aims(rows, served, served_large, loopback, link),
    )


def _contestants(rows: Sequence[Row]) -> str:
    reference = next(row for row in rows if row.name == OPENGNSYS)
    lines = []
    for row in rows:
        ratio = "" if row.name == DECOMPRESS else f"{row.wall_s / reference.wall_s:.2f}"
        figures = (f"{row.wall_s:.2f}", f"{row.bytes_per_s / 1e6:.0f}", ratio, f"{row.cpu_s:.1f}")
        lines.append((row.name, *figures, f"{row.peak_rss >> 20}", row.bottleneck or ""))
    headings = ("", "seconds", "MB/s", "of OpenGnsys' time", "CPU seconds", "peak MiB", "slowest stage")
    return markdown(headings, lines)


def _described(result: Result) -> str:
    sizes = ", ".join(f"{name} {size / 1e6:.0f} MB" for name, size in result.image_sizes.items())
    return f"ext4 of {result.size / 1e6:.0f} MB, {result.used / 1e6:.0f} MB of it used; images: {sizes}"


def _sizes(images: Images) -> dict[str, int]:
    return {path.stem: path.stat().st_size for path in (images.zstd, images.lzop, images.gzip)}
