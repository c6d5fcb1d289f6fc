"""What can still be told of a job whose row in the journal another version has written, or damage has changed."""

from __future__ import annotations

import logging
from typing import Any, Final, TypeVar

import msgspec

from ogagent.jobs.steps import Step
from ogagent.model.job import ByteCounts, Job, JobTarget, State
from ogagent.model.plan import Target

_log: Final = logging.getLogger(__name__)
T = TypeVar("T")


def readable(data: bytes, kind: type[T], job_id: str) -> T | None:
    """None, and a line in the log, for what is none: it costs this one, not the others."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        _log.error("a %s of the journal cannot be read: %s", kind.__name__, error, extra={"job_id": job_id})
        return None


def target_of(data: bytes, job_id: str) -> Target | None:
    return None if data == b"null" else readable(data, Target, job_id)


def step_of(text: str) -> Step:
    """One that this version does not know may have changed something, and has not finished."""
    try:
        return Step(text)
    except ValueError:
        return Step.TOUCHED


def unreadable_job(job_id: str, data: bytes, target: Target | None) -> Job:
    """As one that runs: with what ogCore knows it by, as far as that is there; the rest is empty."""
    members = readable(data, dict[str, Any], job_id) or {}
    request = _texts(members.get("request"))
    return Job(
        job_id=job_id,
        function=job_id.rpartition("-")[0],
        state=State.RUNNING,
        phase=None,
        progress=0,
        bytes=ByteCounts(),
        rate=0,
        eta_s=None,
        retries=0,
        request=request,
        target=_place(request, target),
        created=created if isinstance(created := members.get("created"), str) else "",
    )


def _place(request: dict[str, str], target: Target | None) -> JobTarget | None:
    if target is not None:
        return target.named
    if "dsk" not in request:
        return None
    disk, partition = (_number(request.get(name, "")) for name in ("dsk", "par"))
    return JobTarget(disk=disk, partition=partition or None, device="", identity="")


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 4 else 0


def _texts(value: object) -> dict[str, str]:
    members = value if isinstance(value, dict) else {}
    return {name: text for name, text in members.items() if isinstance(name, str) and isinstance(text, str)}
