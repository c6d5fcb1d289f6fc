"""``ogsim bench redeploy``: what a deployment costs when partition or CACHE hold much of the image already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

from msgspec import Struct

from simulator.bench.aims import Aim
from simulator.bench.deploying import deploy, repository
from simulator.bench.session import Say, bench
from simulator.bench.table import aims_table, machine, markdown
from simulator.bench.target import cache_partition, loop_device
from simulator.bench.versions import Versions, make_versions, use_once
from simulator.errors import ToolFailed
from simulator.processes import measure

_KILLED_AT: Final = "0.5"

State = Literal["foreign", "unchanged", "1 % of files changed", "used once", "killed half-way"]
Origin = Literal["indexed", "indexed into CACHE", "CACHE", "stream"]
STATES: Final[tuple[State, ...]] = ("foreign", "unchanged", "1 % of files changed", "used once", "killed half-way")


class Row(Struct, frozen=True):
    """Sizes in bytes; ``network`` is all that came over it, headers and index included."""

    state: State
    origin: Origin
    seconds: float
    network: int
    written: int
    reused: int


class Result(Struct, frozen=True, kw_only=True):
    machine: str
    size: int
    used: int
    image: int
    index: int
    stream: int
    changed_files: tuple[int, int]
    reading_s: float
    """The used blocks once, with dd."""
    rows: list[Row]
    aims: list[Aim]


def bench_redeploy(size: int, json_file: Path | None) -> None:
    """Raises LabError, without root, say."""
    bench(partial(_measure, size), _printed, json_file)


def _printed(result: Result) -> Sequence[str]:
    return result.machine, _described(result), "", _table(result), "", aims_table(result.aims)


def _measure(size: int, scratch: Path, say: Say) -> Result:
    versions = make_versions(scratch, size)
    with repository(scratch):
        rows = [row for state in STATES for row in _rows(state, versions, scratch, say)]
        say("reading")
        with loop_device(size) as device:
            dd = measure([["dd", f"if={device}", "of=/dev/null", "bs=4M", "iflag=direct", "status=none"]])
    reading_s = dd.wall_s * versions.used / size
    image, stream = versions.old.stat().st_size, versions.stream.stat().st_size
    index = versions.old.with_name("old.img.index").stat().st_size
    return Result(
        machine=machine(),
        size=size,
        used=versions.used,
        image=image,
        index=index,
        stream=stream,
        changed_files=versions.changed,
        reading_s=reading_s,
        rows=rows,
        aims=aims(rows, image=image, index=index, stream=stream, reading_s=reading_s),
    )


def _rows(state: State, versions: Versions, scratch: Path, say: Say) -> Iterator[Row]:
    image = _wanted(state, versions)
    say(f"{state}, indexed")
    yield _row(state, "indexed", _redeploy(state, image, versions, scratch))
    say(f"{state}, CACHE")
    with cache_partition(versions.size, scratch / "cache") as cache:
        with loop_device(versions.size) as device:
            filled = deploy(image, device, cache)
        if state == "foreign":
            yield _row(state, "indexed into CACHE", filled)
        yield _row(state, "CACHE", _redeploy(state, image, versions, scratch, cache))
    if state == "foreign":  # a stream is one, whatever the partition holds
        say(f"{state}, stream")
        yield _row(state, "stream", _redeploy(state, versions.stream, versions, scratch))


def _redeploy(
    state: State, image: Path, versions: Versions, scratch: Path, cache: Path | None = None
) -> dict[str, Any]:
    with loop_device(versions.size) as device:
        _bring_into(state, device, versions, scratch)
        return deploy(image, device, cache)


def _row(state: State, origin: Origin, found: dict[str, Any]) -> Row:
    counts = found["bytes"]
    return Row(state, origin, found["seconds"], found["network"], counts["written"], counts["reused"])


def _wanted(state: State, versions: Versions) -> Path:
    return versions.new if state == "1 % of files changed" else versions.old


def _bring_into(state: State, device: Path, versions: Versions, scratch: Path) -> None:
    """From foreign, which it is."""
    if state == "killed half-way":
        with suppress(ToolFailed):
            deploy(versions.old, device, None, "--die-at", _KILLED_AT)
    elif state != "foreign":
        deploy(versions.old, device, None)
    if state == "used once":
        use_once(device, scratch / "used")


def aims(rows: Sequence[Row], *, image: int, index: int, stream: int, reading_s: float) -> list[Aim]:
    by_name = {(row.state, row.origin): row for row in rows}
    first, unchanged = by_name["foreign", "indexed"], by_name["unchanged", "indexed"]
    stream_s = by_name["foreign", "stream"].seconds
    from_cache = max(by_name[state, "CACHE"].network for state in STATES)
    return [
        Aim("unchanged, bytes over the network against the image's", 100 * unchanged.network / image, 0.5, "%"),
        Aim("unchanged, time against reading the used blocks once", unchanged.seconds / reading_s, 1.2),
        Aim(
            "1 % of files changed, bytes over the network against the image's",
            100 * by_name["1 % of files changed", "indexed"].network / image, 5, "%",
        ),
        Aim("first deployment, time with an index against none", first.seconds / stream_s, 1.0),
        Aim(
            "first deployment through the CACHE, time with an index against none without CACHE",
            by_name["foreign", "indexed into CACHE"].seconds / stream_s, 1.0,
        ),
        Aim("indexed image, size against one frame of the same level", image / stream, 1.03),
        Aim("from CACHE, bytes over the network beyond the index", 100 * max(from_cache - index, 0) / image, 0.1, "%"),
    ]  # fmt: skip


def _table(result: Result) -> str:
    lines = [
        (
            f"{row.state}, {row.origin}", f"{row.seconds:.2f}", f"{row.network / 1e6:.1f}",
            f"{100 * row.network / result.image:.2f} %", f"{row.written / 1e6:.0f}", f"{row.reused / 1e6:.0f}",
        )
        for row in result.rows
    ]  # fmt: skip
    return markdown(("", "seconds", "MB over the network", "of the image", "MB written", "MB reused"), lines)


def _described(result: Result) -> str:
    changed, files = result.changed_files
    return (
        f"ext4 of {result.size / 1e6:.0f} MB, {result.used / 1e6:.0f} MB of it used, {changed} of {files} files "
        f"changed; images: {result.image / 1e6:.0f} MB in frames, {result.stream / 1e6:.0f} MB in one; "
        f"index {result.index / 1e3:.0f} kB; reading the used blocks takes {result.reading_s:.2f} s"
    )
