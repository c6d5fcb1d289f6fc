"""How fast images are restored, against the pipelines that do it today: each in turn, on the same device, in rounds."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from simulator.bench.content import Images
from simulator.bench.contestants import Contestant, contestants, image_of
from simulator.bench.target import loop_device
from simulator.processes import Usage, measure

ROUNDS: Final = 3


class Row(Struct, frozen=True):
    """Medians over the rounds. ``peak_rss`` in bytes, of the largest process; ``bottleneck`` only of this engine."""

    name: str
    wall_s: float
    cpu_s: float
    peak_rss: int
    bytes_per_s: float
    bottleneck: str | None
    rounds_s: list[float]


def compare(images: Images, scratch: Path, say: Callable[[str], None], *, rounds: int = ROUNDS) -> list[Row]:
    everyone = contestants()
    runs: dict[str, list[Usage]] = {each.name: [] for each in everyone}
    for image in (images.zstd, images.lzop, images.gzip):
        _read(image)
    with loop_device(images.size) as target:
        for round_ in range(1, rounds + 1):
            for each in everyone:
                say(f"round {round_} of {rounds}: {each.name}")
                pipeline = each.commands(image_of(images, each), target, scratch)
                runs[each.name].append(measure(pipeline, stdout=Path("/dev/null") if each.to_null else None))
    return [_row(each, runs[each.name], images.used) for each in everyone]


def _row(contestant: Contestant, runs: Sequence[Usage], used: int) -> Row:
    wall_s = statistics.median(each.wall_s for each in runs)
    return Row(
        name=contestant.name,
        wall_s=wall_s,
        cpu_s=statistics.median(each.cpu_s for each in runs),
        peak_rss=max(each.peak_rss for each in runs),
        bytes_per_s=used / wall_s,
        bottleneck=json.loads(runs[-1].said)["timings"]["bottleneck"] if contestant.engine else None,
        rounds_s=[each.wall_s for each in runs],
    )


def _read(file: Path) -> None:
    """So that the first round finds the image in the page cache, as the others do."""
    with file.open("rb") as content:
        while content.read(1 << 22):
            pass
