"""What ogCore is told of a job, and of the disks in OpenGnsys' own words."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from ogagent.model.disk import UNREADABLE, Disk, Inventory, Partition
from ogagent.model.filesystem import by_blkid
from ogagent.model.job import Job, State
from ogagent.model.kind import Kind
from ogagent.model.units import KIB

SUCCESS: Final = "1"
FAILURE: Final = "2"
_EVENTS: Final = uuid.UUID("0e5c2f0a-6d1b-4d0e-9b0a-5a8f1a0c7d93")
_TABLE_CODES: Final = {"msdos": "1", "gpt": "2", None: "0"}


def progress_report(job: Job) -> dict[str, Any]:
    return {
        "job_id": job.job_id,
        "nfn": job.function,
        "ids": job.request.get("ids", ""),
        "progress": job.progress,
        "phase": job.phase,
        "bytes": msgspec.to_builtins(job.bytes),
        "rate": job.rate,
        "eta_s": job.eta_s,
        **({"steps": msgspec.to_builtins(job.steps)} if job.steps else {}),
    }


def final_report(job: Job, kind: Kind, inventory: Inventory, own: Mapping[str, Any]) -> dict[str, Any]:
    """The one report that ends a job. The sender adds ``seq``, ``ip`` and ``mac``. ``own`` is what only the work knows.

    ``event_id`` follows from the job, so that even an agent that could not write down what it sent repeats itself.
    There is no ``cfg`` when no disk could be read: an empty one is, to ogCore, a PC without disks.
    """
    echoed = {name: job.request.get(name, "") for name in ("ids", *kind.echoed)}
    succeeded = job.state is State.SUCCEEDED
    rows = configuration(inventory) if kind.disks else []
    return {
        **own,
        "job_id": job.job_id,
        "nfn": kind.response,
        **echoed,
        "res": SUCCESS if succeeded else FAILURE,
        "der": "" if succeeded or job.error is None else job.error.der,
        **({"cfg": rows} if rows else {}),
        "progress": job.progress,
        "event_id": str(uuid.uuid5(_EVENTS, f"{job.job_id} {job.created}")),
    }


def configuration(inventory: Inventory) -> list[dict[str, str]]:
    """The inventory as ``cfg`` rows: strings, ``tam`` in KiB, ``par`` ``"0"`` and identity for the disk itself.

    None of a disk that could not be read.
    """
    rows = []
    for disk in inventory.disks:
        if disk.problem.startswith(UNREADABLE):
            continue
        rows.append(_disk_row(disk))
        rows.extend(_partition_row(disk, partition) for partition in disk.partitions)
    return rows


def _disk_row(disk: Disk) -> dict[str, str]:
    return {**_row(disk.disk, 0, _TABLE_CODES[disk.table], "", "", disk.size, 0), "identity": disk.identity}


def _partition_row(disk: Disk, part: Partition) -> dict[str, str]:
    return _row(disk.disk, part.partition, part.code, _filesystem(part), part.os, part.size, part.used or 0)


def _row(disk: int, par: int, cpt: str, fsi: str, soi: str, size: int, used: int) -> dict[str, str]:
    numbers = {"disk": str(disk), "par": str(par), "tam": str(size // KIB), "uso": str(used)}
    return {**numbers, "cpt": cpt, "fsi": fsi, "soi": soi}


def _filesystem(part: Partition) -> str:
    if part.incomplete:
        return "INCOMPLETE"
    if part.cache:
        return "CACHE"
    known = by_blkid(part.filesystem)
    return known.name if known else part.filesystem.upper() or "EMPTY"
