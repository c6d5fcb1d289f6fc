"""``ogsim bench media``: what a deployment through the CACHE asks of disks that are not memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from simulator.bench.aims import Aim
from simulator.bench.content import make_plain, put_in_frames
from simulator.bench.deploying import deploy, repository
from simulator.bench.session import Say, bench
from simulator.bench.table import aims_table, machine, markdown
from simulator.bench.target import cache_partition, loop_device
from simulator.machine.medium import KINDS

Partition = Literal["foreign", "unchanged"]
PARTITIONS: Final[tuple[Partition, ...]] = ("foreign", "unchanged")


class Row(Struct, frozen=True):
    """Sizes in bytes. ``cached`` came to lie in the CACHE, which takes no time here that a disk would; ``read`` is all
    that was read, of the partition and of the CACHE, ``read_back`` what of it was compared with what had been written.
    """

    medium: str
    partition: Partition
    seconds: float
    written: int
    cached: int
    read_back: int
    read: int
    seeks: int


class Result(Struct, frozen=True, kw_only=True):
    machine: str
    size: int
    used: int
    image: int
    rows: list[Row]
    aims: list[Aim]


def bench_media(size: int, json_file: Path | None) -> None:
    """Raises LabError, without root, say."""
    bench(partial(_measure, size), _printed, json_file)


def _printed(result: Result) -> Sequence[str]:
    return result.machine, _described(result), "", _table(result.rows), "", aims_table(result.aims)


def _measure(size: int, scratch: Path, say: Say) -> Result:
    image = make_plain(scratch, size)
    used = image.stat().st_size
    put_in_frames(image)
    with repository(scratch):
        rows = [row for medium in KINDS for row in _rows(medium, image, size, scratch, say)]
    return Result(machine=machine(), size=size, used=used, image=image.stat().st_size, rows=rows, aims=aims(rows, used))


def _rows(medium: str, image: Path, size: int, scratch: Path, say: Say) -> Iterator[Row]:
    with cache_partition(size, scratch / "cache") as cache, loop_device(size) as device:
        for partition in PARTITIONS:
            say(f"{medium}, {partition}")
            before = _lies_in(cache)
            found = deploy(image, device, cache, "--medium", medium)
            asked = found["medium"]
            yield Row(
                medium=medium,
                partition=partition,
                seconds=found["seconds"],
                written=asked["written"],
                cached=_lies_in(cache) - before,
                read_back=found["bytes"]["read_back"],
                read=asked["read"] + found["from_cache"],
                seeks=asked["seeks"],
            )


def _lies_in(cache: Path) -> int:
    return sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())


def aims(rows: Sequence[Row], used: int) -> list[Aim]:
    """An image is about half as large as what it holds: that much goes to the CACHE, all of it to the partition."""
    first = [row for row in rows if row.partition == "foreign"]
    return [
        *(
            Aim(f"{row.medium}, first deployment, written in all against the used blocks",
                (row.written + row.cached) / used, 1.5)
            for row in first
        ),
        *(
            Aim(f"{row.medium}, first deployment, read back against the used blocks", row.read_back / used, 1.0)
            for row in first
        ),
    ]  # fmt: skip


def _table(rows: Sequence[Row]) -> str:
    lines = [
        (
            f"{row.medium}, {row.partition}", f"{row.seconds:.1f}", f"{row.written / 1e6:.1f}",
            f"{row.cached / 1e6:.1f}", f"{row.read_back / 1e6:.1f}", f"{row.read / 1e6:.1f}", f"{row.seeks}",
        )
        for row in rows
    ]  # fmt: skip
    headings = ("seconds", "MB to the partition", "MB to the CACHE", "MB read back", "MB read in all", "seeks")
    return markdown(("", *headings), lines)


def _described(result: Result) -> str:
    return (
        f"ext4 of {result.size / 1e6:.0f} MB, {result.used / 1e6:.0f} MB of it used; image: "
        f"{result.image / 1e6:.0f} MB in frames"
    )
