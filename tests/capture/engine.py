"""The engine of a capture, put together as ``ogagent capture`` does it."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from ogagent.capture import job
from ogagent.capture.job import Made, Making
from ogagent.capture.progress import CaptureProgress
from ogagent.capture.real import RealModels
from ogagent.capture.request import CapturePlan, CaptureRequest
from ogagent.capture.store import StorePolicy
from ogagent.disk.by_path import ByPath, target_at
from ogagent.disk.content import probe
from ogagent.source.source import SourcePolicy

SOURCE: Final = SourcePolicy(tls=ssl.create_default_context(), networks=None, stall_timeout_s=30, retry_for_s=0)


def plan_of(model: Path, image: Path, *, whole: bool = False, sector_size: int = 512) -> CapturePlan:
    target = replace(target_at(str(model)), sector_size=sector_size)
    with model.open("rb") as file:
        found = probe(file.fileno(), 0, target.size, used=False)
    return CapturePlan(
        request=CaptureRequest(dsk=1, par=1, idi="", nci="", ipr=""),
        target=target,
        filesystem=found.filesystem,
        destination=image.as_uri(),
        whole=whole,
    )


def capture(model: Path, image: Path, *, whole: bool = False, sector_size: int = 512) -> Made:
    """Raises AgentError."""
    plan = plan_of(model, image, whole=whole, sector_size=sector_size)
    making = Making(store=StorePolicy(source=SOURCE), level=1, threads=2, folder=image.parent)
    machine = ByPath()
    work = job.capture(plan, machine, RealModels(machine), making, CaptureProgress(job_id="round"))
    return asyncio.run(asyncio.wait_for(work, 300))
