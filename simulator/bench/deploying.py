"""Deployments from a repository on the loopback, each in a process of its own."""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from simulator.errors import LabError
from simulator.processes import measure, peer

_ADDRESS: Final = "127.0.68.57"
_PORT: Final = 8481
_PATIENCE_S: Final = 120.0


def deploy(image: Path, device: Path, cache: Path | None, *more: str) -> dict[str, Any]:
    """``image`` lies in the repository. Answers what ``simulator.bench.deployment`` prints; ``more`` is for that.

    Raises ToolFailed.
    """
    url = f"http://{_ADDRESS}:{_PORT}/ogrepository/images/{image.name}"
    command = [sys.executable, "-m", "simulator.bench.deployment", url, str(device), *more]
    if cache is not None:
        command += ["--cache", str(cache)]
    found: dict[str, Any] = json.loads(measure([command]).said.splitlines()[-1])
    return found


@contextmanager
def repository(images: Path) -> Iterator[None]:
    place = ("--address", _ADDRESS, "--port", str(_PORT))
    command = [sys.executable, "-m", "simulator", "repository", "--plain", "--images", str(images), *place]
    with peer("the repository", command, images / "repository.log") as server:
        give_up = time.monotonic() + _PATIENCE_S
        while _silent():
            server.check()
            if time.monotonic() > give_up:
                raise LabError(f"nobody listens on {_ADDRESS} port {_PORT}")
            time.sleep(0.1)
        yield


def _silent() -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((_ADDRESS, _PORT)) != 0
