"""The disks of the machine that runs the tests, which no agent of a test may touch."""

from __future__ import annotations

from pathlib import Path


def block_devices(but: str = "") -> list[str]:
    """Those with a node: a path of a multipath NVMe has none, nor have a host's disks in a container. ``but`` apart."""
    nodes = [Path("/dev", entry.name.replace("!", "/")) for entry in Path("/sys/block").iterdir()]
    return [str(node) for node in nodes if node.is_block_device() and str(node) != but]
