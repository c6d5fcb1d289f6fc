"""Partitions that are never the bottleneck: loop devices over memory that is there already."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from simulator.bench.content import mounted
from simulator.processes import run
from simulator.tree import MIB

_OLD_CONTENT: Final = b"\x5a" * MIB
_AT_ONCE: Final = "nodiscard,lazy_itable_init=0,lazy_journal_init=0"
"""mke2fs(8): nothing is left to be done while others measure, and the memory stays where it is."""


@contextmanager
def loop_device(size: int) -> Iterator[Path]:
    """Memory that is touched for the first time costs more than anything that is measured: so it is filled before."""
    with memory(size) as directory:
        file = directory / "target"
        file.touch()
        make_foreign(file, size)
        device, _ = run(["losetup", "--show", "-f", file])
        try:
            yield Path(device.strip())
        finally:
            run(["losetup", "-d", device.strip()])


@contextmanager
def memory(size: int) -> Iterator[Path]:
    """A directory for files of ``size`` bytes in all."""
    with tempfile.TemporaryDirectory(prefix="ogsim-target-") as scratch:
        run(["mount", "-t", "tmpfs", "-o", f"size={size + 16 * MIB}", "tmpfs", scratch])
        try:
            yield Path(scratch)
        finally:
            run(["umount", scratch])


def make_foreign(device: Path, size: int) -> None:
    """It holds nothing of any image."""
    with device.open("r+b") as target:
        for _ in range(size // MIB):
            target.write(_OLD_CONTENT)


@contextmanager
def cache_partition(size: int, place: Path) -> Iterator[Path]:
    """A file system for the CACHE, mounted on ``place``, which is made for it."""
    with loop_device(size) as device:
        run(["mke2fs", "-q", "-F", "-t", "ext4", "-E", _AT_ONCE, device])
        with mounted(device, place) as root:
            yield root
