"""Who makes an image: this engine, the pipelines that it replaces, and what shows where the limits are."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from simulator.bench.contestants import Pipeline
from simulator.bench.models import TIMEOUT_S, Model, partclone
from simulator.bench.restore import timings
from simulator.bench.session import Say
from simulator.processes import Usage, measure
from simulator.tree import MIB

OPENGNSYS: Final = "partclone, mbuffer, lzop"
PARTCLONE_ZSTD: Final = "partclone, zstd -T0 -3"
READING: Final = "dd to /dev/null, as much as is used"
COMPRESSING: Final = "zstd -T0 -3 to /dev/null, partclone's image"
_LEVELS: Final = (1, 3, 6)
_AT_ONCE: Final = 4 * MIB


class Capturer(Struct, frozen=True):
    """``commands`` take the model and a directory for logs. This engine names the image itself, the others write it to
    standard output; a ``limit`` makes none.
    """

    name: str
    commands: Callable[[Model, Path], Pipeline]
    engine: bool = False
    limit: bool = False


class Row(Struct, frozen=True):
    """Medians over the rounds. This engine's seconds are by its own clock, which begins when Python has started: an
    agent has. ``peak_rss`` in bytes, of the largest process; ``image`` in bytes, of its file.
    """

    name: str
    engine: bool
    seconds: float
    image: int | None
    cpu_s: float
    peak_rss: int
    rounds_s: list[float]


def engine_name(level: int, *, verify: bool = False) -> str:
    return f"ogagent, level {level}{' and verified' if verify else ''}"


def capturers() -> Sequence[Capturer]:
    return (
        *(Capturer(engine_name(level), _engine(level, verify=False), engine=True) for level in _LEVELS),
        Capturer(engine_name(3, verify=True), _engine(3, verify=True), engine=True),
        Capturer(OPENGNSYS, lambda model, log: [
            partclone(model.filesystem, model.device, log), ["mbuffer", "-q", "-m", "40M"], ["lzop"],
        ]),
        Capturer(PARTCLONE_ZSTD, lambda model, log: [
            partclone(model.filesystem, model.device, log), ["zstd", "-q", "-T0", "-3", "-c"],
        ]),
        Capturer(READING, lambda model, _: [_read(model)], limit=True),
        Capturer(COMPRESSING, lambda model, _: [["zstd", "-q", "-T0", "-3", "-c", model.plain]], limit=True),
    )  # fmt: skip


def capture(source: Path, target: str | Path, *options: str | Path) -> list[str | Path]:
    """By this engine."""
    return [sys.executable, "-m", "ogagent", "capture", "--json", *options, source, target]


def compare(model: Model, scratch: Path, say: Say, rounds: int) -> list[Row]:
    everyone = capturers()
    runs: dict[str, list[tuple[Usage, int | None]]] = {each.name: [] for each in everyone}
    for round_ in range(1, rounds + 1):
        for each in everyone:
            say(f"{model.filesystem}, round {round_} of {rounds}: {each.name}")
            runs[each.name].append(_run_one(each, model, scratch))
    return [_row(each, runs[each.name]) for each in everyone]


def remove(image: Path) -> None:
    """With all that lies beside it."""
    for file in image.parent.glob(f"{image.name}*"):
        file.unlink()


def _run_one(capturer: Capturer, model: Model, scratch: Path) -> tuple[Usage, int | None]:
    """And the size of the image."""
    stdout = None if capturer.engine else Path("/dev/null") if capturer.limit else model.image
    try:
        used = measure(capturer.commands(model, scratch), stdout=stdout, timeout_s=TIMEOUT_S)
        return used, None if capturer.limit else model.image.stat().st_size
    finally:
        remove(model.image)


def seconds_of(run: Usage) -> float:
    """By the clock of this engine."""
    return sum(timings(run).seconds.values())


def _row(capturer: Capturer, runs: Sequence[tuple[Usage, int | None]]) -> Row:
    rounds_s = [seconds_of(run) if capturer.engine else run.wall_s for run, _ in runs]
    return Row(
        name=capturer.name,
        engine=capturer.engine,
        seconds=statistics.median(rounds_s),
        image=runs[-1][1],
        cpu_s=statistics.median(run.cpu_s for run, _ in runs),
        peak_rss=max(run.peak_rss for run, _ in runs),
        rounds_s=rounds_s,
    )


def _engine(level: int, *, verify: bool) -> Callable[[Model, Path], Pipeline]:
    more = [] if verify else ["--no-verify"]
    return lambda model, _: [capture(model.device, model.image, "--level", str(level), *more)]


def _read(model: Model) -> list[str | Path]:
    much = (f"bs={_AT_ONCE}", f"count={-(-model.used // _AT_ONCE)}")
    return ["dd", f"if={model.device}", "of=/dev/null", *much, "iflag=direct", "status=none"]
