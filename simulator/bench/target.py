"""A partition to write to that is never the bottleneck: a loop device over memory that is there already."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from simulator.processes import run
from simulator.tree import MIB

_OLD_CONTENT: Final = b"\x5a" * MIB


@contextmanager
def loop_device(size: int) -> Iterator[Path]:
    """Memory that is touched for the first time costs more than anything that is measured: so it is filled before."""
    with tempfile.TemporaryDirectory(prefix="ogsim-target-") as scratch:
        run(["mount", "-t", "tmpfs", "-o", f"size={size + 16 * MIB}", "tmpfs", scratch])
        try:
            file = Path(scratch, "target")
            with file.open("wb") as target:
                for _ in range(size // MIB):
                    target.write(_OLD_CONTENT)
            device, _ = run(["losetup", "--show", "-f", file])
            try:
                yield Path(device.strip())
            finally:
                run(["losetup", "-d", device.strip()])
        finally:
            run(["umount", scratch])
