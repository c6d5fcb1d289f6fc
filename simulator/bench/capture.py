"""``ogsim bench capture``: how images are made, against the pipelines that do it today."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

from msgspec import Struct

from simulator.bench.aims import Aim
from simulator.bench.capturers import (
    COMPRESSING,
    OPENGNSYS,
    PARTCLONE_ZSTD,
    READING,
    Row,
    capture,
    compare,
    engine_name,
    remove,
)
from simulator.bench.content import make_filesystem
from simulator.bench.models import TIMEOUT_S, Filesystem, model
from simulator.bench.network import link
from simulator.bench.session import Say, bench
from simulator.bench.table import aims_table, machine, markdown
from simulator.bench.upload import Upload, rate_for, upload
from simulator.errors import LabError
from simulator.processes import measure
from simulator.tree import MIB

_ROUNDS: Final = 3
_LARGE: Final = 40 << 30
_SENT: Final = 1 << 30
_MEMORY_MIB: Final = 160


class Captured(Struct, frozen=True):
    """``used`` is the size of what partclone makes of the partition, in bytes."""

    filesystem: Filesystem
    used: int
    rows: list[Row]


class Memory(Struct, frozen=True):
    """``peak_rss`` in bytes, of the process that captured."""

    name: str
    peak_rss: int


class Result(Struct, frozen=True, kw_only=True):
    """``size`` in bytes. ``left_out`` says what could not be measured here, and why."""

    machine: str
    size: int
    captured: list[Captured]
    memory: list[Memory]
    upload: Upload | None
    left_out: list[str]
    aims: list[Aim]


def bench_capture(size: int, json_file: Path | None) -> None:
    """Raises LabError, without root, say."""
    bench(partial(_measure, size), _printed, json_file)


def _printed(result: Result) -> Sequence[str]:
    tables = (part for each in result.captured for part in (_described(result.size, each), "", _table(each), ""))
    sent = [] if result.upload is None else [_sent(result.upload), ""]
    return result.machine, *tables, *sent, *result.left_out, aims_table(result.aims)


def _measure(size: int, scratch: Path, say: Say) -> Result:
    left_out: list[str] = []
    with model("ext4", size, scratch) as ext4:
        captured = [Captured("ext4", ext4.used, compare(ext4, scratch, say, _ROUNDS))]
        say("16 threads")
        memory = [Memory("16 threads", _peak(ext4.device, ext4.image, "--threads", "16"))]
    sent = _upload(min(size, _SENT), captured[0].rows, scratch, say, left_out)
    say("a large partition")
    large = scratch / "large.raw"
    make_filesystem(large, _LARGE, content=size // 8)
    memory.append(Memory("40 GiB partition", _peak(large, scratch / "large.img")))
    large.unlink()
    captured += _capture_ntfs(size, scratch, say, left_out)
    return Result(
        machine=machine(),
        size=size,
        captured=captured,
        memory=memory,
        upload=sent,
        left_out=left_out,
        aims=aims(captured, memory, sent),
    )


def _capture_ntfs(size: int, scratch: Path, say: Say, left_out: list[str]) -> list[Captured]:
    say("ntfs")
    with ExitStack() as stack:
        try:
            ntfs = stack.enter_context(model("ntfs", size, scratch))
        except LabError as error:
            left_out.append(f"ntfs is left out: {error.message}")
            return []
        return [Captured("ntfs", ntfs.used, compare(ntfs, scratch, say, _ROUNDS))]


def _peak(source: Path, image: Path, *options: str) -> int:
    try:
        return measure([capture(source, image, "--no-verify", *options)], timeout_s=TIMEOUT_S).peak_rss
    finally:
        remove(image)


def _upload(size: int, rows: Sequence[Row], scratch: Path, say: Say, left_out: list[str]) -> Upload | None:
    made = next(row for row in rows if row.name == engine_name(1))
    rate = rate_for((made.image or 0) / made.seconds)
    say(f"over a link of {rate}")
    with ExitStack() as stack:
        try:
            stack.enter_context(link(rate))
        except LabError as error:
            left_out.append(f"the link is left out: {error.message}")
            return None
        return upload(stack.enter_context(model("ext4", size, scratch)), rate, scratch, _ROUNDS)


def aims(captured: Sequence[Captured], memory: Sequence[Memory], sent: Upload | None) -> list[Aim]:
    found = [aim for each in captured for aim in _aims_of(each)]
    found += [_memory(f"a capture, {each.name}", each.peak_rss) for each in memory]
    if sent is not None:
        found.append(Aim(f"link of {sent.rate}, speed against curl", sent.curl_s / sent.engine_s, 0.95, at_least=True))
    return found


def _aims_of(captured: Captured) -> Iterator[Aim]:
    by_name = {row.name: row for row in captured.rows}
    ours = by_name[engine_name(3)]
    for name, most in ((OPENGNSYS, 0.5), (PARTCLONE_ZSTD, 0.8), (COMPRESSING, 1.15)):
        yield Aim(f"{captured.filesystem}, level 3, time against {name}", ours.seconds / by_name[name].seconds, most)
    largest = max(row.peak_rss for row in captured.rows if row.engine)
    yield _memory(f"a capture, {captured.filesystem}", largest)


def _memory(of: str, peak_rss: int) -> Aim:
    return Aim(f"memory of {of}", peak_rss / MIB, _MEMORY_MIB, "MiB")


def _described(size: int, captured: Captured) -> str:
    return f"{captured.filesystem} of {size / 1e6:.0f} MB, {captured.used / 1e6:.0f} MB of it used:"


def _table(captured: Captured) -> str:
    reference = next(row for row in captured.rows if row.name == OPENGNSYS)
    lines = [
        (
            row.name, f"{row.seconds:.2f}", f"{captured.used / row.seconds / 1e6:.0f}",
            "" if row.name in (READING, COMPRESSING) else f"{row.seconds / reference.seconds:.2f}",
            "" if row.image is None else f"{row.image / 1e6:.0f}", f"{row.cpu_s:.1f}", f"{row.peak_rss >> 20}",
        )
        for row in captured.rows
    ]  # fmt: skip
    headings = ("", "seconds", "MB/s", "of OpenGnsys' time", "MB of image", "CPU seconds", "peak MiB")
    return markdown(headings, lines)


def _sent(sent: Upload) -> str:
    ours, curls = (sent.size / seconds / 1e6 for seconds in (sent.engine_s, sent.curl_s))
    return (
        f"Over a link of {sent.rate}, level 1, {sent.size / 1e6:.0f} MB of image, by https into the repository: "
        f"{ours:.1f} MB/s while it is made, {curls:.1f} MB/s by curl -T of the finished one"
    )
