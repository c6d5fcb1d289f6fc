"""How fast images are restored, against the pipelines that do it today: each in turn, on the same device, in rounds."""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from ogagent.model.job import Timings
from simulator.bench.content import Images
from simulator.bench.contestants import Contestant, contestants
from simulator.bench.target import loop_device, make_foreign
from simulator.processes import Usage, measure

ROUNDS: Final = 3


class Row(Struct, frozen=True):
    """Medians over the rounds. This engine's seconds are by its own clock, which begins when Python has started: an
    agent has. ``peak_rss`` in bytes, of the largest process. ``bottleneck`` and ``one_core_s`` only of this engine.
    """

    name: str
    seconds: float
    cpu_s: float
    peak_rss: int
    bytes_per_s: float
    bottleneck: str | None
    one_core_s: float | None
    rounds_s: list[float]


def compare(images: Images, scratch: Path, say: Callable[[str], None], *, rounds: int = ROUNDS) -> list[Row]:
    everyone = contestants()
    runs: dict[str, list[Usage]] = {each.name: [] for each in everyone}
    on_one_core: dict[str, Usage] = {}
    for image in (images.indexed, images.zstd, images.lzop, images.gzip):
        _read(image)
    with loop_device(images.size) as target:
        for round_ in range(1, rounds + 1):
            for each in everyone if round_ == 1 else (each for each in everyone if not each.once):
                say(f"round {round_} of {rounds}: {each.name}")
                runs[each.name].append(run_one(each, images, target, scratch))
        for each in (each for each in everyone if each.engine):
            say(f"on one core: {each.name}")
            on_one_core[each.name] = run_one(each, images, target, scratch, _one_core())
    return [_row(each, runs[each.name], on_one_core.get(each.name), images.used) for each in everyone]


def run_one(
    contestant: Contestant, images: Images, target: Path, scratch: Path, by: Sequence[str | Path] = ()
) -> Usage:
    if contestant.looks:
        make_foreign(target, images.size)
    first, *others = contestant.pipeline(images, target, scratch)
    return measure([[*by, *first], *others], stdout=Path("/dev/null") if contestant.to_null else None)


def _one_core() -> Sequence[str]:
    return ("taskset", "-c", str(min(os.sched_getaffinity(0))))


def _seconds(contestant: Contestant, run: Usage) -> float:
    return sum(timings(run).seconds.values()) if contestant.engine else run.wall_s


def timings(run: Usage) -> Timings:
    """As this engine has told them with ``--json``."""
    return msgspec.convert(json.loads(run.said)["timings"], Timings)


def _row(contestant: Contestant, runs: Sequence[Usage], on_one_core: Usage | None, used: int) -> Row:
    rounds_s = [_seconds(contestant, each) for each in runs]
    seconds = statistics.median(rounds_s)
    return Row(
        name=contestant.name,
        seconds=seconds,
        cpu_s=statistics.median(each.cpu_s for each in runs),
        peak_rss=max(each.peak_rss for each in runs),
        bytes_per_s=used / seconds,
        bottleneck=timings(runs[-1]).bottleneck if contestant.engine else None,
        one_core_s=None if on_one_core is None else _seconds(contestant, on_one_core),
        rounds_s=rounds_s,
    )


def _read(file: Path) -> None:
    """So that the first round finds the image in the page cache, as the others do."""
    with file.open("rb") as content:
        while content.read(1 << 22):
            pass
