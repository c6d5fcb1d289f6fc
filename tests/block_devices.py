"""Block devices of the machine that runs the tests: its disks, which no agent of a test may touch, and loop devices."""

from __future__ import annotations

import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

_WAIT_S: Final = 120


def block_devices(but: str = "") -> list[str]:
    """Those with a node: a path of a multipath NVMe has none, nor have a host's disks in a container. ``but`` apart."""
    nodes = [Path("/dev", entry.name.replace("!", "/")) for entry in Path("/sys/block").iterdir()]
    return [str(node) for node in nodes if node.is_block_device() and str(node) != but]


def forget_partitions(device: str) -> None:
    """All that the kernel knows, whatever the table says by now: it keeps them for the next file on this device. Again
    while one is busy: who looks for volumes opens each for a moment.
    """
    end = time.monotonic() + _WAIT_S
    while there := list(Path("/sys/class/block", Path(device).name).glob("*/partition")):
        assert time.monotonic() < end, f"partitions of {device} are in use: {there}"
        for partition in there:
            with suppress(FileNotFoundError):
                subprocess.run(["delpart", device, partition.read_text().strip()], capture_output=True, check=False)
        if any(partition.exists() for partition in there):
            time.sleep(0.01)
