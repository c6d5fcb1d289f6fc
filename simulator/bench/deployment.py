"""``python -m simulator.bench.deployment URL DEVICE [--cache DIR] [--die-at SHARE] [--medium KIND]``: one deployment by
the engine.

A directory stands for the CACHE. Prints what it took, as JSON; or kills itself on the way, as a power cut would. With a
medium the device takes as long as one of that kind, and what was asked of it is told as well.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path, PurePosixPath
from typing import Final

import msgspec
import psutil
from yarl import URL

import ogagent.source.http  # noqa: F401 - an agent has it when a job begins: it is not to be measured
from ogagent.disk.cache_thread import CacheThread
from ogagent.disk.device import BlockDevice, sector_size
from ogagent.disk.machine import Device
from ogagent.model.disk import Inventory
from ogagent.model.plan import Target
from ogagent.restore.caching import Caching
from ogagent.restore.job import restore
from ogagent.restore.progress import Progress
from ogagent.restore.request import RestorePlan, RestoreRequest
from ogagent.source.source import SourcePolicy
from ogagent.system.tls import client_context
from simulator.faults import Fault
from simulator.machine.faulty_device import FaultyDevice
from simulator.machine.medium import KINDS

_LOOPBACK: Final = "lo"
_POLL_S: Final = 0.001
_CACHE: Final = Target(
    disk=1, partition=4, device="cache", disk_device="", identity="", start=0, size=0, sector_size=512
)


class OneDevice:
    """Implements ``ogagent.disk.machine.Machine``. ``slow`` is what was opened, when there is a ``medium``."""

    def __init__(self, medium: str | None) -> None:
        self._medium = medium
        self.slow: FaultyDevice | None = None

    async def inventory(self, *, thorough: bool = True) -> Inventory:  # noqa: ARG002 - as Machine has it
        return Inventory()

    @contextmanager
    def open_target(self, target: Target) -> Iterator[Device]:
        fd = os.open(target.device, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
        with BlockDevice(fd, base=0, size=target.size, sector_size=target.sector_size, name=target.device) as device:
            if self._medium is None:
                yield device
                return
            fault = Fault("disk", "medium", value=self._medium)
            self.slow = FaultyDevice(device, target.device, lambda: (fault,))
            yield self.slow


class Directory:
    """Implements ``ogagent.disk.machine.CacheStore``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.thread = CacheThread()

    @asynccontextmanager
    async def mounted(self, place: Target, *, repair: bool = True) -> AsyncIterator[Path]:  # noqa: ARG002 - as it is called
        yield self._path

    @asynccontextmanager
    async def writable(self) -> AsyncIterator[None]:
        yield


async def _deploy(
    url: str, device: str, cache: Path | None, die_at: float | None, medium: str | None
) -> dict[str, object]:
    fd = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size, sector = os.lseek(fd, 0, os.SEEK_END), sector_size(fd)
    finally:
        os.close(fd)
    target = Target(
        disk=1, partition=1, device=device, disk_device=device, identity=device, start=0, size=size, sector_size=sector
    )
    request = RestoreRequest(dsk=1, par=1, idi="", nci=PurePosixPath(URL(url).path).stem, ipr="")
    plan = RestorePlan(request=request, target=target, source=url, cache=_CACHE if cache else None)
    policy = SourcePolicy(tls=client_context("", ""), networks=None, stall_timeout_s=30, retry_for_s=30)
    caching = Caching(Directory(cache), "fail") if cache else None
    machine, progress = OneDevice(medium), Progress()
    before, began = _network_bytes(), time.monotonic()
    work = asyncio.create_task(restore(plan, machine, policy, progress, caching))
    while die_at is not None and not work.done():
        if progress.total and progress.in_place >= die_at * progress.total:
            os.kill(os.getpid(), signal.SIGKILL)
        await asyncio.sleep(_POLL_S)
    await work
    seconds = time.monotonic() - began
    slow = machine.slow
    return {
        "seconds": seconds,
        "from_cache": progress.from_cache,
        "medium": slow and {"written": slow.written, "read": slow.read, "seeks": slow.seeks},
        "network": _network_bytes() - before,
        "bytes": msgspec.to_builtins(progress.counts),
        "timings": msgspec.to_builtins(progress.timings),
    }


def _network_bytes() -> int:
    received: int = psutil.net_io_counters(pernic=True)[_LOOPBACK].bytes_recv
    return received


def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("device")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--die-at", type=float)
    parser.add_argument("--medium", choices=KINDS)
    options = parser.parse_args()
    found = asyncio.run(_deploy(options.url, options.device, options.cache, options.die_at, options.medium))
    print(json.dumps(found))  # noqa: T201 - the result, for the program that started this


if __name__ == "__main__":
    _main()
