"""Who restores: this engine, the pipelines that it replaces, and two that show where the limits are."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from simulator.bench.content import Images

Pipeline = list[list[str | Path]]

OPENGNSYS: Final = "lzop, mbuffer, partclone.restore"
DD: Final = "zstd, dd"
DECOMPRESS: Final = "zstd to /dev/null"
DECOMPRESS_FRAMES: Final = "zstd to /dev/null, the frames of indexed"


class Contestant(Struct, frozen=True):
    """``image`` names a member of ``Images``; ``to_null`` when what comes out goes to ``/dev/null``. ``once``: it takes
    so long that one round must do.
    """

    name: str
    image: str
    commands: Callable[[Path, Path, Path], Pipeline]
    engine: bool = False
    to_null: bool = False
    once: bool = False

    @property
    def looks(self) -> bool:
        """At what the target holds already: it must not be what the one before has left there."""
        return self.engine and self.image == "indexed"

    def pipeline(self, images: Images, target: Path, log: Path) -> Pipeline:
        return self.commands(getattr(images, self.image), target, log)


def engine_name(image: str, *, read_back: bool) -> str:
    return f"ogagent, {image}{' and read-back' if read_back else ''}"


def contestants() -> Sequence[Contestant]:
    """``commands`` take the image, the target, and a directory for logs."""
    ours = [
        Contestant(engine_name(image, read_back=read_back), image, _engine(read_back=read_back), engine=True)
        for image in ("indexed", "zstd", "lzop", "gzip")
        for read_back in (False, True)
    ]
    return (
        *ours,
        Contestant(OPENGNSYS, "lzop", lambda image, target, log: [
            ["lzop", "-dc", image], ["mbuffer", "-q", "-m", "40M"], _partclone(target, log),
        ], once=True),
        Contestant("zstd, partclone.restore", "zstd", lambda image, target, log: [
            ["zstd", "-dcq", image], _partclone(target, log),
        ], once=True),
        Contestant("pigz, partclone.restore", "gzip", lambda image, target, log: [
            ["pigz", "-dc", image], _partclone(target, log),
        ], once=True),
        Contestant(DD, "zstd", lambda image, target, _: [["zstd", "-dcq", image], _dd(target)]),
        Contestant(DECOMPRESS, "zstd", lambda image, _, __: [["zstd", "-dcq", image]], to_null=True),
        Contestant(DECOMPRESS_FRAMES, "indexed", lambda image, _, __: [["zstd", "-dcq", image]], to_null=True),
    )  # fmt: skip


def _engine(*, read_back: bool) -> Callable[[Path, Path, Path], Pipeline]:
    more = [] if read_back else ["--no-read-back"]
    ogagent: list[str | Path] = [sys.executable, "-m", "ogagent", "restore", "--yes", "--json", *more]
    return lambda image, target, _: [[*ogagent, image, target]]


def _partclone(target: Path, log: Path) -> list[str | Path]:
    return ["partclone.restore", "-d0", "-C", "-I", "-s", "-", "-o", target, "-L", log / "partclone.log"]


def _dd(target: Path) -> list[str | Path]:
    return ["dd", f"of={target}", "bs=4M", "iflag=fullblock", "oflag=direct", "conv=fsync", "status=none"]
