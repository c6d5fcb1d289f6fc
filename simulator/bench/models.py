"""The partitions that images are made of: in memory, with what a computer room has on them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from simulator.bench.content import FILLED, fill, mounted
from simulator.bench.target import loop_device, memory
from simulator.processes import measure, run

Filesystem = Literal["ext4", "ntfs"]
TIMEOUT_S: Final = 1800.0
_MAKE: Final[dict[Filesystem, list[str]]] = {
    "ext4": ["mke2fs", "-q", "-F", "-t", "ext4", "-E", "nodiscard"],
    "ntfs": ["mkfs.ntfs", "-q", "-F", "-Q"],
}
_PARTCLONE: Final[dict[Filesystem, str]] = {"ext4": "partclone.extfs", "ntfs": "partclone.ntfs"}


class Model(Struct, frozen=True):
    """``plain`` is partclone's image in no container; other files in its directory lie in memory, too, which has been
    touched before. ``used`` is its size, in bytes.
    """

    filesystem: Filesystem
    device: Path
    plain: Path
    used: int

    @property
    def image(self) -> Path:
        """Where one is made; it is not there yet."""
        return self.plain.with_name("captured.img")


@contextmanager
def model(filesystem: Filesystem, size: int, scratch: Path) -> Iterator[Model]:
    """Of ``size`` bytes. Raises LabError where there can be none: without root, a tool, or FUSE for NTFS."""
    with loop_device(size) as device, memory(3 * size) as directory:
        run([*_MAKE[filesystem], device])
        with mounted(device, scratch / "mnt") as place:
            fill(place, int(size * FILLED))
        plain = directory / "plain.img"
        for copy in (directory / "touched", plain):
            measure([partclone(filesystem, device, scratch)], stdout=copy, timeout_s=TIMEOUT_S)
        (directory / "touched").unlink()
        yield Model(filesystem, device, plain, plain.stat().st_size)


def partclone(filesystem: Filesystem, device: Path, log: Path) -> list[str | Path]:
    """As OpenGnsys calls it. ``log`` is a directory."""
    return [_PARTCLONE[filesystem], "-d0", "-F", "-c", "-s", device, "-o", "-", "-L", log / "partclone.log"]
