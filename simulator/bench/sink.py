"""``python -m simulator.bench.sink URL``: a restore onto a device that forgets everything, so that the source is what
is measured. Prints what arrived, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import ogagent.source.http  # noqa: F401 - an agent has it when a job begins: it is not to be measured
from ogagent.disk.machine import Device
from ogagent.model.disk import Inventory
from ogagent.model.plan import Target
from ogagent.restore.job import restore
from ogagent.restore.progress import Progress
from ogagent.restore.request import RestorePlan, RestoreRequest
from ogagent.source.source import SourcePolicy
from ogagent.system.tls import client_context

_SIZE: Final = 1 << 50


class NullDevice:
    """Implements ``ogagent.disk.machine.Device``; what is read back is not what was written."""

    size = _SIZE

    def write(self, offset: int, data: memoryview) -> None: ...

    def zero(self, offset: int, length: int) -> None: ...

    def flush(self) -> None: ...

    def read_back(self, offset: int, into: memoryview) -> None: ...


class NullMachine:
    """Implements ``ogagent.disk.machine.Machine``."""

    async def inventory(self, *, thorough: bool = True) -> Inventory:  # noqa: ARG002 - as Machine has it
        return Inventory()

    @contextmanager
    def open_target(self, target: Target) -> Iterator[Device]:  # noqa: ARG002 - the Protocol names it
        yield NullDevice()


async def _swallow(url: str) -> dict[str, float]:
    target = Target(
        disk=1, partition=1, device="null", disk_device="null", identity="null", start=0, size=_SIZE, sector_size=512
    )
    plan = RestorePlan(request=RestoreRequest(dsk=1, par=1, idi="", nci="", ipr=""), target=target, source=url)
    policy = SourcePolicy(tls=client_context("", ""), networks=None, stall_timeout_s=30, retry_for_s=30)
    progress = Progress(read_back_wanted=False)
    began = time.monotonic()
    await restore(plan, NullMachine(), policy, progress)
    return {"received": progress.received, "written": progress.written, "seconds": time.monotonic() - began}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_swallow(sys.argv[1]))))  # noqa: T201 - the result, for the program that started this
