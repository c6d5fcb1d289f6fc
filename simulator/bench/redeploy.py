"""``ogsim bench redeploy``: what a deployment costs when partition or CACHE hold much of the image already."""

from __future__ import annotations

import json
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct
from rich.console import Console

from simulator.bench.aims import Aim
from simulator.bench.table import aims_table, machine, markdown
from simulator.bench.target import loop_device
from simulator.bench.versions import Versions, make_versions, use_once
from simulator.errors import LabError, ToolFailed
from simulator.processes import measure, peer

_ADDRESS: Final = "127.0.68.57"
_PORT: Final = 8481
_PATIENCE_S: Final = 120.0
_KILLED_AT: Final = "0.5"

State = Literal["foreign", "unchanged", "1 % of files changed", "used once", "killed half-way"]
Origin = Literal["indexed", "CACHE", "stream"]
STATES: Final[tuple[State, ...]] = ("foreign", "unchanged", "1 % of files changed", "used once", "killed half-way")
ORIGINS: Final[tuple[Origin, ...]] = ("indexed", "CACHE", "stream")


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
    console = Console()
    with tempfile.TemporaryDirectory(prefix="ogsim-bench-") as scratch, console.status("making the images") as status:
        result = _measure(size, Path(scratch), status.update)
    if json_file is not None:
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(result)))
    for part in (result.machine, _described(result), "", _table(result), "", aims_table(result.aims)):
        console.print(part, soft_wrap=True, highlight=False, markup=False)


def _measure(size: int, scratch: Path, say: Callable[[str], None]) -> Result:
    versions = make_versions(scratch, size)
    with _repository(scratch):
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


def _rows(state: State, versions: Versions, scratch: Path, say: Callable[[str], None]) -> Iterator[Row]:
    for origin in ORIGINS if state == "foreign" else ORIGINS[:2]:  # a stream is one, whatever the partition holds
        say(f"{state}, {origin}")
        image = versions.stream if origin == "stream" else _wanted(state, versions)
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            cache = Path(folder) if origin == "CACHE" else None
            if cache is not None:
                with loop_device(versions.size) as device:
                    _deploy(image, device, cache)
            with loop_device(versions.size) as device:
                _bring_into(state, device, versions, scratch)
                found = _deploy(image, device, cache)
        counts = found["bytes"]
        yield Row(state, origin, found["seconds"], found["network"], counts["written"], counts["reused"])


def _wanted(state: State, versions: Versions) -> Path:
    return versions.new if state == "1 % of files changed" else versions.old


def _bring_into(state: State, device: Path, versions: Versions, scratch: Path) -> None:
    """From foreign, which it is."""
    if state == "killed half-way":
        with suppress(ToolFailed):
            _deploy(versions.old, device, None, "--die-at", _KILLED_AT)
    elif state != "foreign":
        _deploy(versions.old, device, None)
    if state == "used once":
        use_once(device, scratch / "used")


def _deploy(image: Path, device: Path, cache: Path | None, *more: str) -> dict[str, Any]:
    url = f"http://{_ADDRESS}:{_PORT}/ogrepository/images/{image.name}"
    command = [sys.executable, "-m", "simulator.bench.deployment", url, str(device), *more]
    if cache is not None:
        command += ["--cache", str(cache)]
    found: dict[str, Any] = json.loads(measure([command]).said.splitlines()[-1])
    return found


@contextmanager
def _repository(images: Path) -> Iterator[None]:
    place = ("--address", _ADDRESS, "--port", str(_PORT))
    command = [sys.executable, "-m", "simulator", "repository", "--plain", "--images", str(images), *place]
    with peer("the repository", command, images / "repository.log") as repository:
        give_up = time.monotonic() + _PATIENCE_S
        while _silent():
            repository.check()
            if time.monotonic() > give_up:
                raise LabError(f"nobody listens on {_ADDRESS} port {_PORT}")
            time.sleep(0.1)
        yield


def _silent() -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((_ADDRESS, _PORT)) != 0


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
        Aim("first deployment, time with an index against none", first.seconds / stream_s, 1.05),
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
