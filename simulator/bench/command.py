"""``ogsim bench restore``: measures, says what it found, and what of that was aimed at."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from msgspec import Struct

from simulator.bench.aims import Aim, aims
from simulator.bench.content import ZSTD, Images, make_images, make_plain, pack
from simulator.bench.contestants import DECOMPRESS, DECOMPRESS_FRAMES, OPENGNSYS
from simulator.bench.hostile import Hostile, restore_hostile
from simulator.bench.network import Arrival, Link, over_link, over_loopback
from simulator.bench.restore import Row, compare
from simulator.bench.served import Served, restore_and_watch
from simulator.bench.session import Say, bench
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
    hostile: list[Hostile]
    loopback: Arrival
    loopback_zstd: Arrival
    link: Link | None
    aims: list[Aim]


def bench_restore(size: int, json_file: Path | None) -> None:
    """Raises LabError, without root, say."""
    bench(partial(_measure, size), _printed, json_file)


def _printed(result: Result) -> Sequence[str]:
    return result.machine, _described(result), "", _contestants(result.rows), "", aims_table(result.aims)


def _measure(size: int, scratch: Path, say: Say) -> Result:
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
    large_plain, large_zstd = make_plain(large, _LARGE, content=_LARGE_CONTENT), large / "bench-zstd.img"
    pack(large_plain, ZSTD, large_zstd)
    served_large = restore_and_watch(large_zstd, _LARGE, scratch)
    say("hostile images")
    hostile = restore_hostile(large_plain, _LARGE, large)
    return Result(
        machine=machine(),
        size=size,
        used=images.used,
        image_sizes=_sizes(images),
        rows=rows,
        served=served,
        served_large=served_large,
        hostile=hostile,
        loopback=loopback,
        loopback_zstd=loopback_zstd,
        link=link,
        aims=aims(rows, served, served_large, hostile, loopback, link),
    )


def _contestants(rows: Sequence[Row]) -> str:
    reference = next(row for row in rows if row.name == OPENGNSYS)
    lines = []
    for row in rows:
        ratio = "" if row.name in (DECOMPRESS, DECOMPRESS_FRAMES) else f"{row.seconds / reference.seconds:.2f}"
        one_core = "" if row.one_core_s is None else f"{row.one_core_s:.2f}"
        figures = (f"{row.seconds:.2f}", one_core, f"{row.bytes_per_s / 1e6:.0f}", ratio, f"{row.cpu_s:.1f}")
        lines.append((row.name, *figures, f"{row.peak_rss >> 20}", row.bottleneck or ""))
    headings = (
        *("", "seconds", "seconds on one core", "MB/s", "of OpenGnsys' time"),
        *("CPU seconds", "peak MiB", "slowest stage"),
    )
    return markdown(headings, lines)


def _described(result: Result) -> str:
    sizes = ", ".join(f"{name} {size / 1e6:.0f} MB" for name, size in result.image_sizes.items())
    return f"ext4 of {result.size / 1e6:.0f} MB, {result.used / 1e6:.0f} MB of it used; images: {sizes}"


def _sizes(images: Images) -> dict[str, int]:
    return {path.stem: path.stat().st_size for path in (images.indexed, images.zstd, images.lzop, images.gzip)}
