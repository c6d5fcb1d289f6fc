"""A restore from a file onto a partition that is a file."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ogagent.disk.device import BlockDevice
from ogagent.disk.machine import Device, Machine
from ogagent.model.disk import Inventory
from ogagent.model.plan import Target
from ogagent.restore.job import restore
from ogagent.restore.progress import Progress
from ogagent.restore.request import RestorePlan, restore_request
from ogagent.source.source import SourcePolicy

_POLICY: Final = SourcePolicy(tls=ssl.create_default_context(), networks=None, stall_timeout_s=30, retry_for_s=0)


class OneFile:
    """Implements ``ogagent.disk.machine.Machine``. Whatever sectors the target has for the plan, a file's are small."""

    async def inventory(self, *, thorough: bool = True) -> Inventory:  # noqa: ARG002 - as Machine has it
        return Inventory()

    @contextmanager
    def open_target(self, target: Target) -> Iterator[Device]:
        fd = os.open(target.device, os.O_RDWR | os.O_CLOEXEC)
        with BlockDevice(fd, base=0, size=target.size, sector_size=512, name=target.device) as device:
            yield device


def target_of(partition: Path, sector_size: int = 512) -> Target:
    return Target(
        disk=1,
        partition=1,
        device=str(partition),
        disk_device=str(partition),
        identity="a file",
        start=0,
        size=partition.stat().st_size,
        sector_size=sector_size,
    )


async def onto(
    partition: Path,
    image: Path,
    progress: Progress | None = None,
    machine: Machine | None = None,
    sector_size: int = 512,
) -> None:
    call = {"dsk": "1", "par": "1", "idi": "1", "nci": "x", "ipr": "127.0.0.1"}
    plan = RestorePlan(request=restore_request(call), target=target_of(partition, sector_size), source=image.as_uri())
    async with asyncio.timeout(300):
        await restore(plan, machine or OneFile(), _POLICY, progress or Progress())
